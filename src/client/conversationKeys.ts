import type { Hex } from "../base/hex.ts";
import type { CreateBody, MembershipBody, RosterRow } from "../log/bodies.ts";
import type { Entry } from "../log/entry.ts";
import type { LogState } from "../log/logState.ts";
import { compareRosters } from "../log/membership.ts";
import { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { EpochKeys } from "./epochKeys.ts";
import { commitHash, type EpochBlobs, type EpochEntry, type EpochOpening } from "./groupFollower.ts";
import { openEntry, type Received } from "./messageEntry.ts";
import type { VaultBatch } from "./vault.ts";
import {
  decodeRecord,
  encodeRecord,
  epochSchema,
  type MemberRecord,
  maxEpochs,
  memberSchema,
  numberedKey,
  type PendingRecord,
  pendingSchema,
} from "./vaultRecords.ts";

/** A device commits a fresh path so long after its last one, plus a random delay, */
export const freshPathAfterMs = 24 * 60 * 60 * 1000;
export const freshPathDelayMs = 10 * 60 * 1000;
/** and after so many own messages. */
export const freshPathAfterMessages = 1000;

/** An entry that changes the roster, with its body and the log around it. */
export interface RosterEntry {
  readonly entry: Entry;
  readonly at: number;
  readonly body: CreateBody | MembershipBody;
  readonly before: LogState | undefined;
  readonly after: LogState;
}

/** How far the client is in the group after an entry that opened an epoch. */
export type Entered =
  | {
      readonly kind: "member";
      readonly by: "own commit" | "commit" | "welcome";
      /** The commit is good, and what others are to come in by is not. */
      readonly badGroupInfo?: unknown;
    }
  /** Not in the roster, or there is no way in but an external commit. */
  | { readonly kind: "outside"; readonly reason: string }
  /** The commit could not be applied, or leads elsewhere than the log says. */
  | { readonly kind: "unprocessable"; readonly reason: unknown };

const outsideRecord: MemberRecord = { device: null, epoch: 0, path_at: 0, path_messages: 0, path_due: false };

/** The client's keys in one conversation: group state, message keys of the epoch, an own commit that is not accepted yet. */
export class ConversationKeys {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #own: Hex;
  readonly #pathDelayMs: number;
  #record: MemberRecord;
  #keys: EpochKeys | undefined;
  #pending: PendingRecord | undefined;
  #changed = false;
  /** A group state that is newer than the vault's; `null`: none any more. */
  #unwritten: Uint8Array | null | undefined;

  constructor(context: ConversationContext, conversation: Hex) {
    const { vault, random, self } = context;
    this.#context = context;
    this.#conversation = conversation;
    this.#own = self.certificate.fingerprint;
    this.#pathDelayMs = (freshPathDelayMs * new DataView(random(4).buffer).getUint32(0)) / 2 ** 32;
    const record = vault.read("member", conversation);
    this.#record = record === undefined ? outsideRecord : decodeRecord(memberSchema, record, "membership");
    const chains = vault.read("ratchet", conversation);
    if (chains !== undefined) {
      this.#keys = EpochKeys.decode(this.#record.epoch, this.#own, chains);
      chains.fill(0);
    }
    const pending = vault.read("pending", conversation);
    if (pending !== undefined) this.#pending = decodeRecord(pendingSchema, pending, "pending commit");
  }

  /** 0 while the client is not in the group. */
  get epoch(): number {
    return this.#record.epoch;
  }

  get device(): Hex | null {
    return this.#record.device;
  }

  get pending(): PendingRecord | undefined {
    return this.#pending;
  }

  /** Whether `entry` is the own commit that is pending: then its blobs need not be fetched. */
  isOwn({ entry, body }: Pick<RosterEntry, "entry" | "body">): boolean {
    return (
      this.#pending !== undefined &&
      entry.sender === this.#own &&
      commitHash(this.#pending.commit) === body.commit
    );
  }

  /** Goes into the epoch that an accepted entry opened, if there is a way. Old secrets go with the same batch. */
  async enter(entered: RosterEntry, blobs: EpochBlobs | undefined, batch: VaultBatch): Promise<Entered> {
    const { after, body } = entered;
    const entry = epochEntryOf(this.#conversation, entered);
    const own = this.#context.devices.rowOf(after.roster);
    const pending = this.isOwn(entered) ? this.#pending : undefined;
    this.#keepEpoch(after.epoch, pending ?? (blobs && { ...blobs, group: blobs.groupInfo }), batch);
    if (pending === undefined) this.dropPending(batch);
    else this.#forgetPending(batch);
    try {
      if (pending !== undefined) {
        const opened = await this.#context.groups.adopt(pending.next_state, entry);
        this.#take(opened, { device: pending.device, at: entered.at, isOwnPath: true, isDue: false });
        return { kind: "member", by: "own commit" };
      }
      if (own === undefined) return this.#leave("this device is not in the roster");
      if (own.fingerprint === entry.sender) return this.#leave("the state of this own commit is not here");
      if (blobs === undefined) throw new Error("blobs were not fetched");
      if (this.#record.epoch === after.epoch - 1 && this.#record.epoch > 0) {
        const { badGroupInfo, ...opened } = await this.#context.groups.follow(this.state(), entry, blobs);
        const isDue = badGroupInfo !== undefined || this.#record.path_due;
        this.#take(opened, { device: own.device, at: entered.at, isOwnPath: false, isDue });
        return { kind: "member", by: "commit", badGroupInfo };
      }
      const device = this.#context.devices.find(own.device);
      if (device === undefined || body.welcome === null || !isAdmittedBy(entered, own.fingerprint))
        return this.#leave("there is no welcome for this device");
      const { keyPackages, groups } = this.#context;
      const { used, badGroupInfo, ...opened } = await groups.join({
        ...{ entry, blobs, device, keyPackages, batch },
      });
      // A fresh path brings a GroupInfo along that is good.
      const isDue = used.lastResort || badGroupInfo !== undefined;
      this.#take(opened, { device: own.device, at: entered.at, isOwnPath: true, isDue });
      return { kind: "member", by: "welcome", badGroupInfo };
    } catch (reason) {
      this.#leave("");
      const isLate = reason instanceof ClientError && reason.code === "NOT_INVITED";
      return isLate ? { kind: "outside", reason: reason.message } : { kind: "unprocessable", reason };
    }
  }

  /**
   * A message stands in the log: opens it, checks its commitment, and moves its sender's chain on whatever came of it.
   *
   * @returns `outside`: no keys of its epoch are here; `disputed`: there are, and it doesn't open to what was committed to
   */
  receive(entry: Entry): Received {
    if (this.#keys === undefined || this.#keys.epoch !== entry.epoch) return { kind: "outside" };
    const received = openEntry(this.#keys, entry);
    this.#changed = true;
    if (entry.sender === this.#own) this.#update({ path_messages: this.#record.path_messages + 1 });
    return received;
  }

  /** @param ahead own messages in flight before it @throws when the client is not in the group */
  sendKey(ahead: number): Uint8Array {
    if (this.#keys === undefined) throw new Error("no keys to send with");
    return this.#keys.sendKey(ahead);
  }

  isPathDue(nowMs: number): boolean {
    return isFreshPathDue(this.#record, nowMs - this.#pathDelayMs);
  }

  /** The group state, secret; the caller's copy, which `GroupFollower` wipes. */
  state(): Uint8Array {
    const state = this.#unwritten?.slice() ?? this.#context.vault.read("group", this.#conversation);
    if (state === undefined || this.#unwritten === null) throw new Error("there is no group state");
    return state;
  }

  /** Stores an own commit; it is posted only after the batch is durable. */
  prepare(pending: PendingRecord, batch: VaultBatch): void {
    this.#pending = pending;
    batch.write("pending", this.#conversation, encodeRecord(pendingSchema, pending));
  }

  dropPending(batch: VaultBatch): void {
    this.#pending?.next_state.fill(0);
    this.#forgetPending(batch);
  }

  /** Whoever comes later needs a GroupInfo that the server has: a fresh path brings one. */
  requirePath(): void {
    if (this.#record.epoch > 0) this.#update({ path_due: true });
  }

  /** Writes what has changed since the last time. */
  stage(batch: VaultBatch): void {
    if (!this.#changed) return;
    this.#changed = false;
    batch.write("member", this.#conversation, encodeRecord(memberSchema, this.#record));
    if (this.#unwritten === null) batch.remove("group", this.#conversation);
    else if (this.#unwritten !== undefined) batch.write("group", this.#conversation, this.#unwritten);
    this.#setState(undefined);
    if (this.#keys === undefined) {
      batch.remove("ratchet", this.#conversation);
      return;
    }
    const chains = this.#keys.encode();
    batch.write("ratchet", this.#conversation, chains);
    chains.fill(0);
  }

  wipe(): void {
    this.#keys?.wipe();
    this.#keys = undefined;
    this.#pending?.next_state.fill(0);
    this.#setState(undefined);
  }

  #forgetPending(batch: VaultBatch): void {
    if (this.#pending === undefined) return;
    this.#pending = undefined;
    batch.remove("pending", this.#conversation);
  }

  #keepEpoch(
    epoch: number,
    parts: Pick<PendingRecord, "commit" | "welcome" | "group"> | undefined,
    batch: VaultBatch,
  ): void {
    batch.remove("epoch", numberedKey(this.#conversation, Math.max(0, epoch - maxEpochs)));
    if (parts === undefined) return;
    const { commit, welcome, group } = parts;
    const record = encodeRecord(epochSchema, { commit, welcome, group });
    batch.write("epoch", numberedKey(this.#conversation, epoch), record);
  }

  #take(
    { state, keys }: EpochOpening,
    { device, at, isOwnPath, isDue }: { device: Hex; at: number; isOwnPath: boolean; isDue: boolean },
  ): void {
    this.#keys?.wipe();
    this.#keys = keys;
    const path = isOwnPath ? { path_at: at, path_messages: 0 } : {};
    this.#update({ device, epoch: keys.epoch, path_due: isDue, ...path });
    this.#setState(state);
  }

  #leave(reason: string): Entered {
    this.wipe();
    this.#update(outsideRecord);
    this.#setState(null);
    return { kind: "outside", reason };
  }

  #setState(state: Uint8Array | null | undefined): void {
    this.#unwritten?.fill(0);
    this.#unwritten = state;
  }

  #update(change: Partial<MemberRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#changed = true;
  }
}

/** Whether this device has to commit a fresh path, the random delay left aside. */
export function isFreshPathDue(
  { epoch, path_at, path_messages, path_due }: MemberRecord,
  nowMs: number,
): boolean {
  const isOld = nowMs > path_at + freshPathAfterMs || path_messages >= freshPathAfterMessages;
  return epoch > 0 && (path_due || isOld);
}

/** What the group floor compares an epoch with. */
export function epochEntryOf(
  conversation: Hex,
  { entry, at, before, after }: Omit<RosterEntry, "body">,
): EpochEntry {
  const [removed] = before === undefined ? [] : compareRosters(before.roster, after.roster).removed;
  const isReplaced = before !== undefined && !has(before.roster, entry.sender);
  return {
    conversation,
    epoch: after.epoch,
    sender: entry.sender,
    predecessor: isReplaced ? removed?.fingerprint : undefined,
    roster: after.roster,
    at,
  };
}

/** Whether the entry put the certificate into the roster. */
function isAdmittedBy({ before }: RosterEntry, own: Hex): boolean {
  return before === undefined || !has(before.roster, own);
}

function has(roster: readonly RosterRow[], fingerprint: Hex): boolean {
  return roster.some((row) => row.fingerprint === fingerprint);
}
