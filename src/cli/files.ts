import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { syncFolder } from "../client/atomicFile.ts";
import { type CliError, usageError } from "./cliError.ts";

/** Largest file that a command reads whole (certificates, keys, lists; not transcripts). */
const maxFileBytes = 4 * 1024 * 1024;

const firstBytes = 65_536;

const reasons: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "not found"],
  ["ENOTDIR", "not found"],
  ["EACCES", "not readable"],
  ["EISDIR", "is a folder"],
]);

/** @throws {CliError} exit code 2, naming `what` the file was meant to be and what to do */
export function readFile(file: string, what: string, hint = "", maxBytes = maxFileBytes): Uint8Array {
  try {
    const size = statSync(file).size;
    if (size > maxBytes) throw usageError(`${what} ${file} has ${size} bytes, at most ${maxBytes} are read`);
    const bytes = readAtMost(file, maxBytes);
    if (bytes === undefined) throw usageError(`${what} ${file} does not end within ${maxBytes} bytes`);
    return bytes;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) {
      const reason = reasons.get(String(cause.code)) ?? cause.message;
      throw usageError(`${what} ${reason}: ${file}${hint === "" ? "" : `; ${hint}`}`, cause);
    }
    throw cause;
  }
}

/** Pipes and devices, whose size nobody knows before, are read like files. @returns `undefined` when there is more */
function readAtMost(file: string, maxBytes: number): Uint8Array | undefined {
  const descriptor = openSync(file, "r");
  try {
    let buffer = new Uint8Array(Math.min(firstBytes, maxBytes + 1));
    for (let length = 0; ; ) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (read === 0) return buffer.slice(0, length);
      length += read;
      if (length > maxBytes) return undefined;
      if (length < buffer.length) continue;
      const larger = new Uint8Array(Math.min(2 * length, maxBytes + 1));
      larger.set(buffer);
      buffer = larger;
    }
  } finally {
    closeSync(descriptor);
  }
}

export function readText(file: string, what: string, hint = ""): string {
  return new TextDecoder().decode(readFile(file, what, hint));
}

export interface NewFile {
  readonly path: string;
  readonly content: string | Uint8Array;
  /** 0o600 for private keys, 0o644 for what may be public. */
  readonly mode: number;
  /**
   * What becomes of a file that stands at `path`: left out, that is an error; `true`: it is replaced; a path: it is
   * replaced and stays under that name, unless something has that name already.
   */
  readonly replace?: true | string;
}

/** Files that lie complete beside their places. */
export interface StagedFiles extends Disposable {
  /**
   * Puts all in place, in order. A file that must be new is linked, which fails where one stands, whoever made it in the
   * meantime. @throws {CliError} exit code 2
   */
  publish(): void;
}

/**
 * Writes files beside their places, flushed: what can fail (space, rights, a file that stands there) has failed then. A
 * reader never sees half of one, and a crash leaves the old one.
 *
 * @throws {CliError} exit code 2
 */
export function stageFiles(files: readonly NewFile[]): StagedFiles {
  const existing = files.find(({ path, replace }) => replace === undefined && existsSync(path));
  if (existing !== undefined)
    throw usageError(`${existing.path} exists already; use --force to overwrite it`);
  const temporaryOf = ({ path }: NewFile) => `${path}.${process.pid}.tmp`;
  const discard = () => {
    for (const file of files) rmSync(temporaryOf(file), { force: true });
  };
  try {
    for (const file of files) writeSynced(temporaryOf(file), file);
  } catch (cause) {
    discard();
    throw cantWrite(cause);
  }
  return {
    publish() {
      try {
        for (const file of files) putInPlace(temporaryOf(file), file);
        for (const folder of new Set(files.map(({ path }) => dirname(path)))) syncFolder(folder);
      } catch (cause) {
        throw cantWrite(cause);
      }
    },
    [Symbol.dispose]: discard,
  };
}

/** Stages and publishes. @throws {CliError} exit code 2 */
export function writeNewFiles(files: readonly NewFile[]): void {
  using staged = stageFiles(files);
  staged.publish();
}

function writeSynced(temporary: string, { content, mode }: NewFile): void {
  mkdirSync(dirname(temporary), { recursive: true });
  rmSync(temporary, { force: true });
  const descriptor = openSync(temporary, "wx", mode);
  try {
    writeFileSync(descriptor, content);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function putInPlace(temporary: string, { path, replace }: NewFile): void {
  if (typeof replace === "string" && existsSync(path) && !existsSync(replace)) linkOrCopy(path, replace);
  if (replace === undefined) linkOrCopy(temporary, path);
  else renameSync(temporary, path);
}

/** FAT, which USB sticks have, knows no links; a copy is not there at once, but it doesn't overwrite anything either. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw cause;
    copyFileSync(from, to, constants.COPYFILE_EXCL);
  }
}

function cantWrite(cause: unknown): CliError {
  return usageError(`can't write: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
}
