import { encodeHex, type Hex } from "../base/hex.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { type Body, decodeBody } from "./bodies.ts";
import { type Entry, leafHash, signedBytes } from "./entry.ts";
import { LogError } from "./logError.ts";
import type { LogState, SenderState } from "./logState.ts";
import { authorityOf, servesAs } from "./memberIdentity.ts";
import { checkMembership } from "./membership.ts";
import { appendLeaf, emptyFrontier, emptyRoot, type Frontier, rootOf } from "./merkle.ts";
import { isSamePerson, type Person } from "./roster.ts";
import { admit, certificateAt, depart, type LogContext, noteEntry, replaceRows } from "./senders.ts";
import { isSignedBy } from "./signature.ts";

export type { LogState, SenderState } from "./logState.ts";
export { nextSeqno } from "./logState.ts";
export type { LogContext } from "./senders.ts";

/** How far a sender's clock may be from the server's, ms, inclusive. */
export const maxClockDifferenceMs = 5 * 60 * 1000;

/**
 * The rules of a log: whether `entry` may stand next. The same function decides on the server before it accepts, on every
 * client on receipt, and in evidence. It depends on the entries and their certificates only, never on a CRL or on the
 * reader's clock. Sender and body come from anybody; what a stranger to the log can learn from a refusal is
 * `UNKNOWN_SENDER`. No state changes: a refused entry leaves the caller with the state that it had.
 *
 * @param state of the entries before, `undefined` for the first
 * @param at when the server received it, ms
 * @returns the state with the entry
 * @throws {LogError} the code of the first rule that is broken, in the order below
 */
export function verifyEntry(
  state: LogState | undefined,
  entry: Entry,
  at: number,
  context: LogContext,
): LogState {
  const body = decodeBody(entry);
  return state === undefined
    ? beginLog(entry, body, at, context)
    : continueLog(state, entry, body, at, context);
}

/** @throws {LogError} `CLOCK` when a sender's clock is more than five minutes off */
export function checkClock(ts: number, nowMs: number): void {
  const difference = ts - nowMs;
  if (Math.abs(difference) > maxClockDifferenceMs)
    throw new LogError(
      "CLOCK",
      `the sender's clock is ${Math.abs(difference)} ms ${difference < 0 ? "behind" : "ahead of"} the server's, set it right`,
    );
}

function beginLog(entry: Entry, body: Body, at: number, context: LogContext): LogState {
  if (body.kind !== "create") throw new LogError("UNKNOWN_SENDER", "a log begins with create");
  const { roster, admins, server, kind, title } = body.body;
  const own = roster.find((row) => row.fingerprint === entry.sender);
  if (own === undefined) throw new LogError("BAD_BODY", "the creator is not in the roster");
  checkSeqno(entry, 0);
  checkClock(entry.ts, at);
  if (entry.epoch !== 0) throw new LogError("STALE_EPOCH", "create is made in epoch 0");
  if (entry.view.size !== 0 || entry.view.root !== emptyRoot)
    throw new LogError("BAD_VIEW", "the view of create is that of the empty log");

  const signer = certificateAt(context, entry.sender, at);
  const signed = checkSignature(entry, signer, context);

  const senders = new Map<Hex, SenderState>();
  admit(senders, { rows: roster, roster: [], index: 0, at, context });
  if (!servesAs(certificateAt(context, server.fingerprint, at).certificate, server.name))
    throw new LogError("CERTIFICATE_INVALID", `certificate of the server is not one of ${server.name}`);
  noteEntry(senders, entry);

  return {
    conversation: entry.conversation,
    kind,
    title,
    server,
    creator: { username: own.username, email: own.email, authority: authorityOf(signer) },
    admins,
    roster,
    epoch: 1,
    epochIndex: 0,
    ...grow(emptyFrontier, entry, at, signed),
    firstAt: at,
    lastAt: at,
    senders,
    departed: [],
    closed: false,
  };
}

function continueLog(state: LogState, entry: Entry, body: Body, at: number, context: LogContext): LogState {
  if (entry.conversation !== state.conversation)
    throw new LogError("MALFORMED", `entry of the conversation ${entry.conversation}, not of this one`);
  const person = senderOf(state, entry.sender, body);
  if (body.kind === "create") throw new LogError("FORBIDDEN", "a log has one create, its first entry");
  if (state.departed.some((row) => isSamePerson(row, person)))
    throw new LogError("CLOSED", `${person.username} has left this conversation`);
  if (state.closed && body.kind !== "acknowledge")
    throw new LogError("CLOSED", "one of the two has left, so this conversation is closed");
  const known = state.senders.get(entry.sender);
  checkSeqno(entry, known?.lastSeqno ?? 0);
  if (at < state.lastAt)
    throw new LogError("TIME_ORDER", `received at ${at}, before the entry in front of it (${state.lastAt})`);
  checkClock(entry.ts, at);
  checkEpoch(state, entry);
  checkView(state, entry, known, context);
  if (body.kind === "message" && state.departed.length > 0)
    throw new LogError("REKEY_NEEDED", "somebody who has left must be removed before the next message");
  if (body.kind === "acknowledge")
    for (const index of [...body.body.disputed.slice(-1), ...body.body.unprocessable.slice(-1)])
      if (index >= entry.view.size)
        throw new LogError("BAD_BODY", `entry ${index} is beyond the sender's view`);
  const change =
    body.kind === "membership"
      ? checkMembership(state, { fingerprint: entry.sender, person }, body.body, at)
      : undefined;

  const signer = certificateAt(context, entry.sender, at);
  const signed = checkSignature(entry, signer, context);

  const senders = new Map(state.senders);
  if (change !== undefined)
    replaceRows(senders, { change, roster: state.roster, index: state.size, at, context });
  noteEntry(senders, entry);

  const next = { ...state, ...grow(state.frontier, entry, at, signed), lastAt: at, senders };
  switch (body.kind) {
    case "membership": {
      const { roster, admins } = body.body;
      const departed = roster.filter((row) => senders.get(row.fingerprint)?.left === true);
      return { ...next, roster, admins, departed, epoch: state.epoch + 1, epochIndex: state.size };
    }
    case "leave": {
      const rows = depart(senders, state.roster, person);
      return { ...next, departed: [...state.departed, ...rows], closed: state.kind === "direct" };
    }
    case "message":
    case "acknowledge":
      return next;
  }
}

/**
 * The person behind an entry: whoever the roster lists under the certificate, or who a `renew` or `rejoin` says the new
 * certificate is, as long as that person is in the roster. What it says is compared with the certificate before
 * anything is taken from it.
 */
function senderOf(state: LogState, fingerprint: Hex, body: Body): Person {
  const known = state.senders.get(fingerprint);
  if (known?.inRoster) return known;
  if (body.kind === "membership" && (body.body.action === "renew" || body.body.action === "rejoin")) {
    const claimed = body.body.roster.find((row) => row.fingerprint === fingerprint);
    if (claimed !== undefined && state.roster.some((row) => isSamePerson(row, claimed))) return claimed;
  }
  throw new LogError("UNKNOWN_SENDER", `certificate ${fingerprint} is not in the roster`);
}

function checkSeqno({ seqno }: Entry, last: number): void {
  if (seqno <= last)
    throw new LogError("REPLAY", `seqno ${seqno} was used already, the next one is ${last + 1}`);
  if (seqno > last + 1) throw new LogError("GAP", `seqno ${seqno} leaves a gap, the next one is ${last + 1}`);
}

/** An old epoch is good enough to acknowledge or leave: nobody can be silenced by a commit that they can't process. */
function checkEpoch(state: LogState, { kind, epoch }: Entry): void {
  const mustBeCurrent = kind === "message" || kind === "membership";
  if (epoch < 1 || epoch > state.epoch || (mustBeCurrent && epoch !== state.epoch))
    throw new LogError("STALE_EPOCH", `made in epoch ${epoch}, the conversation is in epoch ${state.epoch}`);
}

function checkView(
  state: LogState,
  { kind, view }: Entry,
  known: SenderState | undefined,
  context: LogContext,
): void {
  const { size } = view;
  if (size < 1 || size > state.size)
    throw new LogError("BAD_VIEW", `view of ${size} entries, the log has ${state.size}`);
  if (known !== undefined && size < known.lastViewSize)
    throw new LogError("BAD_VIEW", `view of ${size} entries after one of ${known.lastViewSize}`);
  if (known?.inRoster && size <= known.admittedIndex)
    throw new LogError("BAD_VIEW", `view of ${size} entries ends before the sender was admitted`);
  if ((kind === "message" || kind === "membership") && size <= state.epochIndex)
    throw new LogError("BAD_VIEW", `view of ${size} entries ends before the epoch began`);
  const root = size === state.size ? state.root : context.rootAt(size);
  if (root !== view.root)
    throw new LogError("BAD_VIEW", `view of ${size} entries has another root than this log`);
}

function checkSignature(
  entry: Entry,
  signer: VerifiedCertificate,
  { isOwnSignature = false }: LogContext,
): Uint8Array {
  const signed = signedBytes(entry, entry.ct);
  if (!isOwnSignature && !isSignedBy(signer, signed, entry.sig))
    throw new LogError("BAD_SIGNATURE", `signature of seqno ${entry.seqno} of ${entry.sender} is wrong`);
  return signed;
}

function grow(
  frontier: Frontier,
  entry: Entry,
  at: number,
  signed: Uint8Array,
): Pick<LogState, "size" | "frontier" | "root"> {
  const grown = appendLeaf(frontier, leafHash(entry, at, signed));
  return { size: grown.size, frontier: grown, root: encodeHex(rootOf(grown)) };
}
