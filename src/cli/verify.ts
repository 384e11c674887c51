import { existsSync } from "node:fs";
import { formatReport, formatReportJson } from "../evidence/formatReport.ts";
import type { Verdict } from "../evidence/report.ts";
import { verifyEvidence } from "../evidence/verifyEvidence.ts";
import { parseCrlFile } from "../pki/crl.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type ExitCode, exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import { readEvidenceFolder } from "./evidenceFolder.ts";
import { readFile } from "./files.ts";

const exitCodeOf: Record<Verdict, ExitCode> = {
  valid: exitCodes.done,
  invalid: exitCodes.refused,
  incomplete: exitCodes.incomplete,
  indeterminate: exitCodes.incomplete,
};

const defaultCa = "certs/ca_cert.pem";

/** `securechat verify FOLDER` or `--receipt FILE`: offline, without keys. */
export async function verify(args: Arguments): Promise<number> {
  const [folder, ...rest] = args.positionals;
  const receipt = args.text("receipt");
  if (rest.length > 0) throw usageError(`unexpected argument "${rest[0]}"`);
  if ((folder === undefined) === (receipt === undefined))
    throw usageError("name an evidence folder, or a receipt with --receipt FILE");
  const caFile = args.text("ca") ?? (existsSync(defaultCa) ? defaultCa : undefined);
  const crlFile = args.text("crl");
  const transcript = args.text("transcript");
  const report = await verifyEvidence({
    ...readEvidenceFolder({
      ...(folder === undefined ? {} : { folder }),
      ...(receipt === undefined ? {} : { receipt }),
      ...(transcript === undefined ? {} : { transcript }),
      certificates: args.all("cert"),
      disclosures: args.all("disclosure"),
    }),
    anchors: caFile === undefined ? [] : readCertificates(caFile, "CA certificate"),
    crls: crlFile === undefined ? [] : [readCrl(crlFile)],
    server: args.text("server"),
  });
  process.stdout.write(args.has("json") ? formatReportJson(report) : formatReport(report));
  return exitCodeOf[report.verdict];
}

function readCrl(file: string) {
  try {
    return parseCrlFile(readFile(file, "revocation list"));
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw usageError(`revocation list ${file}: ${error.message}`, error);
  }
}
