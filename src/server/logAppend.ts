import { decodeHex, type Hex } from "../base/hex.ts";
import type { LogState } from "../log/conversationLog.ts";
import { compareRosters } from "../log/membership.ts";
import type { LogChange } from "../store/changeFeed.ts";
import type { CheckpointRecord, LogAppend, NewEntry } from "../store/logStore.ts";
import type { JudgedEntry } from "./entryJudge.ts";
import { encodeLogState } from "./logStateRecord.ts";
import { personsOf } from "./person.ts";
import { Refusal } from "./refusal.ts";

/** A state is stored with every change of the roster, and at least once in so many entries. */
const stateEvery = 256;

/** @returns what the store keeps of these entries, which follow each other @throws {Refusal} `INTERNAL` when there is none */
export function logAppendOf(accepted: readonly JudgedEntry[], checkpoint: CheckpointRecord): LogAppend {
  const [first, ...others] = accepted;
  const last = accepted.at(-1);
  if (first === undefined || last === undefined) throw new Refusal("INTERNAL", "no entries to append");
  const rosterChanged = first.before?.roster !== last.after.roster;
  const crossed = Math.floor(first.index / stateEvery) < Math.floor(last.after.size / stateEvery);
  return {
    conversation: last.after.conversation,
    expectedSize: first.index,
    create: first.before === undefined ? creationOf(first.after) : undefined,
    entries: [newEntry(first), ...others.map(newEntry)],
    blobs: accepted.flatMap(({ blobs, index, post }) =>
      blobs.map((blob) => ({ ...blob, index, owner: post.session.member.person })),
    ),
    members: accepted.flatMap(membersOf),
    closes: last.after.closed,
    checkpoint,
    state: rosterChanged || crossed ? encodeLogState(last.after) : undefined,
  };
}

function newEntry({ post, at, after }: JudgedEntry): NewEntry {
  const root = decodeHex(after.root);
  if (root === undefined) throw new Refusal("INTERNAL", "a root is not hex");
  return { at, line: post.line, sender: post.entry.sender, seqno: post.entry.seqno, root };
}

function creationOf(state: LogState): LogAppend["create"] {
  const [a, b] = personsOf(state);
  const pair: readonly [Hex, Hex] | undefined =
    state.kind === "direct" && a !== undefined && b !== undefined ? [a, b] : undefined;
  return { kind: state.kind, pair };
}

function membersOf({ before, after, index }: JudgedEntry): LogAppend["members"] {
  if (before?.roster === after.roster) return [];
  const { added, removed } = compareRosters(before?.roster ?? [], after.roster);
  return [
    ...removed.map(({ fingerprint }) => ({ change: "gone" as const, fingerprint, index })),
    ...added.map(({ fingerprint }) => ({ change: "joined" as const, fingerprint, index })),
  ];
}

/** @returns how the log changes with it */
export function logChangeOf({ conversation, expectedSize: from, entries, members }: LogAppend): LogChange {
  return { kind: "log", conversation, from, size: from + entries.length, members: members.length > 0 };
}
