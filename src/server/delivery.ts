import { encodeJson } from "../base/schema.ts";
import type { CheckpointRecord } from "../store/logStore.ts";
import { maxEntriesPerAnswer, type ServerMessage, serverMessageSchema } from "../wire/sessionMessages.ts";
import type { JudgedEntry } from "./entryJudge.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { Session, SessionRegistry } from "./sessionRegistry.ts";

/**
 * Most bytes of lines in one message, if it has more than one. With the escapes of 256 lines (fewer than 200 bytes each,
 * everything around them included) that stays below the longest frame.
 */
export const maxLineBytesPerMessage = 180 * 1024;

interface Batch {
  readonly accepted: readonly JudgedEntry[];
  /** Over the log with all of them. */
  readonly checkpoint: CheckpointRecord;
  readonly sessions: SessionRegistry;
  readonly meter: ServerMeter;
  /** Signs the log as it was after one of them. */
  readonly sign: (judged: JudgedEntry) => CheckpointRecord;
}

/**
 * Tells everybody who is online about entries that are durable now: whoever posted one that it was accepted, the others
 * the entry itself; on each connection in the order of the log. The last checkpoint that a session is sent covers
 * everything that it was sent.
 */
export function deliver({ accepted, checkpoint, sessions, meter, sign }: Batch): void {
  const last = accepted.at(-1);
  const pushes = new Map<string, Uint8Array>();
  for (const [session, entries] of entriesBySession(accepted, sessions)) {
    const newest = entries.at(-1);
    if (newest === undefined) continue;
    const covering = newest === last ? checkpoint : sign(newest);
    for (const run of runsOf(entries, session)) {
      const [first] = run;
      if (first?.post.session === session) answer(first, covering);
      else {
        session.sendEncoded(encodedPush(run, covering, pushes));
        meter.pushed(run.length);
      }
    }
  }
  // Whoever posted and is gone, or was put out by an entry of the same batch, is answered too: sending to it is harmless.
  for (const judged of accepted) if (!judged.post.answered()) answer(judged, checkpoint);
}

function answer({ post, index, at }: JudgedEntry, checkpoint: CheckpointRecord): void {
  const { id, entry } = post;
  post.answer({ type: "accepted", id, conversation: entry.conversation, index, at, checkpoint });
}

/** What each session gets to see, in order. */
function entriesBySession(
  accepted: readonly JudgedEntry[],
  sessions: SessionRegistry,
): ReadonlyMap<Session, readonly JudgedEntry[]> {
  const entries = new Map<Session, JudgedEntry[]>();
  for (const judged of accepted)
    for (const person of judged.audience)
      for (const session of sessions.of(person)) {
        const earlier = entries.get(session);
        if (earlier === undefined) entries.set(session, [judged]);
        else earlier.push(judged);
      }
  return entries;
}

/** Cuts a session's entries into its own, one by one, and runs of consecutive ones by others that fit into a message. */
function runsOf(entries: readonly JudgedEntry[], session: Session): readonly (readonly JudgedEntry[])[] {
  const runs: JudgedEntry[][] = [];
  let run: JudgedEntry[] = [];
  let bytes = 0;
  for (const judged of entries) {
    const previous = run.at(-1);
    bytes += judged.post.line.length;
    const fits =
      previous !== undefined &&
      previous.post.session !== session &&
      judged.post.session !== session &&
      judged.index === previous.index + 1 &&
      run.length < maxEntriesPerAnswer &&
      bytes <= maxLineBytesPerMessage;
    if (fits) run.push(judged);
    else {
      run = [judged];
      bytes = judged.post.line.length;
      runs.push(run);
    }
  }
  return runs;
}

/** Members who are sent the same get the same bytes, which are made once. */
function encodedPush(
  run: readonly JudgedEntry[],
  checkpoint: CheckpointRecord,
  made: Map<string, Uint8Array>,
): Uint8Array {
  const [first] = run;
  const name = `${first?.index} ${run.length} ${checkpoint.size}`;
  const known = made.get(name);
  if (known !== undefined || first === undefined) return known ?? new Uint8Array(0);
  const message: ServerMessage = {
    type: "pushed",
    conversation: first.post.entry.conversation,
    from: first.index,
    entries: run.map(({ at, post }) => ({ at, line: post.line })),
    checkpoint,
  };
  const encoded = encodeJson(serverMessageSchema, message);
  made.set(name, encoded);
  return encoded;
}
