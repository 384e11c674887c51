import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileAtomically } from "../../src/client/atomicFile.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "securechat-atomic-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("writeFileAtomically() replaces a link and writes through none, neither at the file nor beside it", () => {
  const [file, victim] = [join(folder, "words.json"), join(folder, "victim")];
  writeFileSync(victim, "untouched");
  symlinkSync(victim, file);
  symlinkSync(victim, `${file}.${process.pid}.tmp`);
  writeFileAtomically(file, new TextEncoder().encode("words"));
  expect(readFileSync(victim, "utf8")).toBe("untouched");
  expect(readFileSync(file, "utf8")).toBe("words");
  expect(lstatSync(file).isSymbolicLink()).toBe(false);
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).sort()).toEqual(["victim", "words.json"]);
});
