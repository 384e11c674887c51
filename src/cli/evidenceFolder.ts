import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { maxDisclosureBytes } from "../evidence/disclosure.ts";
import type { EvidenceFile, EvidenceInput, ReceiptFiles } from "../evidence/evidenceInput.ts";
import { usageError } from "./cliError.ts";
import { readFile } from "./files.ts";

const receiptName = /^receipt(?:-[1-9][0-9]{0,15})?\.json$/;
const knownNames = new Set([
  "transcript.jsonl",
  "certificates.pem",
  "crl.pem",
  "checkpoints.jsonl",
  "disclosure.json",
]);
const readBytes = 1024 * 1024;
/** More files than any client writes: somebody means to keep the verifier busy. */
const maxFiles = 10_000;

/** What the caller named on the command line. Exactly one of `folder` and `receipt` is there. */
export interface EvidenceLocation {
  readonly folder?: string;
  /** A receipt's .json or .p7s; the others are looked for beside it. */
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
  const names = readdirSync(folder).sort();
  if (names.length > maxFiles)
    throw usageError(`${folder} holds ${names.length} files, which is no evidence folder`);
  const receipts =
    location.receipt === undefined
      ? names.filter((name) => receiptName.test(name)).map((name) => readReceipt(join(folder, name)))
      : [readReceipt(location.receipt.replace(/\.p7s$/, ".json"))];
  const optional = (name: string) => (names.includes(name) ? read(join(folder, name)) : undefined);
  const disclosure = optional("disclosure.json");
  const certificates = optional("certificates.pem");
  return {
    transcript: streamTranscript(location.transcript ?? join(folder, "transcript.jsonl")),
    certificates: [
      ...(certificates === undefined ? [] : [certificates]),
      ...location.certificates.map((file) => read(file)),
    ],
    crl: optional("crl.pem"),
    checkpoints: optional("checkpoints.jsonl"),
    receipts: receipts.sort((a, b) => newestFirst(a.statement.name, b.statement.name)),
    disclosures: [
      ...(disclosure === undefined ? [] : [disclosure]),
      ...location.disclosures.map((file) => read(file)),
    ],
    strayFiles:
      location.folder === undefined
        ? []
        : names.filter((name) => !knownNames.has(name) && !receiptName.test(name.replace(/\.p7s$/, ".json"))),
  };
}

/** `receipt.json` is the newest; of the others the larger size is. */
function newestFirst(a: string, b: string): number {
  const sizeOf = (name: string) => Number(/-([0-9]+)\.json$/.exec(name)?.[1] ?? Number.MAX_SAFE_INTEGER);
  return sizeOf(b) - sizeOf(a);
}

function readReceipt(file: string): ReceiptFiles {
  const signatures = file.replace(/\.json$/, ".p7s");
  return { statement: read(file), signedData: existsSync(signatures) ? read(signatures) : undefined };
}

function read(file: string): EvidenceFile {
  return { name: file, bytes: readFile(file, "evidence", "", maxDisclosureBytes) };
}

function streamTranscript(file: string): EvidenceInput["transcript"] {
  if (!existsSync(file)) throw usageError(`transcript not found: ${file}; name it with --transcript`);
  return { name: file, chunks: createReadStream(file, { highWaterMark: readBytes }) };
}
