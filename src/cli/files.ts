import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { usageError } from "./cliError.ts";

/** Largest file that a command reads whole (certificates, keys, lists; not transcripts). */
const maxFileBytes = 4 * 1024 * 1024;

/** @throws {CliError} exit code 2, naming `what` the file was meant to be and what to do */
export function readFile(file: string, what: string, hint = "", maxBytes = maxFileBytes): Uint8Array {
  try {
    const size = statSync(file).size;
    if (size > maxBytes) throw usageError(`${what} ${file} has ${size} bytes, at most ${maxBytes} are read`);
    return readFileSync(file);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) {
      const reason =
        cause.code === "ENOENT" ? "not found" : cause.code === "EACCES" ? "not readable" : cause.message;
      throw usageError(`${what} ${reason}: ${file}${hint === "" ? "" : `; ${hint}`}`, cause);
    }
    throw cause;
  }
}

export function readText(file: string, what: string, hint = ""): string {
  return new TextDecoder().decode(readFile(file, what, hint));
}

interface NewFile {
  readonly path: string;
  readonly content: string | Uint8Array;
  /** 0o600 for private keys, 0o644 for what may be public. */
  readonly mode: number;
}

/**
 * Writes files that must not exist yet, or with `force` replaces them. All are written beside their place first, then
 * linked or renamed, so a reader never sees half of one and a crash leaves the old one. Without `force` the link
 * fails where a file stands, whoever made it in the meantime.
 *
 * @throws {CliError} exit code 2
 */
export function writeNewFiles(files: readonly NewFile[], force: boolean): void {
  if (!force) {
    const existing = files.find(({ path }) => existsSync(path));
    if (existing !== undefined)
      throw usageError(`${existing.path} exists already; use --force to overwrite it`);
  }
  const written: { temporary: string; path: string }[] = [];
  try {
    for (const { path, content, mode } of files) {
      mkdirSync(dirname(path), { recursive: true });
      const temporary = `${path}.${process.pid}.tmp`;
      rmSync(temporary, { force: true });
      const descriptor = openSync(temporary, "wx", mode);
      written.push({ temporary, path });
      try {
        writeFileSync(descriptor, content);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    }
    for (const { temporary, path } of written) {
      if (force) renameSync(temporary, path);
      else linkSync(temporary, path);
    }
  } catch (cause) {
    throw usageError(`can't write: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  } finally {
    for (const { temporary } of written) rmSync(temporary, { force: true });
  }
}
