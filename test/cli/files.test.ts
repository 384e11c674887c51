import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../../src/cli/cliError.ts";
import { readFile } from "../../src/cli/files.ts";

const folder = mkdtempSync(join(tmpdir(), "securechat-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

function refusal(file: string, maxBytes?: number): string {
  try {
    readFile(file, "list", "", maxBytes);
  } catch (error) {
    if (error instanceof CliError) return `${error.exitCode} ${error.message}`;
    throw error;
  }
  return "it was read";
}

test("readFile() reads as much as it may, and refuses a file with one byte more", () => {
  const file = join(folder, "file");
  for (const length of [0, 1, 65_535, 65_536, 65_537, 200_000]) {
    const bytes = crypto.getRandomValues(new Uint8Array(200_000)).subarray(0, length);
    writeFileSync(file, bytes);
    expect(Buffer.compare(readFile(file, "list", "", length), bytes)).toBe(0);
    expect(Buffer.compare(readFile(file, "list"), bytes)).toBe(0);
    if (length > 0)
      expect(refusal(file, length - 1)).toBe(
        `2 list ${file} has ${length} bytes, at most ${length - 1} are read`,
      );
  }
  expect(refusal(join(folder, "nothing"))).toBe(`2 list not found: ${join(folder, "nothing")}`);
  expect(refusal(folder)).toBe(`2 list is a folder: ${folder}`);
});

test("readFile() of what never ends is refused at its limit, in bounded memory", () => {
  const before = process.memoryUsage.rss();
  expect(refusal("/dev/zero")).toBe("2 list /dev/zero does not end within 4194304 bytes");
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
});

test("readFile() reads a pipe to its end, however it comes", async () => {
  const pipe = join(folder, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  const writer = Bun.spawn([
    "sh",
    "-c",
    `for i in 1 2 3; do printf "part $i "; sleep 0.02; done > '${pipe}'`,
  ]);
  expect(new TextDecoder().decode(readFile(pipe, "list"))).toBe("part 1 part 2 part 3 ");
  await writer.exited;
});
