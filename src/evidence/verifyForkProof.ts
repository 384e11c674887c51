import { decodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { verifyCheckpoint } from "../log/checkpoint.ts";
import { LogError, reasonOf } from "../log/logError.ts";
import { servesAs } from "../log/memberIdentity.ts";
import type { Certificate } from "../pki/certificate.ts";
import { decodeSignedData } from "../pki/cms/signedData.ts";
import { uncoveredParts } from "../pki/cms/uncoveredParts.ts";
import { verifySigner } from "../pki/cms/verifySigner.ts";
import type { Crl } from "../pki/crl.ts";
import { PkiError } from "../pki/pkiError.ts";
import { CertificateBook, readCertificatesFile } from "./certificateBook.ts";
import { verifyConsistency } from "./consistencyProof.ts";
import { EvidenceError } from "./evidenceError.ts";
import { decodeJsonFile } from "./evidenceFile.ts";
import { type ForkFile, forkSchema, maxForkBytes, type ProofFiles } from "./forkFile.ts";
import { parseCheckpointText } from "./forkProof.ts";
import { parseStatement } from "./receiptStatement.ts";
import { type Finding, Findings } from "./report.ts";
import { RevocationCheck } from "./revocationCheck.ts";

/** One of the two statements, verified. */
export interface ProvenStatement {
  readonly kind: "checkpoint" | "receipt";
  readonly size: number;
  readonly root: Hex;
  /** By the server's own clock, ms. */
  readonly at: number;
  /** Of the certificate that signed. */
  readonly fingerprint: Hex;
  /** When that certificate was revoked after that, ms, or `null`: its key may have been a thief's. */
  readonly revokedAt: number | null;
}

/** `fork`: proven. `invalid`: something is false. `indeterminate`: the verifier named no CA. */
export interface ForkProofReport {
  readonly verdict: "fork" | "invalid" | "indeterminate";
  readonly conversation: Hex | null;
  readonly server: string;
  readonly first: ProvenStatement | null;
  readonly second: ProvenStatement | null;
  readonly findings: readonly Finding[];
}

interface Verifier {
  readonly anchors: readonly Certificate[];
  readonly crls: readonly Crl[];
  /** The server that the verifier demands, if any. */
  readonly server?: string | undefined;
}

/**
 * Judges a proof that stands alone. All files may be forged; `README.txt` is not looked at.
 *
 * @returns what was found; it throws for nothing that stands in the files
 */
export function verifyForkProof(files: ProofFiles, verifier: Verifier): ForkProofReport {
  const findings = new Findings();
  const nothing = { conversation: null, server: "", first: null, second: null };
  if (verifier.anchors.length === 0) {
    findings.gap("NO_ANCHOR", "", "", "no CA certificate was given: name the organisation's with --ca");
    return { verdict: "indeterminate", ...nothing, findings: findings.all };
  }
  try {
    const file = readFork(files);
    const [first, second] = (["first", "second"] as const).map((name) =>
      verifyStatement(name, files, file, verifier),
    );
    if (first === undefined || second === undefined) throw refuse("fork.json", "two statements are needed");
    checkContradiction(file, first, second);
    const { conversation, server } = file;
    return { verdict: "fork", conversation, server, first, second, findings: findings.all };
  } catch (error) {
    if (!(error instanceof EvidenceError || error instanceof PkiError || error instanceof LogError))
      throw error;
    findings.error("PROOF_REFUSED", "", "", `${error.message} [${error.code}]`);
    return { verdict: "invalid", ...nothing, findings: findings.all };
  }
}

function readFork(files: ProofFiles): ForkFile {
  try {
    return decodeJsonFile(forkSchema, fileNamed(files, "fork.json"), maxForkBytes);
  } catch (cause) {
    if (cause instanceof EvidenceError) throw cause;
    throw refuse("fork.json", reasonOf(cause), cause);
  }
}

function verifyStatement(
  name: "first" | "second",
  files: ProofFiles,
  fork: ForkFile,
  verifier: Verifier,
): ProvenStatement {
  const findings = new Findings();
  const pem = readCertificatesFile({ name: `${name}.pem`, bytes: fileNamed(files, `${name}.pem`) }, findings);
  const [leaf] = pem;
  const [malformed] = findings.all;
  if (leaf === undefined || malformed !== undefined)
    throw refuse(`${name}.pem`, malformed?.message ?? "empty");
  const demanded = verifier.server?.toLowerCase() ?? fork.server;
  if (demanded !== fork.server && !servesAs(leaf, demanded))
    throw refuse(`${name}.pem`, `it is about the server ${fork.server}, not about ${demanded} as demanded`);
  const book = new CertificateBook(pem, verifier.anchors);
  const revocations = new RevocationCheck({ folder: undefined, own: verifier.crls }, findings);
  const unproven = files.has(`${name}.txt`)
    ? verifyCheckpointFiles(name, files, { fork, leaf, book })
    : verifyReceiptFiles(name, files, { fork, leaf, book });
  const [unused] = book.unused();
  if (unused !== undefined)
    throw refuse(`${name}.pem`, `the certificate of ${unused.subjectText} has no place in it`);
  const revokedAt = revocations.revokedAt(book.certificateAt(leaf.fingerprint, unproven.at)) ?? null;
  if (revokedAt !== null && revokedAt <= unproven.at)
    throw refuse(`${name}.pem`, `its certificate had been revoked on ${new Date(revokedAt).toISOString()}`);
  return { ...unproven, fingerprint: leaf.fingerprint, revokedAt };
}

interface StatementContext {
  readonly fork: ForkFile;
  readonly leaf: Certificate;
  readonly book: CertificateBook;
}

type Unproven = Omit<ProvenStatement, "fingerprint" | "revokedAt">;

function verifyCheckpointFiles(
  name: string,
  files: ProofFiles,
  { fork, leaf, book }: StatementContext,
): Unproven {
  const signed = decodeUtf8(fileNamed(files, `${name}.txt`)) ?? "";
  const checkpoint = parseCheckpointText(signed, fileNamed(files, `${name}.sig`));
  if (checkpoint === undefined) throw refuse(`${name}.txt`, "it is not the signed text of a checkpoint");
  if (checkpoint.conversation !== fork.conversation)
    throw refuse(`${name}.txt`, "it is about another conversation");
  verifyCheckpoint(checkpoint, book.certificateAt(leaf.fingerprint, checkpoint.at), fork.server);
  const { size, root, at } = checkpoint;
  return { kind: "checkpoint", size, root, at };
}

function verifyReceiptFiles(
  name: string,
  files: ProofFiles,
  { fork, leaf, book }: StatementContext,
): Unproven {
  const bytes = fileNamed(files, `${name}.json`);
  const { conversation, server, size, root, to } = parseStatement(bytes);
  if (conversation !== fork.conversation) throw refuse(`${name}.json`, "it is about another conversation");
  if (server.name !== fork.server) throw refuse(`${name}.json`, "it is about another server");
  const signedData = decodeSignedData(fileNamed(files, `${name}.p7s`));
  const [signer] = signedData.signers;
  if (signer === undefined || signedData.signers.length > 1 || signer.counterSignatures.length > 0)
    throw refuse(`${name}.p7s`, "it must hold the server's signature alone");
  if (signer.fingerprint !== leaf.fingerprint || !servesAs(leaf, fork.server))
    throw refuse(`${name}.p7s`, `it is not signed by the certificate of ${fork.server} in ${name}.pem`);
  verifySigner(signer, bytes);
  const at = Math.max(signer.signingTimeMs, to);
  if (uncoveredParts(signedData, [book.certificateAt(leaf.fingerprint, at)]).length > 0)
    throw refuse(`${name}.p7s`, "it holds parts that no signature covers");
  return { kind: "receipt", size, root, at };
}

/** @throws {EvidenceError} unless no one log has both */
function checkContradiction({ link }: ForkFile, first: ProvenStatement, second: ProvenStatement): void {
  if (first.size === second.size) {
    if (link !== null) throw refuse("fork.json", "statements about one size need no link");
    if (first.root === second.root) throw refuse("fork.json", "both statements are about the same log");
    return;
  }
  if (link === null) throw refuse("fork.json", "statements about different sizes need a link");
  if (link.root === first.root) throw refuse("fork.json", "the second log continues the first");
  const proven = verifyConsistency(
    { size: first.size, root: Uint8Array.fromHex(link.root) },
    { size: second.size, root: Uint8Array.fromHex(second.root) },
    link.path.map((hash) => Uint8Array.fromHex(hash)),
  );
  if (!proven) throw refuse("fork.json", "the second log does not begin with the root in link");
}

function fileNamed(files: ProofFiles, name: string): Uint8Array {
  const bytes = files.get(name);
  if (bytes === undefined) throw refuse(name, "it is missing");
  return bytes;
}

function refuse(file: string, message: string, cause?: unknown): EvidenceError {
  return new EvidenceError("PROOF_REFUSED", `${file}: ${message}`, { cause });
}
