import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");

test("README.md names the original's 24 crypto tests, and each is where it says", () => {
  const rows = readFileSync(join(import.meta.dir, "README.md"), "utf8")
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter(([, number = ""]) => /^[0-9]+$/.test(number));
  expect(rows.map(([, number]) => Number(number))).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  const missing = rows.filter(([, , , , file = "", name = ""]) => {
    const text = readFileSync(join(root, file), "utf8");
    return ![`"${name}"`, `\`${name}\``].some((quoted) => text.includes(`test(${quoted}`));
  });
  expect(missing).toEqual([]);
});
