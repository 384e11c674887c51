import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { encodeBase64 } from "../../src/base/base64.ts";
import { encodeHex } from "../../src/base/hex.ts";
import {
  type Checkpoint,
  contradict,
  formatCheckpoint,
  parseCheckpoint,
  signCheckpoint,
  verifyCheckpoint,
} from "../../src/log/checkpoint.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { codeOf } from "./codeOf.ts";
import { digest } from "./conversation.ts";
import { certificatesOf, type Device, Organisation, startMs } from "./organisation.ts";

let certificateAt: ReturnType<typeof certificatesOf>;
let server: Device;
let renewed: Device;
let stranger: Device;
let alice: Device;
let checkpoint: Checkpoint;

beforeAll(async () => {
  const organisation = await Organisation.create();
  certificateAt = certificatesOf(organisation);
  server = await organisation.server("chat.example.org", "192.0.2.1");
  renewed = await organisation.server("chat.example.org");
  stranger = await organisation.server("evil.example.org");
  alice = await organisation.user("alice");
  checkpoint = made(server);
});

const made = (by: Device): Checkpoint =>
  signCheckpoint(
    {
      conversation: encodeHex(Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f")),
      size: 42,
      root: digest("root"),
      at: startMs,
      server: by.fingerprint,
    },
    by.key,
  );
const verify = (one: Checkpoint, by: Device, name = "chat.example.org") =>
  codeOf(() => verifyCheckpoint(one, certificateAt(by.fingerprint, startMs), name));

describe("verifyCheckpoint()", () => {
  test("accepts the server by any of its names, also under another certificate of that name", () => {
    expect(verify(checkpoint, server)).toBeUndefined();
    expect(verify(checkpoint, server, "192.0.2.1")).toBeUndefined();
    expect(verify(made(renewed), renewed)).toBeUndefined();
  });
  test("rejects another certificate than the one that is named", () => {
    expect(verify(checkpoint, renewed)).toBe("CERTIFICATE_INVALID");
  });
  test("rejects a server of another name, and a person", () => {
    expect(verify(made(stranger), stranger)).toBe("CERTIFICATE_INVALID");
    expect(verify(checkpoint, server, "other.example.org")).toBe("CERTIFICATE_INVALID");
    expect(verify(made(alice), alice, "alice")).toBe("CERTIFICATE_INVALID");
  });
  test("rejects a change of any signed field, and a signature by another key", () => {
    const changes: Partial<Checkpoint>[] = [
      { conversation: encodeHex(new Uint8Array(16)) },
      { size: 43 },
      { root: digest("other") },
      { at: startMs + 1 },
      { sig: made(renewed).sig },
      { sig: Uint8Array.of(0) },
    ];
    for (const change of changes) expect(verify({ ...checkpoint, ...change }, server)).toBe("BAD_SIGNATURE");
  });
});

test("openssl verifies a checkpoint over bytes rebuilt in a shell", () => {
  const folder = mkdtempSync(join(tmpdir(), "securechat-checkpoint-"));
  try {
    writeFileSync(join(folder, "server.pem"), formatPem("CERTIFICATE", server.certificate.der));
    const { server: by, conversation, size, root, at, sig } = checkpoint;
    const judge = (claimed: number) =>
      Bun.spawnSync(
        [
          "sh",
          "-euc",
          `printf 'securechat/2 checkpoint\\n%s\\n%s\\n%s\\n%s\\n%s\\n' ${by} ${conversation} ${claimed} ${root} ${at} > signed.txt
           printf %s '${encodeBase64(sig)}' | base64 -d > sig.bin
           openssl x509 -in server.pem -pubkey -noout > key.pem
           openssl dgst -sha256 -verify key.pem -signature sig.bin signed.txt`,
        ],
        { cwd: folder },
      ).exitCode;
    expect(judge(size)).toBe(0);
    expect(judge(size + 1)).not.toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("parseCheckpoint()", () => {
  test("reads back the line of the specification", () => {
    const line = formatCheckpoint(checkpoint);
    expect(parseCheckpoint(line)).toEqual(checkpoint);
    expect(line).toBe(
      `{"conversation":"000102030405060708090a0b0c0d0e0f","size":42,"root":"${digest("root")}","at":${startMs},` +
        `"server":"${server.fingerprint}","sig":"${encodeBase64(checkpoint.sig)}"}`,
    );
  });
  test("rejects everything else", () => {
    const line = formatCheckpoint(checkpoint);
    const faults = [
      "",
      "{}",
      `${line}\n`,
      ` ${line}`,
      line.replace('"size":42', '"size":0'),
      line.replace('"size":42', '"size":42.0'),
      line.replace(/"root":"../, '"root":"'),
      line.replace("}", ',"x":1}'),
      line.replace(/("size":42),("root":"[0-9a-f]*")/, "$2,$1"),
      line.replace(/"sig":"[^"]*"/, '"sig":""'),
      line.replace("{", `{${" ".repeat(2048)}`),
    ];
    for (const fault of faults) expect(codeOf(() => parseCheckpoint(fault))).toBe("MALFORMED");
  });
  test("accepts only its own output, and nothing makes it throw another error", () => {
    const line = formatCheckpoint(checkpoint);
    fc.assert(
      fc.property(
        fc.nat(line.length),
        fc.nat(3),
        fc.string({ unit: "binary", maxLength: 3 }),
        (start, cut, put) => {
          const text = line.slice(0, start) + put + line.slice(start + cut);
          const code = codeOf(() => expect(formatCheckpoint(parseCheckpoint(text))).toBe(text));
          expect(code === undefined || code === "MALFORMED").toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test("contradict() is about one conversation and one size with two roots", () => {
  const fork: Checkpoint = { ...checkpoint, root: digest("other") };
  const later: Checkpoint = { ...checkpoint, at: checkpoint.at + 1 };
  expect(contradict(checkpoint, fork)).toBe(true);
  expect(contradict(checkpoint, later)).toBe(false);
  expect(contradict(checkpoint, { ...fork, size: 43 })).toBe(false);
  expect(contradict(checkpoint, { ...fork, conversation: encodeHex(new Uint8Array(16)) })).toBe(false);
});
