import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeHex } from "../../src/base/hex.ts";
import { newFolderName, TranscriptFolder } from "../../src/client/transcriptFolder.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { codeOf } from "./codeOf.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "securechat-folder-"));
});
afterEach(() => rmSync(root, { recursive: true }));

test("newFolderName() is fit for a file system whatever the name", () => {
  const id = encodeHex(systemRandom(16));
  expect(newFolderName(root, "bob", id)).toBe(`bob-${id.slice(0, 8)}`);
  expect(newFolderName(root, "../../etc", id)).toBe(`_.._.._etc-${id.slice(0, 8)}`);
  expect(newFolderName(root, "a b/c\u0000d", id)).toBe(`a_b_c_d-${id.slice(0, 8)}`);
  expect(newFolderName(root, "x".repeat(300), id)).toHaveLength(73);
});

test("newFolderName() leaves a folder alone that has entries in it", () => {
  const id = encodeHex(systemRandom(16));
  const first = newFolderName(root, "bob", id);
  const folder = TranscriptFolder.open(root, first);
  expect(newFolderName(root, "bob", id)).toBe(first);
  folder.append(["one"]);
  folder.close();
  expect(newFolderName(root, "bob", id)).toBe(`${first}-2`);
});

test("append() adds lines, and lines() gives them back with their ends", () => {
  const folder = TranscriptFolder.open(root, "bob");
  folder.append(["one", "two"]);
  folder.append([]);
  folder.append(["three"]);
  expect([...folder.lines()]).toEqual([
    { line: "one", end: 4 },
    { line: "two", end: 8 },
    { line: "three", end: 14 },
  ]);
  expect(folder.sha256()).toBe(encodeHex(sha256(new TextEncoder().encode("one\ntwo\nthree\n"))));
  folder.close();
});

test("lines() gives back lines that are longer than what is read at a time", () => {
  const folder = TranscriptFolder.open(root, "bob");
  const long = ["x".repeat(1_500_000), "y".repeat(1_048_575), "z"];
  folder.append(long);
  expect([...folder.lines()].map(({ line }) => line)).toEqual(long);
  folder.close();
});

test("open() cuts off a line that was torn, and no more", () => {
  const folder = TranscriptFolder.open(root, "bob");
  folder.append(["one", "two"]);
  folder.close();
  appendFileSync(join(root, "bob", "transcript.jsonl"), `torn ${"x".repeat(100_000)}`);
  const again = TranscriptFolder.open(root, "bob");
  expect([...again.lines()].map(({ line }) => line)).toEqual(["one", "two"]);
  again.append(["three"]);
  expect(readFileSync(join(root, "bob", "transcript.jsonl"), "utf8")).toBe("one\ntwo\nthree\n");
  again.close();
});

test("startOver() leaves the file as it is until there is something to write", () => {
  const file = join(root, "bob", "transcript.jsonl");
  const folder = TranscriptFolder.open(root, "bob");
  folder.append(["one", "two"]);
  folder.startOver();
  expect([...folder.lines()]).toEqual([]);
  expect(readFileSync(file, "utf8")).toBe("one\ntwo\n");
  folder.append(["three"]);
  expect(readFileSync(file, "utf8")).toBe("three\n");
  folder.close();
});

test("lines() does not hide a byte order mark", () => {
  const folder = TranscriptFolder.open(root, "bob");
  folder.append(["\ufeffone", "two"]);
  expect([...folder.lines()].map(({ line }) => line)).toEqual(["\ufeffone", "two"]);
  folder.close();
});

test("a folder that was closed is not written to", () => {
  const folder = TranscriptFolder.open(root, "bob");
  folder.close();
  folder.close();
  expect(codeOf(() => folder.append(["one"]))).toBe("TRANSCRIPT_UNUSABLE");
});
