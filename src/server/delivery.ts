import type { Hex } from "../base/hex.ts";
import { encodeJson } from "../base/schema.ts";
import type { CheckpointRecord, EntryRecord } from "../store/logStore.ts";
import { maxEntriesPerAnswer, type ServerMessage, serverMessageSchema } from "../wire/sessionMessages.ts";
import type { Post } from "./entryJudge.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { Session, SessionRegistry } from "./sessionRegistry.ts";

/**
 * Most bytes of lines in one message, if it has more than one. With the escapes of 256 lines (fewer than 200 bytes each,
 * everything around them included) that stays below the longest frame.
 */
export const maxLineBytesPerMessage = 180 * 1024;

/** An entry that is durable, on its way to those who are online. */
export interface Delivery extends EntryRecord {
  /** The persons who get to see it. */
  readonly audience: Iterable<Hex>;
  /** How it came to this server; `undefined`: it came to another one. */
  readonly post: Post | undefined;
}

interface Batch {
  readonly conversation: Hex;
  /** In the order of the log. */
  readonly deliveries: readonly Delivery[];
  /** Over the log with all of them. */
  readonly checkpoint: CheckpointRecord;
  readonly sessions: SessionRegistry;
  readonly meter: ServerMeter;
  /** For somebody who sees no more than so many entries. */
  readonly checkpointOver: (size: number) => CheckpointRecord;
}

/**
 * Tells everybody who is online about entries that are durable now: whoever posted one that it was accepted, the others
 * the entry itself; on each connection in the order of the log. The last checkpoint that a session is sent covers
 * everything that it was sent.
 */
export function deliver(batch: Batch): void {
  const { conversation, deliveries, checkpoint, sessions, meter, checkpointOver } = batch;
  const pushes = new Map<string, Uint8Array>();
  for (const [session, entries] of entriesBySession(deliveries, sessions)) {
    const size = (entries.at(-1)?.index ?? 0) + 1;
    const covering = size === checkpoint.size ? checkpoint : checkpointOver(size);
    for (const run of runsOf(entries, session)) {
      const [first] = run;
      if (first?.post?.session === session) answer(first.post, first, covering);
      else {
        session.sendEncoded(encodedPush(conversation, run, covering, pushes));
        meter.pushed(run.length);
      }
    }
  }
  // Whoever posted and is gone, or was put out by an entry of the same batch, is answered too: sending to it is harmless.
  for (const { post, ...entry } of deliveries)
    if (post !== undefined && !post.answered()) answer(post, entry, checkpoint);
}

function answer(post: Post, { index, at }: EntryRecord, checkpoint: CheckpointRecord): void {
  const { id, entry } = post;
  post.answer({ type: "accepted", id, conversation: entry.conversation, index, at, checkpoint });
}

/** What each session gets to see, in order. */
function entriesBySession(
  deliveries: readonly Delivery[],
  sessions: SessionRegistry,
): ReadonlyMap<Session, readonly Delivery[]> {
  const entries = new Map<Session, Delivery[]>();
  for (const delivery of deliveries)
    for (const person of delivery.audience)
      for (const session of sessions.of(person)) {
        const earlier = entries.get(session);
        if (earlier === undefined) entries.set(session, [delivery]);
        else earlier.push(delivery);
      }
  return entries;
}

/** Cuts a session's entries into its own, one by one, and runs of consecutive ones by others that fit into a message. */
function runsOf(entries: readonly Delivery[], session: Session): readonly (readonly Delivery[])[] {
  const runs: Delivery[][] = [];
  let run: Delivery[] = [];
  let bytes = 0;
  for (const delivery of entries) {
    const previous = run.at(-1);
    bytes += delivery.line.length;
    const fits =
      previous !== undefined &&
      previous.post?.session !== session &&
      delivery.post?.session !== session &&
      delivery.index === previous.index + 1 &&
      run.length < maxEntriesPerAnswer &&
      bytes <= maxLineBytesPerMessage;
    if (fits) run.push(delivery);
    else {
      run = [delivery];
      bytes = delivery.line.length;
      runs.push(run);
    }
  }
  return runs;
}

/** Members who are sent the same get the same bytes, which are made once. */
function encodedPush(
  conversation: Hex,
  run: readonly Delivery[],
  checkpoint: CheckpointRecord,
  made: Map<string, Uint8Array>,
): Uint8Array {
  const [first] = run;
  const name = `${first?.index} ${run.length} ${checkpoint.size}`;
  const known = made.get(name);
  if (known !== undefined || first === undefined) return known ?? new Uint8Array(0);
  const message: ServerMessage = {
    type: "pushed",
    conversation,
    from: first.index,
    entries: run.map(({ at, line }) => ({ at, line })),
    checkpoint,
  };
  const encoded = encodeJson(serverMessageSchema, message);
  made.set(name, encoded);
  return encoded;
}
