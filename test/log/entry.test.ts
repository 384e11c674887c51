import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { encodeBase64 } from "../../src/base/base64.ts";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { crypto, type KeyType, keyTypes, sha256 } from "../../src/crypto/crypto.ts";
import {
  associatedData,
  computeCommitment,
  type Entry,
  formatEntry,
  isIdenticalRepost,
  leafHash,
  maxLineBytes,
  maxPlaintextBytes,
  parseEntry,
  signEntry,
  signedBytes,
  type UnsignedEntry,
} from "../../src/log/entry.ts";
import { emptyRoot } from "../../src/log/merkle.ts";
import { codeOf } from "./codeOf.ts";

const conversation = encodeHex(Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f"));
const sender = encodeHex(sha256(encodeUtf8("a certificate")));
const commitment = computeCommitment({
  opening: new Uint8Array(32).fill(7),
  conversation,
  sender,
  seqno: 3,
  plaintext: encodeUtf8("hello"),
});
const unsigned: UnsignedEntry = {
  v: 2,
  conversation,
  sender,
  seqno: 3,
  ts: 1_700_000_000_123,
  kind: "message",
  view: { size: 5, root: emptyRoot },
  epoch: 1,
  commitment,
};
const ct = new Uint8Array(28 + 64).fill(0xab);
const entry: Entry = { ...unsigned, ct, sig: Uint8Array.of(1, 2, 3) };
const line = formatEntry(entry);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "securechat-entry-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a shell script of a reader who has nothing but standard tools. */
function shell(script: string): { output: string; exitCode: number } {
  const { stdout, stderr, exitCode } = Bun.spawnSync(["sh", "-euc", script], { cwd: folder });
  return { output: stdout.toString() + stderr.toString(), exitCode };
}

/** printf of the signed text, from the fields of the line and nothing else. */
function printfSignedText(source: string): string {
  const fields = JSON.parse(source);
  return [
    `hash=$(printf %s '${fields.ct}' | base64 -d | sha256sum | cut -d' ' -f1)`,
    `printf 'securechat/2 entry\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n' '${fields.conversation}' '${fields.sender}' \\
      '${fields.seqno}' '${fields.ts}' '${fields.kind}' '${fields.view.size}' '${fields.view.root}' '${fields.epoch}' \\
      '${fields.commitment}' "$hash" > signed.txt`,
  ].join("\n");
}

describe("known answers", () => {
  test("formatEntry() writes the fields in the order of the specification", () => {
    expect(line).toBe(
      `{"v":2,"conversation":"000102030405060708090a0b0c0d0e0f","sender":"${sender}","seqno":3,"ts":1700000000123,` +
        `"kind":"message","view":{"size":5,"root":"${emptyRoot}"},"epoch":1,"commitment":"${commitment}",` +
        `"ct":"${encodeBase64(ct)}","sig":"AQID"}`,
    );
  });

  test("signedBytes() is the text of the specification, associatedData() is that without its last line", () => {
    const head =
      "securechat/2 entry\n000102030405060708090a0b0c0d0e0f\n" +
      `${sender}\n` +
      `3\n1700000000123\nmessage\n5\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n1\n${commitment}\n`;
    expect(new TextDecoder().decode(associatedData(unsigned))).toBe(head);
    expect(new TextDecoder().decode(signedBytes(unsigned, ct))).toBe(
      `${head}${new Bun.CryptoHasher("sha256").update(ct).digest("hex")}\n`,
    );
  });

  test("leafHash() is what sha256sum makes of 0x00, the signed text, sig and at", () => {
    const { output, exitCode } = shell(
      `${printfSignedText(line)}\n{ printf '\\000'; cat signed.txt; printf '%s\\n%s\\n' AQID 1700000000456; } | sha256sum`,
    );
    expect(exitCode).toBe(0);
    expect(output.split(" ")[0]).toBe(encodeHex(leafHash(entry, 1_700_000_000_456)));
  });

  test("computeCommitment() is what openssl's HMAC makes of the text of the specification", () => {
    const { output, exitCode } = shell(
      `printf 'securechat/2 commitment\\n%s\\n%s\\n3\\nhello' ${conversation} ${sender} \\
        | openssl dgst -sha256 -mac HMAC -macopt hexkey:${"07".repeat(32)}`,
    );
    expect(exitCode).toBe(0);
    expect(output.trim().split("= ")[1]).toBe(commitment);
  });
});

describe("openssl verifies an entry's signature over bytes rebuilt in a shell", () => {
  const check = (keyType: KeyType) =>
    keyType === "ed25519"
      ? "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in signed.txt -sigfile sig.bin"
      : "openssl dgst -sha256 -verify key.der -keyform DER -signature sig.bin signed.txt";

  for (const keyType of keyTypes)
    test(keyType, async () => {
      const key = crypto().importPrivateKey(await crypto().generatePrivateKey(keyType));
      const signed = formatEntry(signEntry(unsigned, ct, key));
      writeFileSync(join(folder, "key.der"), key.spki);
      const rebuild = (source: string) =>
        `${printfSignedText(source)}\nprintf %s '${JSON.parse(source).sig}' | base64 -d > sig.bin\n${check(keyType)}`;
      expect(shell(rebuild(signed)).exitCode).toBe(0);
      // The judge is no rubber stamp: another seqno is another text.
      expect(shell(rebuild(signed.replace('"seqno":3', '"seqno":4'))).exitCode).not.toBe(0);
    });
});

describe("parseEntry()", () => {
  test("reads back what formatEntry() wrote, for every kind", () => {
    const body = (kind: Entry["kind"]): Entry => ({ ...entry, kind, commitment: "-", ct: encodeUtf8("{}") });
    for (const one of [entry, body("create"), body("membership"), body("acknowledge"), body("leave")])
      expect(parseEntry(formatEntry(one))).toEqual(one);
  });

  const faults: [string, string][] = [
    ["nothing", ""],
    ["no JSON", line.slice(1)],
    ["white space", line.replace(":2,", ": 2,")],
    ["a line end", `${line}\n`],
    ["a carriage return", `${line}\r`],
    ["a byte order mark", `\ufeff${line}`],
    ["trailing text", `${line}{}`],
    ["an unknown field", line.replace("}", ',"x":1}')],
    ["a field behind the last", `${line.slice(0, -1)},"index":0}`],
    ["a field twice", line.replace('"v":2,', '"v":2,"v":2,')],
    ["fields in another order", line.replace(/("seqno":3),("ts":\d+)/, "$2,$1")],
    ["a missing field", line.replace('"epoch":1,', "")],
    ["another version", line.replace('"v":2', '"v":3')],
    ["an escape that isn't needed", line.replace("message", "mess\\u0061ge")],
    ["upper-case hex", line.replace(conversation, conversation.toUpperCase())],
    ["a short conversation", line.replace(conversation, conversation.slice(2))],
    ["a seqno of 0", line.replace('"seqno":3', '"seqno":0')],
    ["a seqno of 1.0", line.replace('"seqno":3', '"seqno":3.0')],
    ["an exponent", line.replace('"seqno":3', '"seqno":3e0')],
    ["a number beyond 2^53-1", line.replace('"seqno":3', '"seqno":9007199254740992')],
    ["a negative ts", line.replace('"ts":', '"ts":-')],
    ["minus zero", line.replace('"epoch":1', '"epoch":-0')],
    ["a number as text", line.replace('"seqno":3', '"seqno":"3"')],
    ["an unknown kind", line.replace('"message"', '"edit"')],
    [
      "base64 without padding",
      line.replace(/"ct":"[^"]*"/, `"ct":"${encodeBase64(new Uint8Array(92)).replaceAll("=", "")}"`),
    ],
    ["base64 with unused bits", line.replace('"AQID"', '"AQJ="')],
    ["the URL alphabet", line.replace('"AQID"', '"-_-_"')],
    ["no signature", line.replace('"AQID"', '""')],
    ["a signature of 1025 bytes", line.replace("AQID", encodeBase64(new Uint8Array(1025)))],
    ["a message without commitment", formatEntry({ ...entry, commitment: "-" })],
    ["a commitment of another kind", formatEntry({ ...entry, kind: "leave", ct: encodeUtf8("{}") })],
    ["a ciphertext without a block", formatEntry({ ...entry, ct: new Uint8Array(28) })],
    ["a ciphertext of half a block", formatEntry({ ...entry, ct: new Uint8Array(28 + 96) })],
    [
      "a ciphertext of more than the longest plaintext",
      formatEntry({ ...entry, ct: new Uint8Array(28 + 1026 * 64) }),
    ],
    [
      "a body of 65537 bytes",
      formatEntry({ ...entry, kind: "leave", commitment: "-", ct: new Uint8Array(maxPlaintextBytes + 1) }),
    ],
    ["a line beyond its limit", `${line.slice(0, -1)}${" ".repeat(maxLineBytes)}}`],
    ["prototype pollution", `{"__proto__":{},${line.slice(1)}`],
  ];
  for (const [name, text] of faults)
    test(`refuses ${name}`, () => expect(codeOf(() => parseEntry(text))).toBe("MALFORMED"));

  test("accepts the longest ciphertext and the longest body", () => {
    const long: Entry = { ...entry, ct: new Uint8Array(28 + 1025 * 64) };
    const body: Entry = { ...entry, kind: "leave", commitment: "-", ct: new Uint8Array(65_536) };
    for (const one of [long, body]) {
      expect(parseEntry(formatEntry(one)).ct.length).toBe(one.ct.length);
      expect(formatEntry(one).length).toBeLessThanOrEqual(maxLineBytes);
    }
  });

  test("accepts only its own output, and nothing makes it throw another error", () => {
    const accepts = (text: string) => {
      const code = codeOf(() => expect(formatEntry(parseEntry(text))).toBe(text));
      expect(code === undefined || code === "MALFORMED").toBe(true);
    };
    fc.assert(fc.property(fc.string({ unit: "binary" }), accepts), { numRuns: 300 });
    fc.assert(fc.property(fc.json(), accepts), { numRuns: 300 });
    // A line with one piece of it replaced by something else.
    fc.assert(
      fc.property(
        fc.nat(line.length),
        fc.nat(4),
        fc.string({ unit: "binary", maxLength: 4 }),
        (start, cut, put) => accepts(line.slice(0, start) + put + line.slice(start + cut)),
      ),
      { numRuns: 1000 },
    );
  });

  test("reads every entry that formatEntry() can write", () => {
    const hexOf = (bytes: number) =>
      fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value): Hex => encodeHex(value));
    const anyEntry = fc.record({
      v: fc.constant<2>(2),
      conversation: hexOf(16),
      sender: hexOf(32),
      seqno: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      ts: fc.maxSafeNat(),
      kind: fc.constant<"message">("message"),
      view: fc.record({ size: fc.maxSafeNat(), root: hexOf(32) }),
      epoch: fc.maxSafeNat(),
      commitment: hexOf(32),
      ct: fc.integer({ min: 1, max: 8 }).map((blocks) => new Uint8Array(28 + 64 * blocks).fill(blocks)),
      sig: fc.uint8Array({ minLength: 1, maxLength: 80 }),
    });
    fc.assert(
      fc.property(anyEntry, (one) => expect(parseEntry(formatEntry(one))).toEqual(one)),
      { numRuns: 200 },
    );
  });
});

test("isIdenticalRepost() looks at the signed bytes, not at the signature", () => {
  expect(isIdenticalRepost(entry, { ...entry, sig: Uint8Array.of(9) })).toBe(true);
  const others: Partial<Entry>[] = [
    { ct: new Uint8Array(92) },
    { ts: entry.ts + 1 },
    { seqno: 4 },
    { epoch: 2 },
    { view: { size: 6, root: emptyRoot } },
    { commitment: sender },
  ];
  for (const other of others) expect(isIdenticalRepost(entry, { ...entry, ...other })).toBe(false);
});
