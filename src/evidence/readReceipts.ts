import { decodeSignedData, type SignedData } from "../pki/cms/signedData.ts";
import type { SignatureFile } from "../pki/cms/splitSignedData.ts";
import { PkiError } from "../pki/pkiError.ts";
import { EvidenceError } from "./evidenceError.ts";
import type { EvidenceFile, ReceiptFiles } from "./evidenceInput.ts";
import { parseStatement, type ReceiptStatement } from "./receiptStatement.ts";
import type { Findings } from "./report.ts";

/** Receipts that are judged, the newest first. Each costs a digest over the transcript. */
export const maxReceipts = 100;

/** A receipt that could be read. Nothing about it has been verified. */
export interface ReadReceipt {
  readonly file: EvidenceFile;
  readonly statement: ReceiptStatement;
  /** At most one of each kind; empty when they are missing or can't be read, which has been reported. */
  readonly signatures: readonly ReadSignatures[];
}

/** One of the files with the signatures of a receipt. */
export interface ReadSignatures {
  readonly kind: SignatureFile;
  readonly file: EvidenceFile;
  readonly signedData: SignedData;
}

/** Reads the receipts before the transcript: their sizes tell what to look for in it, and they bring certificates. */
export function readReceipts(receipts: readonly ReceiptFiles[], findings: Findings): readonly ReadReceipt[] {
  const omitted = receipts.slice(maxReceipts);
  if (omitted.length > 0)
    findings.note(
      "RECEIPTS_OMITTED",
      omitted[0]?.statement.name ?? "",
      "",
      `only the newest ${maxReceipts} receipts were looked at, not this one and ${omitted.length - 1} older ones; name one with --receipt`,
    );
  return receipts.slice(0, maxReceipts).flatMap(({ statement: file, signedData, ed25519 }) => {
    const statement = readStatement(file, findings);
    if (statement === undefined) return [];
    if (signedData === undefined && ed25519 === undefined)
      findings.gap(
        "SIGNED_DATA_MISSING",
        file.name,
        "",
        "its signatures (the .p7s files beside it) are missing",
      );
    const signatures = [
      ...readSignatures("p7s", signedData, findings),
      ...readSignatures("ed25519", ed25519, findings),
    ];
    return [{ file, statement, signatures }];
  });
}

function readStatement(file: EvidenceFile, findings: Findings): ReceiptStatement | undefined {
  try {
    return parseStatement(file.bytes);
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    findings.error("STATEMENT_MALFORMED", file.name, "", error.message);
    return undefined;
  }
}

function readSignatures(
  kind: SignatureFile,
  file: EvidenceFile | undefined,
  findings: Findings,
): readonly ReadSignatures[] {
  if (file === undefined) return [];
  try {
    return [{ kind, file, signedData: decodeSignedData(file.bytes) }];
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    findings.error("SIGNED_DATA_REFUSED", file.name, "", error.message);
    return [];
  }
}
