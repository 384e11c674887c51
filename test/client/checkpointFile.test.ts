import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointFile } from "../../src/client/checkpointFile.ts";
import { TranscriptFolder } from "../../src/client/transcriptFolder.ts";
import { codeOf } from "./codeOf.ts";

let root: string;
let folder: TranscriptFolder;
let file: CheckpointFile;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "securechat-checkpoints-"));
  folder = TranscriptFolder.open(root, "bob");
  file = new CheckpointFile(folder);
});
afterEach(() => {
  file.close();
  folder.close();
  rmSync(root, { recursive: true, force: true });
});

const content = () => readFileSync(join(root, "bob", "checkpoints.jsonl"), "utf8");

test("the first checkpoint is written at once, those that follow it closely together", () => {
  file.write(["one"]);
  expect(content()).toBe("one\n");
  file.write(["two"]);
  file.write(["two", "contradiction"]);
  expect(content()).toBe("one\n");
  file.flush();
  expect(content()).toBe("two\ncontradiction\n");
});

test("what waits is written by itself", async () => {
  file.write(["one"]);
  const changed = new Promise<void>((resolve) => {
    const watcher = watch(join(root, "bob"), () => {
      if (content() !== "two\n") return;
      watcher.close();
      resolve();
    });
  });
  file.write(["two"]);
  await changed;
  expect(content()).toBe("two\n");
});

test("close() writes what waits", () => {
  file.write(["one"]);
  file.write(["two"]);
  file.close();
  expect(content()).toBe("two\n");
});

test("a folder that is gone is said by the next write, and forgiven by close()", () => {
  file.write(["one"]);
  renameSync(join(root, "bob"), join(root, "gone"));
  file.write(["two"]);
  expect(codeOf(() => file.flush())).toBe("TRANSCRIPT_UNUSABLE");
  file.close();
});
