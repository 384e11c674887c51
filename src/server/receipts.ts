import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { crypto } from "../crypto/crypto.ts";
import { EvidenceError } from "../evidence/evidenceError.ts";
import { buildStatement, parseStatement } from "../evidence/receiptStatement.ts";
import { countersign } from "../pki/cms/countersign.ts";
import { mergeSignedData } from "../pki/cms/mergeSignedData.ts";
import { signDetached } from "../pki/cms/signDetached.ts";
import { decodeSignedData } from "../pki/cms/signedData.ts";
import { uncoveredParts } from "../pki/cms/uncoveredParts.ts";
import { verifySigner } from "../pki/cms/verifySigner.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { ReceiptRecord } from "../store/receiptStore.ts";
import { maxReceiptBytes, type Request, type ServerMessage } from "../wire/sessionMessages.ts";
import { requireValid } from "./checkpoints.ts";
import type { ConversationLogs } from "./conversationLogs.ts";
import { missingConversation } from "./missingConversation.ts";
import { Refusal, tryLater } from "./refusal.ts";
import { bytesPerWorkToken } from "./serverLimits.ts";
import type { Services } from "./services.ts";
import type { Member, Session } from "./sessionRegistry.ts";
import { transcriptLine } from "./transcriptLine.ts";
import { nextTurn } from "./turns.ts";

type Requested<T extends Request["type"]> = Extract<Request, { type: T }>;

/** How far a member's signing time may be from the server's clock: the server dates the signature with its own. */
const maxSigningTimeDifferenceMs = 5 * 60 * 1_000;
/** How often a change is tried again because another member's signature came in between. */
const maxAttempts = 8;
const chunkEntries = 64;
const chunkBytes = 1024 * 1024;

type ReceiptServices = Pick<
  Services,
  | "store"
  | "identity"
  | "certificates"
  | "limits"
  | "work"
  | "storageQuota"
  | "now"
  | "sessions"
  | "retentionDays"
> & { readonly logs: ConversationLogs };

/**
 * Takes a member's signature under the statement about a log, adds the server's own, and dates the member's with a
 * counter signature. The other members who are online are sent the file too.
 *
 * @throws {Refusal} `NOT_FOUND`, `EXPIRED`, `TRY_LATER`, `BAD_RECEIPT`, `CERTIFICATE_REVOKED`, `CERTIFICATE_INVALID`, `TOO_MANY`, `UNAVAILABLE`
 */
export async function signReceipt(
  request: Requested<"sign_receipt">,
  session: Session,
  services: ReceiptServices,
): Promise<ServerMessage> {
  const { store, limits, now, certificates } = services;
  const { id, conversation, statement, signed_data } = request;
  const { member } = session;
  const visibleSize = await store.log.visibleSize(conversation, member.person);
  if (visibleSize === 0) throw await missingConversation(services, conversation);
  const waitMs = await store.accounts.takeToken({
    subject: `receipt:${member.person}`,
    ...limits.receiptSignatures,
    nowMs: now(),
  });
  if (waitMs > 0) throw tryLater("too many receipts", waitMs);
  services.storageQuota.charge(member, statement.length + signed_data.length);
  await certificates.loadForRevocation([member.fingerprint]);
  if (certificates.isRevoked(member.fingerprint, now()))
    throw new Refusal("CERTIFICATE_REVOKED", "the certificate of this session is revoked");
  // A counter signature dates the signature to now, and now the certificate has to be good.
  if (now() >= member.certificate.verified.validUntilMs + 1000)
    throw new Refusal("CERTIFICATE_INVALID", "the certificate of this session has expired");

  const size = statedSize(statement, conversation, member.fingerprint);
  if (size > visibleSize) throw new Refusal("BAD_RECEIPT", `the log has ${visibleSize} entries, not ${size}`);
  await checkStatement(services, { conversation, size, statement, person: member.person });
  checkSignature(signed_data, statement, member, now());
  const { signedData } = await addSignature(services, {
    conversation,
    size,
    statement,
    member,
    signed: signed_data,
  });
  await pushReceipt(services, session, { conversation, size, signedData });
  return { type: "countersigned", id, conversation, size, signed_data: signedData };
}

/** @throws {Refusal} `NOT_FOUND`, `EXPIRED` */
export async function fetchReceipt(
  { id, conversation, size }: Requested<"fetch_receipt">,
  { person }: Member,
  services: Pick<Services, "store" | "retentionDays">,
): Promise<ServerMessage> {
  const { store } = services;
  const visibleSize = await store.log.visibleSize(conversation, person);
  if (visibleSize === 0) throw await missingConversation(services, conversation);
  const record = size <= visibleSize ? await store.receipts.receipt(conversation, size) : undefined;
  if (record === undefined) throw new Refusal("NOT_FOUND", "there is no such receipt for you here");
  return { type: "countersigned", id, conversation, size, signed_data: record.signedData };
}

/** @throws {Refusal} `BAD_RECEIPT` */
function statedSize(bytes: Uint8Array, conversation: Hex, fingerprint: Hex): number {
  try {
    const statement = parseStatement(bytes);
    if (statement.conversation === conversation) {
      // Others would have to refuse the whole file for a signer whom the statement does not know.
      if (statement.members.some((member) => member.fingerprint === fingerprint)) return statement.size;
      throw new Refusal("BAD_RECEIPT", "the certificate of this session is none of the statement's members");
    }
  } catch (cause) {
    if (!(cause instanceof EvidenceError)) throw cause;
    throw new Refusal("BAD_RECEIPT", cause.message, { cause });
  }
  throw new Refusal("BAD_RECEIPT", "the statement is about another conversation");
}

/** The statement must be what this server makes of its own log, byte for byte. @throws {Refusal} `BAD_RECEIPT` */
async function checkStatement(
  services: ReceiptServices,
  {
    conversation,
    size,
    statement,
    person,
  }: { conversation: Hex; size: number; statement: Uint8Array; person: Hex },
): Promise<void> {
  const stored = await services.store.receipts.receipt(conversation, size);
  const own = stored?.statement ?? (await ownStatement(services, { conversation, size, person }));
  if (!equalBytes(own, statement))
    throw new Refusal("BAD_RECEIPT", `the statement is not true of the first ${size} entries of the log`);
}

async function ownStatement(
  { store, logs, work }: ReceiptServices,
  { conversation, size, person }: { conversation: Hex; size: number; person: Hex },
): Promise<Uint8Array> {
  const state = await logs.stateAt(conversation, size);
  const hash = crypto().sha256Stream();
  for (let from = 0; from < size; ) {
    const limit = Math.min(chunkEntries, size - from);
    const records = await store.log.entries({ conversation, from, limit, maxBytes: chunkBytes });
    if (records.length === 0) throw new Refusal("INTERNAL", "the log is shorter than its size");
    for (const record of records) {
      const line = transcriptLine(record);
      hash.update(line);
      work.take(person, line.length / bytesPerWorkToken);
    }
    from += records.length;
    // A long log must not keep everybody else waiting.
    await nextTurn();
  }
  return buildStatement({ state, sha256: encodeHex(hash.digest()) });
}

/** @throws {Refusal} `BAD_RECEIPT` unless it is this member's fresh signature and nothing else */
function checkSignature(signedData: Uint8Array, statement: Uint8Array, member: Member, nowMs: number): void {
  try {
    const file = decodeSignedData(signedData);
    const [signer] = file.signers;
    if (signer === undefined || file.signers.length > 1 || signer.fingerprint !== member.fingerprint)
      throw new Refusal(
        "BAD_RECEIPT",
        "the file must hold the signature of this session's certificate alone",
      );
    // Nothing may come into the common file that nobody has verified.
    if (signer.counterSignatures.length > 0 || uncoveredParts(file, [member.certificate.verified]).length > 0)
      throw new Refusal("BAD_RECEIPT", "the file must hold the signature and its certificates and no more");
    verifySigner(signer, statement);
    if (Math.abs(signer.signingTimeMs - nowMs) > maxSigningTimeDifferenceMs)
      throw new Refusal("BAD_RECEIPT", "the signing time is more than five minutes off, set the clock right");
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw new Refusal("BAD_RECEIPT", cause.message, { cause });
  }
}

/** Merges until nobody else's change came in between. A member's first signature stays. */
async function addSignature(
  { store, identity, now }: ReceiptServices,
  receipt: { conversation: Hex; size: number; statement: Uint8Array; member: Member; signed: Uint8Array },
): Promise<ReceiptRecord> {
  const { conversation, size, statement, member, signed } = receipt;
  requireValid(identity.verified, now());
  const { certificate, chain } = identity.verified;
  const party = {
    certificate,
    key: identity.key,
    signingTimeMs: now(),
    includeCertificates: chain.slice(1, -1),
  };
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const earlier = await store.receipts.receipt(conversation, size);
    const base = earlier?.signedData ?? signDetached({ content: statement, ...party });
    const merged = merge(base, signed);
    // The operator signs with this very key: it stands there once, and nobody else could date it.
    const isOwn = member.fingerprint === certificate.fingerprint;
    const signedData = isOwn ? merged : countersign(merged, member.fingerprint, party);
    if (signedData.length > maxReceiptBytes)
      throw new Refusal("TOO_MANY", `a receipt has at most ${maxReceiptBytes} bytes, sign another size`);
    const record = { conversation, size, statement, signedData, version: (earlier?.version ?? 0) + 1 };
    if (earlier !== undefined && equalBytes(earlier.signedData, signedData)) return earlier;
    if (await store.receipts.save(record, now())) return record;
  }
  throw new Refusal("UNAVAILABLE", "too many sign this receipt at the moment, try again");
}

/** Both were verified. @throws {Refusal} `TOO_MANY` when there is no room for another signer */
function merge(base: Uint8Array, signed: Uint8Array): Uint8Array {
  try {
    return mergeSignedData(base, signed);
  } catch (cause) {
    if (!(cause instanceof PkiError && cause.code === "CMS_TOO_LARGE")) throw cause;
    throw new Refusal("TOO_MANY", "a receipt has at most 64 signers, sign another size", { cause });
  }
}

/** Tells the members who are online here of a receipt that somebody has signed elsewhere. @throws {StoreError} */
export async function tellReceipt(
  services: Pick<Services, "store" | "sessions">,
  conversation: Hex,
  size: number,
): Promise<void> {
  if (services.sessions.isEmpty) return;
  const record = await services.store.receipts.receipt(conversation, size);
  if (record !== undefined) await pushReceipt(services, undefined, record);
}

async function pushReceipt(
  { store, sessions }: Pick<Services, "store" | "sessions">,
  signer: Session | undefined,
  receipt: { conversation: Hex; size: number; signedData: Uint8Array },
): Promise<void> {
  const { conversation, size, signedData } = receipt;
  for (const person of await store.log.members(conversation))
    for (const session of sessions.of(person))
      if (session !== signer) session.send({ type: "receipt", conversation, size, signed_data: signedData });
}
