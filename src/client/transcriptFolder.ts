import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { crypto } from "../crypto/crypto.ts";
import { mergeSignedData } from "../pki/cms/mergeSignedData.ts";
import { splitSignedData } from "../pki/cms/splitSignedData.ts";
import { formatPem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import { syncFolder, writeAll, writeFileAtomically } from "./atomicFile.ts";
import { ClientError } from "./clientError.ts";

const readBytes = 1024 * 1024;
const lineEnd = 0x0a;

/** The exact bytes that are signed, and one CMS SignedData with all signers, which the folder keeps in two files. */
export interface ReceiptFiles {
  readonly statement: Uint8Array;
  readonly signedData: Uint8Array;
}

/**
 * The evidence of one conversation: `transcripts/<name>-<id8>/`. `transcript.jsonl` only grows, apart from a torn or altered
 * tail that is cut off before it is repaired; every other file is replaced as a whole. Nothing in here is secret but
 * `disclosure.json`, and nothing in here is trusted when it is read back: the vault knows size and root.
 */
export class TranscriptFolder {
  readonly path: string;
  #open: number | undefined;
  /** Bytes of whole lines. */
  #length: number;
  /** What stands in the file counts for nothing, and stays until something better is there to be written. */
  #isGivenUp = false;

  private constructor(path: string, descriptor: number, length: number) {
    this.path = path;
    this.#open = descriptor;
    this.#length = length;
  }

  /**
   * @param folderName as `newFolderName` once gave it
   * @throws {ClientError} `TRANSCRIPT_UNUSABLE`
   */
  static open(root: string, folderName: string): TranscriptFolder {
    const path = join(root, folderName);
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      const isNew = !existsSync(join(path, "transcript.jsonl"));
      const descriptor = openSync(join(path, "transcript.jsonl"), isNew ? "ax+" : "r+", 0o600);
      if (isNew) syncFolder(path);
      const length = wholeLineBytes(descriptor);
      ftruncateSync(descriptor, length);
      return new TranscriptFolder(path, descriptor, length);
    } catch (cause) {
      throw new ClientError(
        "TRANSCRIPT_UNUSABLE",
        `the transcript can't be opened: ${path}; make the folder writable, or choose another one`,
        { cause },
      );
    }
  }

  /** The whole lines, without their line ends, with the offset behind each. Text that is not UTF-8 comes out as U+FFFD. */
  *lines(): Generator<{ line: string; end: number }> {
    // A byte order mark that an editor has put there is no part of any line: it must show as one that was altered.
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let rest = new Uint8Array(0);
    let offset = 0;
    while (offset < this.#length) {
      const chunk = new Uint8Array(Math.min(readBytes, this.#length - offset));
      const taken = readSync(this.#descriptor, chunk, 0, chunk.length, offset);
      if (taken === 0) return;
      const start = offset - rest.length;
      offset += taken;
      const bytes = Buffer.concat([rest, chunk.subarray(0, taken)]);
      let from = 0;
      for (let to = bytes.indexOf(lineEnd); to >= 0; to = bytes.indexOf(lineEnd, from)) {
        yield { line: decoder.decode(bytes.subarray(from, to)), end: start + to + 1 };
        from = to + 1;
      }
      rest = bytes.subarray(from);
    }
  }

  /** SHA-256 of all whole lines with their line ends. */
  sha256(): Hex {
    const hash = crypto().sha256Stream();
    const chunk = new Uint8Array(readBytes);
    for (let offset = 0; offset < this.#length; ) {
      const taken = readSync(this.#descriptor, chunk, 0, Math.min(readBytes, this.#length - offset), offset);
      if (taken === 0)
        throw new ClientError("TRANSCRIPT_UNUSABLE", `the transcript was cut short: ${this.path}`);
      hash.update(chunk.subarray(0, taken));
      offset += taken;
    }
    return encodeHex(hash.digest());
  }

  /** Adds lines in one write. They survive the end of the process at once, a loss of power after `sync`. */
  append(lines: readonly string[]): void {
    if (lines.length === 0) return;
    const bytes = encodeUtf8(`${lines.join("\n")}\n`);
    try {
      if (this.#isGivenUp) ftruncateSync(this.#descriptor, 0);
      this.#isGivenUp = false;
      writeAll(this.#descriptor, bytes, this.#length);
    } catch (cause) {
      throw new ClientError("TRANSCRIPT_UNUSABLE", `the transcript can't be written: ${this.path}`, {
        cause,
      });
    }
    this.#length += bytes.length;
  }

  /** Cuts the file behind `length` bytes, the end of a line; what follows was torn or altered. */
  truncate(length: number): void {
    ftruncateSync(this.#descriptor, length);
    this.#length = length;
  }

  /** Begins anew with the next `append`. Until then the file stays as it is: it may be all that is left of the log. */
  startOver(): void {
    this.#length = 0;
    this.#isGivenUp = true;
  }

  sync(): void {
    fsyncSync(this.#descriptor);
  }

  /** Leaf certificates, intermediates and the CA (for information only), in the order given, each once. */
  writeCertificates(certificates: readonly Uint8Array[]): void {
    this.#replace("certificates.pem", certificates.map((der) => formatPem("CERTIFICATE", der)).join(""));
  }

  /** @param crls one of each CA that the certificates come from; none leaves what is there */
  writeCrls(crls: readonly Uint8Array[]): void {
    if (crls.length === 0) return;
    this.#replace("crl.pem", crls.map((der) => formatPem("X509 CRL", der)).join(""));
  }

  /**
   * With every batch of entries, so without flushing: the vault has them too, and they are written again with the next one.
   *
   * @param lines the newest checkpoint, and one that contradicts
   */
  writeCheckpoints(lines: readonly string[]): void {
    this.#replace("checkpoints.jsonl", lines.map((line) => `${line}\n`).join(""), false);
  }

  /**
   * Replaces the receipt: `receipt.json`, and its signers in `receipt.p7s` and `receipt.ed25519.p7s` as their keys say. One
   * of another size before it stays as `receipt-<older>…`.
   */
  writeReceipt({ statement, signedData }: ReceiptFiles, older: number | undefined): void {
    const signatures = splitSignedData(signedData);
    if (older !== undefined)
      for (const ending of ["json", "p7s", "ed25519.p7s"])
        this.#rename(`receipt.${ending}`, `receipt-${older}.${ending}`);
    this.#replace("receipt.json", statement);
    this.#replaceOrRemove("receipt.p7s", signatures.p7s);
    this.#replaceOrRemove("receipt.ed25519.p7s", signatures.ed25519);
  }

  /** @returns the receipt with all signers of both files, or `undefined` when something is missing or unreadable */
  readReceipt(): ReceiptFiles | undefined {
    const statement = this.#read("receipt.json");
    const [first, second] = ["receipt.p7s", "receipt.ed25519.p7s"].flatMap((name) => this.#read(name) ?? []);
    if (statement === undefined || first === undefined) return undefined;
    try {
      return { statement, signedData: second === undefined ? first : mergeSignedData(first, second) };
    } catch (error) {
      if (error instanceof PkiError) return undefined;
      throw error;
    }
  }

  writeDisclosure(json: Uint8Array): string {
    this.#replace("disclosure.json", json);
    return join(this.path, "disclosure.json");
  }

  /** Nothing can be read or written any more; harmless the second time. */
  close(): void {
    if (this.#open !== undefined) closeSync(this.#open);
    this.#open = undefined;
  }

  /** A number that was closed may belong to another file by now. */
  get #descriptor(): number {
    if (this.#open === undefined)
      throw new ClientError("TRANSCRIPT_UNUSABLE", `the transcript was closed: ${this.path}`);
    return this.#open;
  }

  #replace(name: string, content: Uint8Array | string, flush = true): void {
    const bytes = typeof content === "string" ? encodeUtf8(content) : content;
    try {
      writeFileAtomically(join(this.path, name), bytes, flush);
    } catch (cause) {
      throw new ClientError("TRANSCRIPT_UNUSABLE", `${name} can't be written in ${this.path}`, { cause });
    }
  }

  #replaceOrRemove(name: string, content: Uint8Array | undefined): void {
    if (content === undefined) rmSync(join(this.path, name), { force: true });
    else this.#replace(name, content);
  }

  #rename(from: string, to: string): void {
    if (existsSync(join(this.path, from))) renameSync(join(this.path, from), join(this.path, to));
  }

  #read(name: string): Uint8Array | undefined {
    const file = join(this.path, name);
    return existsSync(file) ? readFileSync(file) : undefined;
  }
}

/**
 * A name for the folder of a conversation that has none yet: `<name>-<first 8 digits of the id>`, fit for every file system. A
 * peer chooses the id: a folder with entries in it, of another conversation or an earlier vault, is left alone and a number appended.
 *
 * @param name free text: what is not fit for a file name becomes `_`
 */
export function newFolderName(root: string, name: string, conversation: Hex): string {
  const safe = name.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 64);
  const base = `${safe.startsWith(".") ? `_${safe}` : safe}-${conversation.slice(0, 8)}`;
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? base : `${base}-${number}`;
    const file = join(root, candidate, "transcript.jsonl");
    if (!existsSync(file) || statSync(file).size === 0) return candidate;
  }
}

function wholeLineBytes(descriptor: number): number {
  const chunk = new Uint8Array(64 * 1024);
  for (let end = fstatSync(descriptor).size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const taken = readSync(descriptor, chunk, 0, end - start, start);
    const last = chunk.subarray(0, taken).lastIndexOf(lineEnd);
    if (last >= 0) return start + last + 1;
    end = start;
  }
  return 0;
}
