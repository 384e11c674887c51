import { join } from "node:path";
import { jsonLine } from "../base/jsonLine.ts";
import { compareEvidence } from "../evidence/compareEvidence.ts";
import type { ComparisonVerdict } from "../evidence/comparisonReport.ts";
import type { EvidenceInput } from "../evidence/evidenceInput.ts";
import type { ProofFiles } from "../evidence/forkFile.ts";
import { encodeForkProof } from "../evidence/forkProof.ts";
import { formatComparison, formatComparisonJson, formatForkProof } from "../evidence/formatComparison.ts";
import { formatReport, formatReportJson } from "../evidence/formatReport.ts";
import { judgeEvidence } from "../evidence/verifyEvidence.ts";
import { verifyForkProof } from "../evidence/verifyForkProof.ts";
import type { Crl } from "../pki/crl.ts";
import { parseCrlBundle } from "../pki/crlBundle.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type ExitCode, exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import { isForkProof, readEvidenceFolder, readForkProof } from "./evidenceFolder.ts";
import { readFile, writeNewFiles } from "./files.ts";
import { findDefaultCa } from "./findDefaultCa.ts";

const exitCodeOf: Record<ComparisonVerdict, ExitCode> = {
  valid: exitCodes.done,
  fork: exitCodes.refused,
  invalid: exitCodes.refused,
  unrelated: exitCodes.usage,
  incomplete: exitCodes.incomplete,
  indeterminate: exitCodes.incomplete,
};

/** What the verifier brings: never read from the evidence. */
type Verifier = Pick<EvidenceInput, "anchors" | "crls" | "server">;

/** `securechat verify FOLDER`, `--receipt FILE` or `A B`: offline, without keys. */
export async function verify(args: Arguments): Promise<number> {
  const [folder, other, ...rest] = args.positionals;
  const receipt = args.text("receipt");
  if (rest.length > 0) throw usageError(`unexpected argument "${rest[0]}"`);
  if ((folder === undefined) === (receipt === undefined))
    throw usageError(
      "name an evidence folder, two of them to compare, or a receipt with --receipt FILE; not both",
    );
  const places = [folder, other, receipt, args.text("transcript")].filter((place) => place !== undefined);
  const verifier = readVerifier(args, places);
  if (folder !== undefined && other !== undefined) return await compare(folder, other, args, verifier);
  if (folder !== undefined && isForkProof(folder)) return judgeProof(folder, args, verifier);
  return await judgeFolder({ folder, receipt }, args, verifier);
}

async function judgeFolder(
  { folder, receipt }: { folder: string | undefined; receipt: string | undefined },
  args: Arguments,
  verifier: Verifier,
): Promise<number> {
  const transcript = args.text("transcript");
  const files = readEvidenceFolder({
    ...(folder === undefined ? {} : { folder }),
    ...(receipt === undefined ? {} : { receipt }),
    ...(transcript === undefined ? {} : { transcript }),
    certificates: args.all("cert"),
    disclosures: args.all("disclosure"),
  });
  const { report, fork } = await judgeEvidence({ ...files, ...verifier });
  process.stdout.write(args.has("json") ? formatReportJson(report) : formatReport(report));
  const proof = fork === undefined ? undefined : encodeForkProof(fork, report.server);
  const isProven = proof !== undefined && verifyForkProof(proof, verifier).verdict === "fork";
  writeProof(isProven ? proof : undefined, args);
  return exitCodeOf[report.verdict];
}

async function compare(a: string, b: string, args: Arguments, verifier: Verifier): Promise<number> {
  for (const flag of ["transcript", "disclosure"])
    if (args.has(flag)) throw usageError(`--${flag} is for one folder, not for the comparison of two`);
  const inputOf = (folder: string) => ({
    name: folder,
    input: {
      ...readEvidenceFolder({ folder, certificates: args.all("cert"), disclosures: [] }),
      ...verifier,
    },
  });
  const { report, proof } = await compareEvidence(inputOf(a), inputOf(b));
  process.stdout.write(args.has("json") ? formatComparisonJson(report) : formatComparison(report));
  writeProof(proof, args);
  return exitCodeOf[report.verdict];
}

function judgeProof(folder: string, args: Arguments, verifier: Verifier): number {
  const report = verifyForkProof(readForkProof(folder), verifier);
  process.stdout.write(args.has("json") ? `${jsonLine(report)}\n` : formatForkProof(report));
  return exitCodeOf[report.verdict];
}

function writeProof(proof: ProofFiles | undefined, args: Arguments): void {
  const out = args.text("out");
  if (out === undefined) return;
  if (proof === undefined) {
    process.stderr.write(`securechat: there is no proof of a fork, so nothing was written to ${out}\n`);
    return;
  }
  writeNewFiles([...proof].map(([name, content]) => ({ path: join(out, name), content, mode: 0o644 })));
  process.stderr.write(`securechat: the proof is in ${out}\n`);
}

/** @param places of the evidence: folders and files that others may have made */
function readVerifier(args: Arguments, places: readonly string[]): Verifier {
  const caFile = args.text("ca") ?? findDefaultCa(places);
  const crlFile = args.text("crl");
  return {
    anchors: caFile === undefined ? [] : readCertificates(caFile, "CA certificate"),
    crls: crlFile === undefined ? [] : readCrls(crlFile),
    server: args.text("server"),
  };
}

/** One list, or the lists of a root and its issuing CAs in one PEM file. */
function readCrls(file: string): readonly Crl[] {
  try {
    return parseCrlBundle(readFile(file, "revocation list")).crls;
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw usageError(`revocation list ${file}: ${error.message}`, error);
  }
}
