import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchFile } from "../../src/cli/watchFile.ts";

let folder: string;
let file: string;
let end: () => void = () => {};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "securechat-watch-"));
  file = join(folder, "list.pem");
});
afterEach(() => {
  end();
  rmSync(folder, { recursive: true });
});

/** @returns waits for the next change */
function changes(): () => Promise<void> {
  let wake: (() => void) | undefined;
  let pending = 0;
  end = watchFile(file, () => {
    pending += 1;
    wake?.();
  });
  return async () => {
    while (pending === 0) await new Promise<void>((resolve) => (wake = resolve));
    pending = 0;
  };
}

test("watchFile() tells of a file that was replaced, written in place, removed and made again", async () => {
  writeFileSync(file, "one");
  const changed = changes();
  writeFileSync(`${file}.new`, "two");
  renameSync(`${file}.new`, file);
  await changed();
  writeFileSync(file, "three, in place");
  await changed();
  rmSync(file);
  writeFileSync(file, "four, anew");
  await changed();
});

test("watchFile() tells once of a file that was not there before, and of no other", async () => {
  let told = 0;
  const first = Promise.withResolvers<void>();
  end = watchFile(file, () => {
    told += 1;
    first.resolve();
  });
  writeFileSync(join(folder, "another"), "nothing to do with it");
  writeFileSync(`${file}.tmp`, "nor this");
  writeFileSync(file, "here");
  await first.promise;
  expect(told).toBe(1);
});
