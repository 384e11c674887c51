import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { formatEntry } from "../../src/log/entry.ts";
import { LogError } from "../../src/log/logError.ts";
import {
  formatTranscriptLine,
  maxTranscriptLineBytes,
  parseTranscriptLine,
  readLines,
  verifyTranscript,
} from "../../src/log/transcript.ts";
import { codeOf } from "./codeOf.ts";
import { Conversation, roster } from "./conversation.ts";
import { certificatesOf, type Device, Organisation } from "./organisation.ts";

const isNoble = () => crypto().name === "noble";

let certificateAt: ReturnType<typeof certificatesOf>;
let alice: Device;
let bob: Device;
let server: Device;
let log: Conversation;
let lines: string[];
let file: Uint8Array;

function begin(): Conversation {
  const conversation = new Conversation(certificateAt);
  conversation.post(conversation.create(alice, server, { roster: roster(alice.row(), bob.row()) }));
  return conversation;
}

beforeAll(async () => {
  const organisation = await Organisation.create();
  certificateAt = certificatesOf(organisation);
  [alice, bob] = [await organisation.user("alice"), await organisation.user("bob")];
  server = await organisation.server("chat.example.org");
  log = begin();
  log.post(log.message(alice));
  log.post(log.acknowledge(bob));
  lines = log.lines.map(formatTranscriptLine);
  file = encodeUtf8(lines.map((line) => `${line}\n`).join(""));
});

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

const verify = (bytes: Uint8Array, size = 4096) =>
  verifyTranscript(readLines(cut(bytes, size)), { certificateAt });

/** @returns the code and the index of the line that was refused */
async function refusal(
  work: Promise<unknown>,
): Promise<{ code: string; index: number | undefined } | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof LogError) return { code: error.code, index: error.index };
    throw error;
  }
}

describe("a transcript line", () => {
  test("is the entry line with index and at appended", () => {
    const [line] = log.lines;
    if (line === undefined) throw new Error("no line");
    expect(lines[0]).toBe(`${formatEntry(line.entry).slice(0, -1)},"index":0,"at":${line.at}}`);
    expect(parseTranscriptLine(lines[0] ?? "")).toEqual(line);
  });
  test("is refused in any other form", () => {
    const line = lines[1] ?? "";
    const faults = [
      "",
      formatEntry(parseTranscriptLine(line).entry),
      `${line}\r`,
      line.replace('"index":1', '"index":01'),
      line.replace('"index":1', '"index":-1'),
      line.replace(/("index":1),("at":\d+)/, "$2,$1"),
      line.replace("}", ',"x":0}'),
      `${line.slice(0, -1)}${" ".repeat(maxTranscriptLineBytes)}}`,
    ];
    for (const fault of faults) expect(codeOf(() => parseTranscriptLine(fault))).toBe("MALFORMED");
  });
});

describe("readLines()", () => {
  const all = async (bytes: Uint8Array, size: number, limit?: number) =>
    Array.fromAsync(readLines(cut(bytes, size), limit));

  test("cuts at LF and nowhere else, in whatever pieces the bytes come", async () => {
    const text = "a\n\nbé\r\n\u2028c\n";
    for (const size of [1, 2, 3, 100])
      expect(await all(encodeUtf8(text), size)).toEqual(["a", "", "bé\r", "\u2028c"]);
    expect(await all(new Uint8Array(0), 1)).toEqual([]);
  });
  test("agrees with the pieces put together, for any text and any pieces", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "grapheme" })),
        fc.integer({ min: 1, max: 9 }),
        async (texts, size) => {
          const clean = texts.map((text) => text.replaceAll("\n", ""));
          expect(await all(encodeUtf8(clean.map((text) => `${text}\n`).join("")), size)).toEqual(clean);
        },
      ),
      { numRuns: 100 },
    ));
  test("puts a long line together that comes byte by byte", async () => {
    const long = "x".repeat(maxTranscriptLineBytes);
    expect(await all(encodeUtf8(`${long}\n`), 1)).toEqual([long]);
  });
  test("refuses a torn last line, a line beyond the limit, and what is not UTF-8", async () => {
    for (const size of [1, 100]) {
      expect(await refusal(all(encodeUtf8("a\nb"), size))).toEqual({ code: "MALFORMED", index: 1 });
      expect(await refusal(all(encodeUtf8("abc\nabcd\n"), size, 3))).toEqual({ code: "MALFORMED", index: 1 });
      expect(await all(encodeUtf8("abc\n"), size, 3)).toEqual(["abc"]);
      expect(await refusal(all(Uint8Array.of(0xff, 0x0a), size))).toEqual({ code: "MALFORMED", index: 0 });
    }
  });
  test("holds no more than one line of an endless one", async () => {
    let taken = 0;
    async function* endless() {
      for (;;) {
        taken += 1024;
        yield new Uint8Array(1024).fill(0x61);
      }
    }
    expect(await refusal(Array.fromAsync(readLines(endless(), 10_000)))).toEqual({
      code: "MALFORMED",
      index: 0,
    });
    expect(taken).toBe(10 * 1024);
  });
});

describe("verifyTranscript()", () => {
  test("gives state, roots and the digest that sha256sum prints, for the whole and for prefixes", async () => {
    const seen: number[] = [];
    const result = await verifyTranscript(readLines(cut(file, 100)), {
      certificateAt,
      prefixSizes: [1, 2, 3, 3, 9],
      onEntry: ({ index }, { size }) => seen.push(index, size),
    });
    expect(seen).toEqual([0, 1, 1, 2, 2, 3]);
    expect(result.state).toEqual(log.state);
    expect(result.rootAt(3)).toBe(log.state.root);
    expect([result.rootAt(0), result.rootAt(4), result.rootAt(1.5)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([...result.prefixes.keys()]).toEqual([1, 2, 3]);
    expect(result.prefixes.get(3)).toEqual({ state: result.state, sha256: result.sha256 });
    const folder = mkdtempSync(join(tmpdir(), "securechat-transcript-"));
    try {
      writeFileSync(join(folder, "transcript.jsonl"), file);
      for (const [size, prefix] of result.prefixes) {
        const { stdout } = Bun.spawnSync(["sh", "-c", `head -n ${size} transcript.jsonl | sha256sum`], {
          cwd: folder,
        });
        expect(stdout.toString().split(" ")[0]).toBe(prefix.sha256);
        expect(prefix.state.size).toBe(size);
        expect(result.rootAt(size)).toBe(prefix.state.root);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("refuses an empty file, a missing line, swapped lines and one twice, and says where", async () => {
    const [first = "", second = "", third = ""] = lines;
    const join = (...some: string[]) => encodeUtf8(some.map((line) => `${line}\n`).join(""));
    expect((await refusal(verify(new Uint8Array(0))))?.code).toBe("MALFORMED");
    expect(await refusal(verify(join(second, third)))).toEqual({ code: "MALFORMED", index: 0 });
    expect(await refusal(verify(join(first, third)))).toEqual({ code: "MALFORMED", index: 1 });
    expect(await refusal(verify(join(first, third, second)))).toEqual({ code: "MALFORMED", index: 1 });
    expect(await refusal(verify(join(first, second, second)))).toEqual({ code: "MALFORMED", index: 2 });
    expect(await refusal(verify(join(first, second, "", third)))).toEqual({ code: "MALFORMED", index: 2 });
    // Renumbered, the lines contradict each other.
    expect(await refusal(verify(join(first, third.replace('"index":2', '"index":1'))))).toEqual({
      code: "BAD_VIEW",
      index: 1,
    });
    expect(await refusal(verify(join(second.replace('"index":1', '"index":0'))))).toEqual({
      code: "UNKNOWN_SENDER",
      index: 0,
    });
    const again = second.replace('"index":1', '"index":2');
    expect(await refusal(verify(join(first, second, again)))).toEqual({ code: "REPLAY", index: 2 });
    expect((await verify(join(first, second))).state.size).toBe(2);
  });

  test("passes on what is no refusal as it is", async () => {
    const broken = verifyTranscript(lines, {
      certificateAt,
      onEntry: () => {
        throw new RangeError("of the caller");
      },
    });
    await expect(broken).rejects.toBeInstanceOf(RangeError);
  });

  test("notices a change of any one byte: a refusal or another root", async () => {
    const { root } = log.state;
    const codes = new Map<string, number>();
    // The reference verifies 15 times slower: it looks at every eighth byte, and at all of the last ones, which hold `at`.
    const step = isNoble() ? 8 : 1;
    for (let position = 0; position < file.length; position += position < file.length - 40 ? step : 1) {
      const changed = file.slice();
      changed[position] = (changed[position] ?? 0) ^ (1 + (position % 7));
      const outcome = await verify(changed).then(
        ({ state }) => (state.root === root ? "UNNOTICED" : "OTHER_ROOT"),
        (error) => (error instanceof LogError ? error.code : Promise.reject(error)),
      );
      codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
    }
    expect(codes.get("UNNOTICED")).toBeUndefined();
    for (const code of ["MALFORMED", "BAD_SIGNATURE", "OTHER_ROOT"])
      expect(codes.get(code)).toBeGreaterThan(0);
  }, 60_000);

  test("streams 2000 entries, whatever the size of the pieces", async () => {
    const long = begin();
    for (let i = 1; i < 2000; i++) long.post(long.message(i % 3 === 0 ? bob : alice));
    const bytes = encodeUtf8(long.lines.map((line) => `${formatTranscriptLine(line)}\n`).join(""));
    const { state, sha256 } = await verify(bytes, 1000);
    expect(state).toEqual(long.state);
    expect(sha256 as string).toBe(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));
  }, 60_000);
});
