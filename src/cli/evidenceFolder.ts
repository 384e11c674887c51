import { createReadStream, existsSync, lstatSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { encodeUtf8 } from "../base/bytes.ts";
import { maxCheckpoints } from "../evidence/checkpointsCheck.ts";
import { maxDisclosureBytes } from "../evidence/disclosure.ts";
import type { EvidenceFile, EvidenceInput, ReceiptFiles } from "../evidence/evidenceInput.ts";
import type { ProofFiles } from "../evidence/forkFile.ts";
import { maxReceipts } from "../evidence/readReceipts.ts";
import { maxStatementBytes } from "../evidence/receiptStatement.ts";
import { maxCheckpointLineBytes } from "../log/checkpoint.ts";
import { formatPem } from "../pki/pem.ts";
import { type CliError, usageError } from "./cliError.ts";
import { readCertificates } from "./credentialFiles.ts";
import { readFile } from "./files.ts";

const receiptName = /^receipt(?:-[1-9][0-9]{0,15})?\.json$/;
/** Of the two files with a receipt's signatures: Ed25519 keys have their own. */
const signaturesEnding = /(?:\.ed25519)?\.p7s$/;
const knownNames = new Set([
  "transcript.jsonl",
  "certificates.pem",
  "crl.pem",
  "checkpoints.jsonl",
  "disclosure.json",
]);
const proofNames = ["fork.json", ...["first", "second"].flatMap(proofNamesOf)];
const readBytes = 1024 * 1024;
/** Certificates and revocation lists. */
const maxPemBytes = 8 * 1024 * 1024;
const maxCheckpointsBytes = (maxCheckpoints + 1) * (maxCheckpointLineBytes + 1);
/** More files than any client writes: somebody means to keep the verifier busy. */
const maxFiles = 10_000;

/** What the caller named on the command line. Exactly one of `folder` and `receipt` is there. */
export interface EvidenceLocation {
  readonly folder?: string;
  /** A receipt's .json, .p7s or .ed25519.p7s; the others are looked for beside it. */
  readonly receipt?: string;
  readonly transcript?: string;
  readonly certificates: readonly string[];
  readonly disclosures: readonly string[];
}

/**
 * Finds and reads the files of one body of evidence. The transcript is streamed, all else is small.
 *
 * @throws {CliError} exit code 2 when what was named is not there or is no evidence
 */
export function readEvidenceFolder(
  location: EvidenceLocation,
): Omit<EvidenceInput, "anchors" | "crls" | "server"> {
  const folder = location.folder ?? dirname(location.receipt ?? ".");
  if (!existsSync(folder) || !statSync(folder).isDirectory()) throw usageError(`${folder} is no folder`);
  const names = namesIn(folder);
  if (names.length > maxFiles)
    throw usageError(`${folder} holds ${names.length} files, which is no evidence folder`);
  const receipts =
    location.receipt === undefined
      ? names
          .filter((name) => receiptName.test(name))
          .sort(newestFirst)
          .map((name, index) => readReceipt(join(folder, name), index < maxReceipts))
      : [readReceipt(location.receipt.replace(signaturesEnding, ".json"), true)];
  const optional = (name: string, maxBytes: number) =>
    names.includes(name) ? readFound(join(folder, name), maxBytes) : undefined;
  const disclosure = optional("disclosure.json", maxDisclosureBytes);
  const certificates = optional("certificates.pem", maxPemBytes);
  return {
    transcript:
      location.transcript === undefined
        ? streamTranscript(join(folder, "transcript.jsonl"), refuseIrregular)
        : streamTranscript(location.transcript),
    certificates: [
      ...(certificates === undefined ? [] : [certificates]),
      ...location.certificates.map(readOwnCertificates),
    ],
    crl: optional("crl.pem", maxPemBytes),
    checkpoints: optional("checkpoints.jsonl", maxCheckpointsBytes),
    receipts,
    disclosures: [
      ...(disclosure === undefined ? [] : [disclosure]),
      ...location.disclosures.map((file) => read(file, maxDisclosureBytes)),
    ],
    strayFiles:
      location.folder === undefined
        ? []
        : names.filter(
            (name) => !knownNames.has(name) && !receiptName.test(name.replace(signaturesEnding, ".json")),
          ),
  };
}

/** @returns whether the folder is a proof that a server forked a conversation, as `verify A B --out` writes it */
export function isForkProof(folder: string): boolean {
  return existsSync(join(folder, "fork.json")) && !existsSync(join(folder, "transcript.jsonl"));
}

/** @throws {CliError} exit code 2 */
export function readForkProof(folder: string): ProofFiles {
  const files = proofNames
    .filter((name) => existsSync(join(folder, name)))
    .map((name): [string, Uint8Array] => [name, readFound(join(folder, name), maxStatementBytes).bytes]);
  return new Map(files);
}

function proofNamesOf(name: string): string[] {
  return ["txt", "sig", "json", "p7s", "pem"].map((ending) => `${name}.${ending}`);
}

/** `receipt.json` is the newest; of the others the larger size is. */
function newestFirst(a: string, b: string): number {
  const sizeOf = (name: string) => Number(/-([0-9]+)\.json$/.exec(name)?.[1] ?? Number.MAX_SAFE_INTEGER);
  return sizeOf(b) - sizeOf(a);
}

/** Those that are too many to be judged are named only. */
function readReceipt(file: string, isJudged: boolean): ReceiptFiles {
  if (!isJudged) return { statement: { name: file, bytes: new Uint8Array(0) }, signedData: undefined };
  const signatures = (ending: string) => {
    const name = file.replace(/\.json$/, ending);
    return existsSync(name) ? readFound(name, maxStatementBytes) : undefined;
  };
  return {
    statement: readFound(file, maxStatementBytes),
    signedData: signatures(".p7s"),
    ed25519: signatures(".ed25519.p7s"),
  };
}

/** A file that the folder's maker chose the kind of: a link leads out of the folder, a pipe or device never ends. */
function readFound(file: string, maxBytes: number): EvidenceFile {
  refuseIrregular(file);
  return read(file, maxBytes);
}

function refuseIrregular(file: string): void {
  if (existsSync(file) && !lstatSync(file).isFile()) throw usageError(`${file} is no regular file`);
}

function read(file: string, maxBytes: number): EvidenceFile {
  return { name: file, bytes: readFile(file, "evidence", "", maxBytes) };
}

/** What the verifier brings may have any form that programs write: only the folder's own file has but one. */
function readOwnCertificates(file: string): EvidenceFile {
  const blocks = readCertificates(file, "certificate").map(({ der }) => formatPem("CERTIFICATE", der));
  return { name: file, bytes: encodeUtf8([...new Set(blocks)].join("")), isOwn: true };
}

function streamTranscript(
  file: string,
  check: (file: string) => void = () => {},
): EvidenceInput["transcript"] {
  if (!existsSync(file)) throw usageError(`transcript not found: ${file}; name it with --transcript`);
  check(file);
  return { name: file, chunks: readChunks(file) };
}

async function* readChunks(file: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: readBytes })) yield chunk;
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (cause) {
    throw unreadable(folder, cause);
  }
}

function unreadable(file: string, cause: unknown): CliError {
  return usageError(`can't read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
}
