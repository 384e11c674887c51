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
import { isCommit, type Outbox, type OutgoingItem } from "./outbox.ts";
import { Pace } from "./pace.ts";
import type { PendingRecord } from "./vaultRecords.ts";
import type { VerifiedLog } from "./verifiedLog.ts";

/** Commits for one epoch that are made in vain before the client gives up until the epoch is over, or the connection. */
const maxAttempts = 5;
/**
 * Commits that a client makes by itself. Each may be the answer to another member's commit, and that one may answer it in turn:
 * whoever makes commits that others can't follow must not be able to keep them all busy, nor to fill the log through them.
 */
const commitPace = { atOnce: 8, everyMs: 5_000 };

/**
 * The commits that a client makes by itself once it has caught up: coming back into the group, fresh paths, removing a
 * device that may not read on. What is due follows from the log and the keys, so an intent survives that another commit was
 * faster.
 */
export class Upkeep {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
  readonly #onDue: () => void;
  readonly #pace = new Pace(commitPace);
  /** Runs while a commit is due and has to wait. */
  #waiting: ReturnType<typeof setTimeout> | undefined;
  /** The pending commit whose blobs are on the server, as far as this connection has seen. */
  #uploaded: PendingRecord | undefined;
  #attempts = { epoch: 0, made: 0 };
  /** The conversation is read from the vault again by somebody else: what was under way here must not be written there any more. */
  #isClosed = false;
  /** Asked for with every message: good for a second, a state and a CRL. */
  #obstacles: { key: string; rows: readonly RosterRow[] } = { key: "", rows: [] };

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
    /** Called when a commit that had to wait can be made: it is time for another `run`. */
    onDue: () => void;
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#parts = options.parts;
    this.#onDue = options.onDue;
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

  /** A new connection: what could not be done may be possible now. */
  startOver(): void {
    this.forgetUploads();
    this.#attempts = { epoch: 0, made: 0 };
  }

  /** The server says that a blob is missing. */
  forgetUploads(): void {
    this.#uploaded = undefined;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#waiting);
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
    // An own commit that waits stands before all words that were not signed yet: those whose turn comes sooner are of this epoch.
    return keys.epoch === state.epoch && !state.closed && this.obstacles.length === 0;
  }

  /** Why nothing goes, now that everything was done that can be; `undefined` while something is on its way. */
  get hindrance(): ClientError | undefined {
    const { keys, outbox } = this.#parts;
    if (outbox.isEmpty || outbox.inFlight.length > 0 || this.#waiting !== undefined) return undefined;
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
    if (this.#isClosed) return;
    this.#clearWay();
    const { pending } = keys;
    if (pending === undefined || this.#uploaded === pending) return;
    for (const blob of [pending.commit, pending.welcome, pending.group])
      if (blob !== null) await uploadBlob(connection, blob);
    this.#uploaded = pending;
  }

  /** Words that were signed and can't go before the own commit, because of what it is for, go behind it. */
  #clearWay(): void {
    const { outbox } = this.#parts;
    const [first] = outbox.items.filter((item) => isCommit(item) || item.kind === "message");
    if (outbox.inFlight.length > 0 || first?.kind !== "message" || this.mayPost(first)) return;
    const batch = this.#context.vault.batch();
    outbox.giveWay(batch);
    this.#context.vault.commit(batch);
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

  #mayTry({ epoch }: LogState): boolean {
    if (this.#attempts.epoch !== epoch) this.#attempts = { epoch, made: 0 };
    if (this.#waiting !== undefined || this.#attempts.made >= maxAttempts) return false;
    const { now, random } = this.#context;
    const pausedMs = this.#pace.take(now());
    if (pausedMs === 0) {
      this.#attempts.made += 1;
      return true;
    }
    // Those who wait for the same reason don't all come back at once: one commit an epoch can stand.
    const waitMs = pausedMs * (1 + new DataView(random(4).buffer).getUint32(0) / 2 ** 32);
    this.#waiting = setTimeout(() => {
      this.#waiting = undefined;
      this.#onDue();
    }, waitMs);
    this.#waiting.unref();
    return false;
  }

  async #prepare(action: MembershipAction, connection: Connection): Promise<void> {
    const { vault, revocations } = this.#context;
    const { log, keys, outbox } = this.#parts;
    const { state } = log;
    if (state === undefined || !this.#mayTry(state)) return;
    const batch = vault.batch();
    const made = await this.#make(action, state, connection).catch(ifLost);
    if (made === undefined || this.#isClosed) return;
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
