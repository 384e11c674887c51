import { beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { encodeHex } from "../../src/base/hex.ts";
import type { Device } from "../../src/group/device.ts";
import { createKeyPackage, inspectKeyPackage } from "../../src/group/keyPackage.ts";
import { decodeKeyPackageMessage } from "../../src/group/mlsMessage.ts";
import { codeOf, makeAuthority, newDevice, newKeyPackage, nowMs, random } from "./testGroup.ts";

let device: Device;

beforeAll(async () => {
  device = newDevice(await (await makeAuthority()).issue("alice"));
});

describe("key packages", () => {
  test("are read as they were made", async () => {
    const made = { device, notBeforeMs: nowMs - 5999, notAfterMs: nowMs + 999, random };
    for (const lastResort of [false, true]) {
      const pair = await createKeyPackage({ ...made, lastResort });
      const read = await inspectKeyPackage(pair.publicPackage);
      expect(read.identity).toEqual(device.identity);
      expect(read.reference).toBe(pair.reference);
      expect([read.notBeforeMs, read.notAfterMs]).toEqual([nowMs - 6000, nowMs]); // whole seconds
      expect(read.lastResort).toBe(lastResort);
    }
  });

  test("have the suite number of the specification and one fixed set of capabilities", async () => {
    const { publicPackage } = await newKeyPackage(device, true);
    // version mls10, mls_key_package; version mls10, suite 0x0053, init key of 1216 bytes
    expect(`${encodeHex(publicPackage.subarray(0, 10))}`).toBe("0001" + "0005" + "0001" + "0053" + "44c0");
    const hex = encodeHex(publicPackage);
    expect(hex).toContain("020001" + "020053" + "02000a" + "00" + "020001" + "01"); // …, source key_package
    expect(hex).toContain("03" + "000a" + "00"); // extensions: last_resort, empty
  });

  test("are named by the KeyPackageRef of RFC 9420 §5.2", async () => {
    const { publicPackage, reference } = await newKeyPackage(device);
    const label = new TextEncoder().encode("MLS 1.0 KeyPackage Reference");
    const keyPackage = publicPackage.subarray(4);
    const length = Uint8Array.of(0x40 | (keyPackage.length >> 8), keyPackage.length & 0xff);
    const input = new Uint8Array([label.length, ...label, ...length, ...keyPackage]);
    expect(reference).toBe(encodeHex(createHash("sha512").update(input).digest()));
  });

  test("draw all their keys afresh", async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => newKeyPackage(device)));
    const keys = made.flatMap(({ publicPackage }) => {
      const { initKey, leafNode } = decodeKeyPackageMessage(publicPackage);
      return [encodeHex(initKey), encodeHex(leafNode.hpkePublicKey)];
    });
    expect(new Set(keys).size).toBe(10);
  });

  test("that would not fit the limit are not made", async () => {
    const [der] = device.identity.chain;
    if (der === undefined) throw new Error("a device has a certificate");
    const chain = [der, new Uint8Array(4096), new Uint8Array(4096), new Uint8Array(4096)];
    const large = { ...device, identity: { ...device.identity, chain } };
    expect(await codeOf(() => newKeyPackage(large))).toBe("TOO_LARGE");
  });

  test("with a lifetime that is no time are not made", async () => {
    const make = (notBeforeMs: number, notAfterMs: number) =>
      codeOf(() => createKeyPackage({ device, notBeforeMs, notAfterMs, lastResort: false, random }));
    expect(await make(Number.NaN, nowMs)).toBe("MALFORMED");
    expect(await make(0, 2 ** 60)).toBe("MALFORMED");
    expect(await make(-1, nowMs)).toBe("MALFORMED");
  });
});
