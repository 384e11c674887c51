import { closeSync, fsyncSync, openSync, renameSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces `file` by `bytes` so that a reader sees the old content or the new one, never a part: written beside it, renamed.
 *
 * @param flush also for a machine that loses power: file and folder are flushed. Without it that machine may find the file
 *   empty, which is for files that are written again from elsewhere.
 */
export function writeFileAtomically(file: string, bytes: Uint8Array, flush = true): void {
  const temporary = `${file}.${process.pid}.tmp`;
  // Made anew: in a folder that others can write to, nothing that they put there is written through.
  rmSync(temporary, { force: true });
  const descriptor = openSync(temporary, "wx", 0o600);
  try {
    writeAll(descriptor, bytes, 0);
    if (flush) fsyncSync(descriptor);
  } catch (error) {
    closeSync(descriptor);
    unlinkSync(temporary);
    throw error;
  }
  closeSync(descriptor);
  renameSync(temporary, file);
  if (flush) syncFolder(dirname(file));
}

/** `write` may take a part only; this calls it until everything is written, from `position` of the file on. */
export function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
}

/** Makes names that were made in the folder survive a loss of power. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
