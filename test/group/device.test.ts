import { beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeHex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import {
  createDevice,
  type DeviceIdentity,
  decodeDevice,
  deviceId,
  encodeDevice,
  verifyDeviceIdentity,
} from "../../src/group/device.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { type VerifiedCertificate, verifyPath } from "../../src/pki/verifyPath.ts";
import {
  type Authority,
  codeOf,
  type Identity,
  makeAuthority,
  newDevice,
  nowMs,
  random,
} from "./testGroup.ts";

let authority: Authority;
let alice: Identity;
let bob: Identity;

beforeAll(async () => {
  authority = await makeAuthority();
  alice = await authority.issue("alice");
  bob = await authority.issue("bob");
});

function verified(identity: Identity): VerifiedCertificate {
  return verifyPath({
    ...{ leaf: decodeCertificate(identity.der), intermediates: [], anchors: [authority.root], crls: [] },
    ...{ purpose: "client", atMs: nowMs },
  });
}

describe("createDevice()", () => {
  test("signs what OpenSSL verifies over the text of the specification", () => {
    const { identity } = newDevice(alice, { expiresMs: 1_790_000_000_000 });
    const key = encodeHex(identity.devicePublicKey);
    const text = `securechat/2 device key\n${alice.fingerprint}\n${key}\n1790000000000\n`;
    const folder = mkdtempSync(join(tmpdir(), "securechat-device-"));
    try {
      const spki = `-----BEGIN PUBLIC KEY-----\n${alice.key.spki.toBase64()}\n-----END PUBLIC KEY-----\n`;
      writeFileSync(join(folder, "key.pem"), spki);
      writeFileSync(join(folder, "text"), text);
      writeFileSync(join(folder, "sig"), identity.signature);
      const options = ["dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "text"];
      const { status, stdout } = spawnSync("openssl", options, { cwd: folder });
      expect(stdout.toString()).toContain("Verified OK");
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("makes a device named by SHA-256 of its key", () => {
    const { identity } = newDevice(alice);
    expect(deviceId(identity.devicePublicKey)).toBe(encodeHex(sha256(identity.devicePublicKey)));
    expect(identity.fingerprint).toBe(encodeHex(sha256(alice.der)));
  });

  test("rejects another certificate's key, no or too many certificates, and a time that is none", async () => {
    const make = (change: object) =>
      codeOf(() =>
        createDevice({ chain: [alice.der], key: alice.key, seed32: random(32), expiresMs: nowMs, ...change }),
      );
    expect(await make({})).toBe("accepted");
    expect(await make({ key: bob.key })).toBe("DEVICE_CERTIFICATE");
    expect(await make({ chain: [] })).toBe("TOO_LARGE");
    expect(await make({ chain: new Array(5).fill(alice.der) })).toBe("TOO_LARGE");
    expect(await make({ chain: [alice.der, new Uint8Array(4097)] })).toBe("TOO_LARGE");
    expect(await make({ chain: [alice.der, new Uint8Array(0)] })).toBe("MALFORMED");
    expect(await make({ expiresMs: 1.5 })).toBe("MALFORMED");
    expect(await make({ expiresMs: -1 })).toBe("MALFORMED");
    expect(await make({ seed32: random(31) })).toBe("MALFORMED");
  });
});

describe("verifyDeviceIdentity()", () => {
  const verify = (identity: DeviceIdentity, by: Identity, atMs = nowMs) =>
    codeOf(() => verifyDeviceIdentity(identity, verified(by), atMs));

  test("accepts its certificate's signature until the expiry, inclusive", async () => {
    const { identity } = newDevice(alice, { expiresMs: nowMs });
    expect(await verify(identity, alice)).toBe("accepted");
    expect(await verify(identity, alice, nowMs + 1)).toBe("DEVICE_EXPIRED");
    expect(await verify(identity, alice, Number.NaN)).toBe("DEVICE_EXPIRED");
  });

  test("rejects another certificate, device key, expiry or signature", async () => {
    const { identity } = newDevice(alice);
    const other = newDevice(alice).identity;
    expect(await verify(identity, bob)).toBe("DEVICE_CERTIFICATE");
    const { devicePublicKey, signature } = other;
    expect(await verify({ ...identity, devicePublicKey }, alice)).toBe("DEVICE_SIGNATURE");
    expect(await verify({ ...identity, expiresMs: identity.expiresMs + 1 }, alice)).toBe("DEVICE_SIGNATURE");
    expect(await verify({ ...identity, signature }, alice)).toBe("DEVICE_SIGNATURE");
    expect(await verify({ ...identity, signature: new Uint8Array(1) }, alice)).toBe("DEVICE_SIGNATURE");
    const bobs = newDevice(bob).identity;
    const borrowed = { ...bobs, fingerprint: alice.fingerprint };
    expect(await verify(borrowed, alice)).toBe("DEVICE_SIGNATURE");
  });

  test("rejects the other S of an ECDSA signature", async () => {
    const { identity } = newDevice(alice);
    const signature = withHighS(identity.signature);
    expect(await verify({ ...identity, signature }, alice)).toBe("DEVICE_SIGNATURE");
  });
});

describe("stored devices", () => {
  test("come back as they were", () => {
    const device = newDevice(alice);
    expect(decodeDevice(encodeDevice(device))).toEqual(device);
  });

  test("are rejected when cut, longer or of another version", async () => {
    const bytes = encodeDevice(newDevice(alice));
    const decode = (input: Uint8Array) => codeOf(() => decodeDevice(input));
    for (let length = 0; length < bytes.length; length++)
      expect(await decode(bytes.subarray(0, length))).toBe("STATE_UNREADABLE");
    expect(await decode(new Uint8Array([...bytes, 0]))).toBe("STATE_UNREADABLE");
    expect(await decode(new Uint8Array([2, ...bytes.subarray(1)]))).toBe("STATE_UNREADABLE");
  });
});

/** DER of (r, n - s) for P-256, which verifies wherever high S is not refused. */
function withHighS(der: Uint8Array): Uint8Array {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const rLength = der[3] ?? 0;
  const r = der.subarray(2, 4 + rLength);
  const s = BigInt(`0x${encodeHex(der.subarray(6 + rLength))}`);
  const flipped = (order - s).toString(16).padStart(64, "0");
  const content = Uint8Array.fromHex(flipped >= "8" ? `00${flipped}` : flipped);
  const body = [...r, 0x02, content.length, ...content];
  return new Uint8Array([0x30, body.length, ...body]);
}
