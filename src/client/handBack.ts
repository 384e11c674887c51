import { encodeHex, type Hex } from "../base/hex.ts";
import { proveConsistency } from "../evidence/consistencyProof.ts";
import { DigestList } from "../evidence/digestList.ts";
import { decodeBody } from "../log/bodies.ts";
import { type Entry, formatEntry, leafHash } from "../log/entry.ts";
import { parseTranscriptLine } from "../log/transcript.ts";
import { maxReturnedChains } from "../wire/restoreMessages.ts";
import { maxEntriesPerAnswer, type StoredEntry } from "../wire/sessionMessages.ts";
import { uploadBlob } from "./blobs.ts";
import type { Connection } from "./connection.ts";
import type { Conversation } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { commitHash } from "./groupFollower.ts";
import { decodeRecord, epochSchema, numberedKey } from "./vaultRecords.ts";

/** Bytes of lines and chains in one message, which grow by a third at most: below the longest frame. */
const maxMessageBytes = 150 * 1024;

/**
 * Gives the server back what it has signed for and does not have any more, from the transcript: its store was put back to
 * an older state. What no checkpoint covers is not given: nobody can tell whether it ever stood.
 *
 * @param servedSize how many entries the server has
 * @throws what `request` throws
 */
export async function handBack(
  context: ConversationContext,
  connection: Connection,
  { conversation, servedSize }: { conversation: Conversation; servedSize: number },
): Promise<void> {
  const { standing, id } = conversation;
  const { checkpoint } = standing.record;
  if (checkpoint === null || standing.log.size < checkpoint.size) return;
  const leaves = new DigestList();
  const tail: { readonly at: number; readonly entry: Entry }[] = [];
  for (const { line } of standing.folder.lines()) {
    const { entry, index, at } = parseTranscriptLine(line);
    if (index >= checkpoint.size) break;
    leaves.append(leafHash(entry, at));
    if (index >= servedSize) tail.push({ at, entry });
  }
  for (let from = servedSize; from < checkpoint.size; ) {
    const chunk = new Chunk(context, checkpoint.server);
    for (const { at, entry } of tail.slice(from - servedSize)) if (!chunk.add(entry, at)) break;
    for (const entry of chunk.rosterEntries)
      if (!(await uploadEpoch(context, connection, entry))) conversation.refreshPath();
    const end = from + chunk.entries.length;
    const { size } = await connection.request({
      type: "return_entries",
      conversation: id,
      from,
      entries: chunk.entries,
      chains: chunk.chains,
      checkpoint,
      path: proveConsistency(leaves, end, checkpoint.size).map(encodeHex),
    });
    // It has others' by now, or takes none.
    if (size <= from) return;
    from = size;
  }
}

/** As many entries as fit into a message, with the certificates that they name. */
class Chunk {
  readonly entries: StoredEntry[] = [];
  readonly rosterEntries: Entry[] = [];
  readonly #context: ConversationContext;
  readonly #chains = new Map<Hex, readonly Uint8Array[]>();
  #bytes = 0;

  constructor(context: ConversationContext, server: Hex) {
    this.#context = context;
    this.#take([server]);
  }

  get chains(): readonly (readonly Uint8Array[])[] {
    return [...this.#chains.values()];
  }

  /** @returns whether it fits; the first always does */
  add(entry: Entry, at: number): boolean {
    const body = decodeBody(entry);
    const line = formatEntry(entry);
    const names = [entry.sender];
    if (body.kind === "create") names.push(body.body.server.fingerprint);
    if (body.kind === "create" || body.kind === "membership")
      names.push(...body.body.roster.map(({ fingerprint }) => fingerprint));
    const bytes = line.length + this.#bytesOf(names);
    const fits =
      this.entries.length < maxEntriesPerAnswer &&
      this.#bytes + bytes <= maxMessageBytes &&
      new Set([...this.#chains.keys(), ...names]).size <= maxReturnedChains;
    if (this.entries.length > 0 && !fits) return false;
    this.#bytes += bytes;
    this.#take(names);
    this.entries.push({ at, line });
    if (body.kind === "create" || body.kind === "membership") this.rosterEntries.push(entry);
    return true;
  }

  #take(names: readonly Hex[]): void {
    for (const name of names)
      if (!this.#chains.has(name) && this.#chains.size < maxReturnedChains)
        this.#chains.set(name, this.#chainOf(name));
  }

  #bytesOf(names: readonly Hex[]): number {
    const wanted = names.filter((name) => !this.#chains.has(name));
    return wanted.flatMap((name) => this.#chainOf(name)).reduce((sum, der) => sum + der.length, 0);
  }

  #chainOf(name: Hex): readonly Uint8Array[] {
    return this.#context.directory.certificates(name).map(({ der }) => der);
  }
}

/** @returns whether the commit and GroupInfo that the entry names are on the server now */
async function uploadEpoch(
  { vault }: ConversationContext,
  connection: Connection,
  entry: Entry,
): Promise<boolean> {
  const stored = vault.read("epoch", numberedKey(entry.conversation, entry.epoch + 1));
  const body = decodeBody(entry);
  if (stored === undefined || (body.kind !== "create" && body.kind !== "membership")) return false;
  const { commit, welcome, group } = decodeRecord(epochSchema, stored, "epoch");
  if (commitHash(commit) !== body.body.commit) return false;
  for (const blob of [commit, welcome, group]) if (blob !== null) await uploadBlob(connection, blob);
  return true;
}
