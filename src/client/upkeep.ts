import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import type { PendingCommit } from "../group/conversationGroup.ts";
import { encodeMembershipBody, type MembershipAction } from "../log/bodies.ts";
import type { LogState } from "../log/logState.ts";
import { rowsToRemove } from "../log/rekey.ts";
import { isSamePerson, type RosterRow } from "../log/roster.ts";
import { downloadBlob, uploadBlob } from "./blobs.ts";
import { ClientError } from "./clientError.ts";
import type { Connection } from "./connection.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { ConversationKeys } from "./conversationKeys.ts";
import { idOf } from "./devices.ts";
import { commitHash, rosterOf } from "./groupFollower.ts";
import type { Outbox, OutgoingItem } from "./outbox.ts";
import { isCommit } from "./poster.ts";
import type { PendingRecord } from "./vaultRecords.ts";
import type { VerifiedLog } from "./verifiedLog.ts";

/** Commits that are made in vain, one after the other, before the client gives up until the next connection. */
const maxAttempts = 5;

/**
 * The commits that a client makes by itself once it has caught up: coming back into the group, fresh paths, removing a
 * device that may not read on. What is due follows from the log and the keys, so an intent survives that another commit was
 * faster.
 */
export class Upkeep {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
  /** The pending commit whose blobs are on the server, as far as this connection has seen. */
  #uploaded: PendingRecord | undefined;
  #attempts = 0;
  /** Asked for with every message: good for a second, a state and a CRL. */
  #obstacles: { key: string; rows: readonly RosterRow[] } = { key: "", rows: [] };

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#parts = options.parts;
  }

  /** Devices that must be out before the next message. */
  get obstacles(): readonly RosterRow[] {
    const { state } = this.#parts.log;
    const { directory, revocations, now } = this.#context;
    if (state === undefined) return [];
    const second = Math.floor(now() / 1000);
    const key = `${state.size} ${second} ${revocations.version}`;
    if (this.#obstacles.key !== key) {
      const isRevoked = (fingerprint: Hex) => directory.isRevoked(fingerprint);
      this.#obstacles = { key, rows: rowsToRemove(state, { nowMs: now(), isRevoked }) };
    }
    return this.#obstacles.rows;
  }

  /** A new connection, or the server says that a blob is missing. */
  forgetUploads(): void {
    this.#uploaded = undefined;
  }

  /** An own commit stands in the log. */
  succeeded(): void {
    this.#attempts = 0;
  }

  /**
   * Own commits need their blobs on the server, words the keys of the epoch and nobody in it who may not read them,
   * everything else the own row in the roster.
   */
  mayPost(item: OutgoingItem): boolean {
    const { log, keys } = this.#parts;
    const { state } = log;
    if (isCommit(item)) return keys.pending !== undefined && this.#uploaded === keys.pending;
    if (state === undefined) return false;
    if (item.kind !== "message")
      return state.senders.get(this.#context.self.certificate.fingerprint)?.inRoster === true;
    const isCurrent = keys.pending === undefined && keys.epoch === state.epoch;
    return isCurrent && !state.closed && this.obstacles.length === 0;
  }

  /** Why nothing goes, now that everything was done that can be; `undefined` while something is on its way. */
  get hindrance(): ClientError | undefined {
    const { keys, outbox } = this.#parts;
    if (outbox.isEmpty || outbox.inFlight.length > 0) return undefined;
    const [obstacle] = this.obstacles;
    if (keys.epoch === 0 || obstacle === undefined)
      return new ClientError("NOT_A_MEMBER", "this device could not come into the conversation's group");
    const { fingerprint, username } = obstacle;
    return new ClientError(
      "REKEY_NEEDED",
      `nothing can be sent: the certificate ${fingerprint} of ${visible(username)} has expired or is revoked, or its owner has left`,
    );
  }

  /** Prepares what is due, and uploads what an own commit names. To be called with the log caught up. */
  async run(connection: Connection): Promise<void> {
    const { keys, outbox } = this.#parts;
    if (!outbox.items.some(isCommit)) {
      this.#drop();
      const action = this.#due();
      if (action !== undefined) await this.#prepare(action, connection);
    }
    const { pending } = keys;
    if (pending === undefined || this.#uploaded === pending) return;
    for (const blob of [pending.commit, pending.welcome, pending.group])
      if (blob !== null) await uploadBlob(connection, blob);
    this.#uploaded = pending;
  }

  /** A pending commit without an entry is of no use. */
  #drop(): void {
    const batch = this.#context.vault.batch();
    this.#parts.keys.dropPending(batch);
    this.#context.vault.commit(batch);
  }

  #due(): MembershipAction | undefined {
    const { log, keys } = this.#parts;
    const { self, now } = this.#context;
    const { state } = log;
    if (state === undefined || state.closed) return undefined;
    const own = self.certificate.fingerprint;
    // Out of the group, or in it under a certificate that was renewed since.
    if (keys.epoch === 0 || !state.roster.some(({ fingerprint }) => fingerprint === own))
      return state.roster.some((row) => isSamePerson(row, self)) ? "rejoin" : undefined;
    if (this.#removable(state).length > 0) return "remove";
    return this.obstacles.length === 0 && keys.isPathDue(now()) ? "update" : undefined;
  }

  /** In a direct conversation both have to keep a device: one whose last device is bad has to come back by itself. */
  #removable(state: LogState): readonly RosterRow[] {
    const bad = this.obstacles.filter(
      ({ fingerprint }) => fingerprint !== this.#context.self.certificate.fingerprint,
    );
    const remaining = state.roster.filter((row) => !bad.includes(row));
    const isPair = state.roster.every((row) => remaining.some((other) => isSamePerson(row, other)));
    return state.kind === "group" || isPair ? bad : [];
  }

  async #prepare(action: MembershipAction, connection: Connection): Promise<void> {
    const { vault, revocations } = this.#context;
    const { log, keys, outbox } = this.#parts;
    const { state } = log;
    if (state === undefined) return;
    if (this.#attempts >= maxAttempts) return;
    this.#attempts += 1;
    const batch = vault.batch();
    const made = await this.#make(action, state, connection).catch(ifLost);
    if (made === undefined) return;
    const { commit, device } = made;
    const pending: PendingRecord = {
      action,
      device,
      epoch: commit.epoch,
      commit: commit.commit,
      welcome: commit.welcome,
      group: commit.groupInfo,
      next_state: commit.nextState,
    };
    const body = encodeMembershipBody({
      action,
      admins: state.admins.filter((admin) =>
        commit.roster.some(({ identity }) => isRowOf(state, identity.fingerprint, admin)),
      ),
      roster: rosterOf(commit.roster),
      crl: revocations.number,
      commit: commitHash(commit.commit),
      welcome: null,
      group: commitHash(commit.groupInfo),
    });
    keys.prepare(pending, batch);
    outbox.store(outbox.add("membership", body, "before unsigned"), batch);
    vault.commit(batch);
  }

  async #make(
    action: MembershipAction,
    state: LogState,
    connection: Connection,
  ): Promise<{ commit: PendingCommit; device: Hex }> {
    const { devices, groups } = this.#context;
    const { keys } = this.#parts;
    if (action === "rejoin") return this.#rejoin(state, connection);
    const device = keys.device === null ? undefined : devices.find(keys.device);
    if (device === undefined)
      throw new ClientError("VAULT_UNUSABLE", "the own device of this conversation is not here");
    const fingerprints = this.#removable(state).map(({ fingerprint }) => fingerprint);
    const commit =
      action === "remove"
        ? await groups.remove(keys.state(), device, fingerprints)
        : await groups.freshPath(keys.state(), device);
    return { commit, device: idOf(device) };
  }

  async #rejoin(state: LogState, connection: Connection): Promise<{ commit: PendingCommit; device: Hex }> {
    const { devices, groups, self, vault } = this.#context;
    const { log } = this.#parts;
    const names = log.epochBlobs;
    if (names === undefined) throw new ClientError("SERVER_MISBEHAVED", "a log without a group");
    const groupInfo = await downloadBlob(connection, names.group);
    const own = self.certificate.fingerprint;
    const isListed = state.roster.some(({ fingerprint }) => fingerprint === own);
    // A certificate that is new takes the place of the one before on this device, or of the person's expired or revoked
    // one; else it is one device more.
    const ofPerson = isListed ? [] : state.roster.filter((row) => isSamePerson(row, self));
    const replaced =
      ofPerson.find(({ device }) => devices.find(device) !== undefined) ??
      ofPerson.find((row) => this.obstacles.includes(row));
    const batch = vault.batch();
    const taken = state.roster.some(({ device }) => device === idOf(devices.current()));
    const device = taken ? devices.create(batch) : devices.current();
    vault.commit(batch);
    const current = {
      conversation: this.#conversation,
      epoch: state.epoch,
      sender: own,
      predecessor: undefined,
      roster: state.roster,
      at: state.lastAt,
    };
    const commit = await groups.rejoin({ current, groupInfo, device, predecessor: replaced?.fingerprint });
    return { commit, device: idOf(device) };
  }
}

/** A restored server may lack the newest GroupInfo: then there is no way in before somebody else's next commit. */
function ifLost(error: unknown): undefined {
  if (!(error instanceof ClientError && error.refusal === "NOT_FOUND")) throw error;
}

function isRowOf(state: LogState, fingerprint: Hex, username: string): boolean {
  return state.roster.some((row) => row.fingerprint === fingerprint && row.username === username);
}
