import { encodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { encodeAcknowledgeBody } from "../log/bodies.ts";
import { maxPlaintextBytes, parseEntry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import type { LogState } from "../log/logState.ts";
import { maxEntriesPerAnswer, type StoredEntry, type WireCheckpoint } from "../wire/sessionMessages.ts";
import { ClientError } from "./clientError.ts";
import type { WarningCode } from "./clientEvents.ts";
import type { Connection } from "./connection.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { ConversationKeys } from "./conversationKeys.ts";
import { servedPrefix } from "./forkProbe.ts";
import { type Arrival, type Effect, Intake } from "./intake.ts";
import type { Invitation } from "./inviteDirect.ts";
import { Outbox, type OutgoingItem, type Sent } from "./outbox.ts";
import { isCommit, Poster } from "./poster.ts";
import { judgeRefusal } from "./refusalPolicy.ts";
import { Standing } from "./standing.ts";
import { Upkeep } from "./upkeep.ts";
import type { LoggedEntry } from "./verifiedLog.ts";

/** Entries that are taken in before they are made durable together. */
const maxBatchEntries = 256;
/** Refusals without an own entry landing in between, before the client waits for the next connection. */
const maxRefusals = 8;
/** Entries that came too early wait here; beyond that they are fetched when it is their turn. */
const maxWaitingEntries = 1024;

/** What a conversation tells the client that it belongs to. */
export interface ConversationOwner {
  /** An own commit or key package was used up; it is time to publish another. */
  keyPackageUsed(lastResort: boolean): void;
  /** The server has another conversation with the same person. */
  exists(conversation: Conversation, other: string): void;
  /** It can't go on until it is read from the vault again. */
  broken(conversation: Conversation, error: ClientError): void;
}

/**
 * One conversation: what arrives is taken in entry by entry, made durable in batches, then told; what is due is posted.
 * One step runs at a time. Whatever arrives meanwhile starts another.
 */
export class Conversation {
  readonly id: Hex;
  readonly standing: Standing;
  readonly outbox: Outbox;
  readonly #context: ConversationContext;
  readonly #owner: ConversationOwner;
  readonly #keys: ConversationKeys;
  readonly #intake: Intake;
  readonly #poster: Poster;
  readonly #upkeep: Upkeep;
  readonly #arrivals = new Map<number, Arrival>();
  #checkpoints: WireCheckpoint[] = [];
  /** What is told after the next flush, and own entries that wait for a checkpoint. */
  #tell: (() => void)[] = [];
  #landed: { item: OutgoingItem; logged: LoggedEntry }[] = [];
  #unreadable = 0;
  #refusals = 0;
  #running: Promise<void> | undefined;
  #wanted = false;
  /** Whether the log has to be asked for: after each connect and each refusal. */
  #mustFetch = false;
  #broken: ClientError | undefined;
  #paused: ClientError | undefined;
  #idle: { resolve: () => void; reject: (error: ClientError) => void }[] = [];

  constructor(context: ConversationContext, owner: ConversationOwner, id: Hex) {
    this.id = id;
    this.#context = context;
    this.#owner = owner;
    this.standing = new Standing(context, id);
    this.#keys = new ConversationKeys(context, id);
    this.outbox = new Outbox(context.vault, id);
    const parts = { log: this.standing.log, keys: this.#keys, outbox: this.outbox };
    this.#intake = new Intake({ context, conversation: id, ...parts });
    this.#upkeep = new Upkeep({ context, conversation: id, parts });
    this.#poster = new Poster({
      context,
      conversation: id,
      parts,
      onAccepted: (line, { conversation, index, at, checkpoint }) => {
        if (conversation === id) this.deliver(index, [{ at, line }], checkpoint);
      },
      onRefused: () => {
        this.#mustFetch = this.standing.log.size > 0;
        this.wake();
      },
    });
    for (const arrival of this.standing.surplus) this.#arrivals.set(arrival.index, arrival);
  }

  get state(): LogState | undefined {
    return this.standing.log.state;
  }

  get keys(): ConversationKeys {
    return this.#keys;
  }

  /** Entries as the server gives them, from `from` on, with its signed root. */
  deliver(from: number, entries: readonly StoredEntry[], checkpoint: WireCheckpoint): void {
    if (this.#broken !== undefined || this.standing.isStopped) return;
    const { size } = this.standing.log;
    try {
      entries.forEach(({ at, line }, i) => {
        const index = from + i;
        if (index >= size && index < size + maxWaitingEntries)
          this.#arrivals.set(index, { index, at, entry: parseEntry(line) });
      });
    } catch (error) {
      this.#break(error);
      return;
    }
    this.#checkpoints.push(checkpoint);
    this.wake();
  }

  /** Posts the `create` of a new conversation. @returns when it stands in the log */
  begin({ peer, pending, body }: Invitation): Promise<Sent> {
    const { standing, outbox } = this;
    standing.begin(peer);
    this.#keys.prepare(pending, standing.batch);
    const item = outbox.add("create", body, "last");
    outbox.store(item, standing.batch);
    this.wake();
    return this.#settled(item);
  }

  /** A connection is there: catch up, then send what waits. */
  connected(): void {
    this.outbox.landed();
    this.#upkeep.forgetUploads();
    this.#paused = undefined;
    this.#mustFetch = this.standing.log.size > 0 || !this.outbox.items.some(isCommit);
    this.wake();
  }

  /** A newer CRL: tells of members who are revoked now; upkeep sees to what follows. */
  revocationsChanged(): void {
    const { directory, onEvent } = this.#context;
    for (const { username, fingerprint } of this.state?.roster ?? [])
      if (directory.isRevoked(fingerprint))
        onEvent({
          event: "warning",
          code: "REVOKED",
          message: `a certificate of ${visible(username)} is revoked: ${fingerprint}`,
          conversation: this.id,
        });
    this.wake();
  }

  /** The connection is gone. What was not accepted stays in the vault. */
  disconnected(error: ClientError): void {
    this.outbox.rejectAll(error);
    this.#settleIdle(error);
  }

  /** Puts words into the outbox. @returns where they stand once they were accepted and the server's root is the own one */
  send(text: string): Promise<Sent> {
    if (!text.isWellFormed()) throw new ClientError("TEXT_REFUSED", "the text is not well-formed Unicode");
    const content = encodeUtf8(text);
    if (content.length > maxPlaintextBytes)
      throw new ClientError("TEXT_REFUSED", `a message has at most ${maxPlaintextBytes} bytes, this has ${content.length}`);
    if (this.state?.closed) throw new ClientError("CONVERSATION_CLOSED", "one of the two has left this conversation");
    return this.#enqueue("message", content);
  }

  /** Posts an `acknowledge` when something stands that no own entry has covered. */
  async acknowledge(): Promise<void> {
    await this.idle();
    // There has to be somebody to say it to.
    this.#context.connection();
    const { log } = this.standing;
    const { fingerprint } = this.#context.self.certificate;
    const own = log.state?.senders.get(fingerprint);
    if (own === undefined || !own.inRoster || own.left) return;
    if (log.lastStatementOfOthers(fingerprint) < own.lastViewSize) return;
    await this.#enqueue("acknowledge", encodeAcknowledgeBody(this.standing.complaints));
    await this.idle();
  }

  /** Resolves when nothing is left to take in or to send. @throws {ClientError} why that can't be */
  idle(): Promise<void> {
    if (this.#trouble !== undefined) return Promise.reject(this.#trouble);
    if (this.#running === undefined) {
      if (this.outbox.isEmpty && this.#landed.length === 0) return Promise.resolve();
      if (this.#context.connectionIfOpen() === undefined) return Promise.reject(notConnected());
    }
    return new Promise((resolve, reject) => this.#idle.push({ resolve, reject }));
  }

  /** Runs another step, at the end of this tick if none is running. */
  wake(): void {
    this.#wanted = true;
    if (this.#running !== undefined || this.#broken !== undefined) return;
    this.#running = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => this.#run())
      .catch((error: unknown) => this.#explain(error))
      .catch((error: unknown) => this.#break(error))
      .finally(() => {
        this.#running = undefined;
        if (this.#wanted && this.#broken === undefined) this.wake();
        else if (this.outbox.isEmpty && this.#landed.length === 0) this.#settleIdle(undefined);
      });
  }

  close(): void {
    this.#broken ??= new ClientError("NOT_CONNECTED", "the client was closed");
    this.disconnected(this.#broken);
    this.#keys.wipe();
    this.standing.close();
  }

  /** An entry of the outbox, durable when the step that follows has run. */
  #enqueue(kind: "message" | "acknowledge", content: Uint8Array): Promise<Sent> {
    if (this.#trouble !== undefined) return Promise.reject(this.#trouble);
    const item = this.outbox.add(kind, content, "last");
    this.wake();
    return this.#settled(item);
  }

  #settled(item: OutgoingItem): Promise<Sent> {
    return new Promise((resolve, reject) => {
      item.settle = { resolve, reject };
    });
  }

  /** Why nothing can be posted. */
  get #trouble(): ClientError | undefined {
    if (this.standing.isStopped)
      return new ClientError("CONVERSATION_STOPPED", "the server has signed two different logs of this conversation");
    return this.#broken ?? this.#paused;
  }

  async #run(): Promise<void> {
    const mayPost = (item: OutgoingItem) => this.#mayPost(item);
    while (this.#wanted && this.#broken === undefined) {
      this.#wanted = false;
      await this.#takeArrivals();
      await this.#judgeCheckpoints();
      this.#flush();
      const connection = this.#context.connectionIfOpen();
      if (connection !== undefined && !this.#wanted) {
        if (this.#isBehind()) {
          await this.#fetch(connection);
          continue;
        }
        this.#resolveRefusal();
        if (this.#paused === undefined) await this.#upkeep.run(connection);
        this.#pauseForRekey();
        if (this.#wanted) continue;
      }
      const isPosting = this.#paused === undefined && !this.standing.isStopped;
      this.#poster.pump(isPosting ? connection : undefined, { complaints: this.standing.complaints, mayPost });
      if (connection === undefined) this.disconnected(notConnected());
      else this.#pauseIfStuck();
    }
  }

  async #takeArrivals(): Promise<void> {
    const { standing } = this;
    for (let taken = 0; taken < maxBatchEntries; taken++) {
      const index = standing.log.size;
      const arrival = this.#arrivals.get(index);
      if (arrival === undefined) return;
      const isKnown = standing.isKnown(index);
      const effects = await this.#intake.take(arrival, { isKnown, batch: standing.batch, name: () => standing.name });
      this.#arrivals.delete(index);
      if (isKnown) standing.requireKnownRoot();
      for (const effect of effects) this.#apply(effect);
    }
    this.#wanted = true;
  }

  #apply(effect: Effect): void {
    switch (effect.kind) {
      case "event":
        this.#tell.push(() => this.#context.onEvent(effect.event));
        return;
      case "landed":
        this.#landed.push(effect);
        this.#refusals = 0;
        if (isCommit(effect.item)) this.#upkeep.succeeded();
        return;
      case "said":
        this.standing.said(effect);
        return;
      case "unreadable":
        this.#unreadable += 1;
        return;
      case "disputed":
        this.standing.complain("disputed", effect.index);
        this.#warn("DISPUTED", `entry ${effect.index} can't be opened, or not to what its author signed: no words are shown`);
        return;
      case "unprocessable":
        this.standing.complain("unprocessable", effect.index);
        return;
      case "roster": {
        const { followed } = effect;
        if (followed.kind === "unprocessable") {
          const reason = followed.reason instanceof Error ? followed.reason.message : "";
          this.#warn("UNPROCESSABLE", `a change of the group could not be followed: ${visible(reason)}`);
        } else if (followed.kind === "member" && (followed.by === "welcome" || followed.by === "last resort")) {
          const isLastResort = followed.by === "last resort";
          this.#tell.push(() => this.#owner.keyPackageUsed(isLastResort));
        }
      }
    }
  }

  /** Those that the log has reached are compared with it; the others wait. */
  async #judgeCheckpoints(): Promise<void> {
    const waiting = this.#checkpoints;
    this.#checkpoints = [];
    const seen = new Set<string>();
    for (const checkpoint of waiting) {
      const name = `${checkpoint.size} ${checkpoint.root} ${checkpoint.at} ${checkpoint.server}`;
      if (seen.has(name)) continue;
      seen.add(name);
      if (checkpoint.size > this.standing.log.size) this.#checkpoints.push(checkpoint);
      else await this.standing.judge(checkpoint);
    }
  }

  #flush(): void {
    const settled = this.standing.flush(this.#keys);
    if (this.#unreadable > 0)
      this.#warn("UNREADABLE", `${this.#unreadable} messages can't be read: this device was not in the conversation then`);
    this.#unreadable = 0;
    const tell = this.#tell;
    this.#tell = [];
    for (const event of tell) event();
    const waiting = this.#landed;
    this.#landed = waiting.filter(({ logged }) => logged.index >= settled);
    for (const { item, logged } of waiting) if (logged.index < settled) this.#report(item, logged);
  }

  #report(item: OutgoingItem, { entry: { seqno }, index, at }: LoggedEntry): void {
    if (item.kind === "message") {
      const text = new TextDecoder().decode(item.content);
      const to = this.standing.name;
      this.#context.onEvent({ event: "sent", conversation: this.id, to, seqno, index, at, text });
    }
    item.settle?.resolve({ seqno, index, at });
  }

  #isBehind(): boolean {
    const { size } = this.standing.log;
    return this.#mustFetch || this.#checkpoints.some((checkpoint) => checkpoint.size > size);
  }

  async #fetch(connection: Connection): Promise<void> {
    const from = this.standing.log.size;
    const attested = this.standing.record.checkpoint?.size ?? 0;
    const answer = await connection.request({
      type: "fetch_entries",
      conversation: this.id,
      from,
      limit: maxEntriesPerAnswer,
    });
    this.#mustFetch = false;
    const isAnswer = answer.conversation === this.id && answer.from === from;
    const isBehind = [...this.#checkpoints, answer.checkpoint].some(({ size }) => size > from);
    if (!isAnswer || (answer.entries.length === 0 && isBehind))
      throw new ClientError("SERVER_MISBEHAVED", "the server does not send the entries that it has signed for");
    if (answer.checkpoint.size < attested)
      throw new ClientError("SERVER_MISBEHAVED", "the server has fewer entries than it has signed for");
    this.deliver(from, answer.entries, answer.checkpoint);
  }

  /** Own commits need their blobs on the server, words the keys of the epoch and nobody in it who may not read them. */
  #mayPost(item: OutgoingItem): boolean {
    const { state } = this;
    if (isCommit(item)) return this.#upkeep.isUploaded;
    if (state === undefined) return false;
    if (item.kind === "message")
      return (
        !state.closed &&
        state.epoch === this.#keys.epoch &&
        this.#keys.pending === undefined &&
        this.#upkeep.obstacles.length === 0
      );
    return state.senders.get(this.#context.self.certificate.fingerprint)?.inRoster === true;
  }

  /** Once everything is answered and the log has caught up: what a refusal means for what waits. */
  #resolveRefusal(): void {
    const { refusal } = this.#poster;
    if (refusal === undefined) return;
    this.#poster.resume();
    const { item, error } = refusal;
    // It stands after all: an earlier connection had brought it there.
    if (!this.outbox.items.includes(item)) return;
    this.#refusals += 1;
    const verdict = this.#refusals > maxRefusals ? "later" : judgeRefusal(item, error);
    switch (verdict) {
      case "exists":
        this.#pause(error);
        this.#owner.exists(this, error.detail);
        return;
      case "sign again":
        item.refused = true;
        return;
      case "upload again":
        this.#upkeep.forgetUploads();
        return;
      case "post again":
        return;
      case "drop":
        this.#drop(item, error);
        return;
      case "later":
        this.#pause(error);
    }
  }

  #drop(item: OutgoingItem, error: ClientError): void {
    const batch = this.#context.vault.batch();
    this.outbox.remove(item, batch);
    if (isCommit(item)) this.#keys.dropPending(batch);
    this.#context.vault.commit(batch);
    item.settle?.reject(error);
    if (item.kind !== "membership") this.#error(error);
    this.#wanted = true;
  }

  #pauseForRekey(): void {
    const [obstacle] = this.outbox.items.some(({ kind }) => kind === "message") ? this.#upkeep.obstacles : [];
    if (obstacle === undefined || this.#keys.pending !== undefined || this.#paused !== undefined) return;
    this.#pause(
      new ClientError(
        "REKEY_NEEDED",
        `nothing can be sent: the certificate ${obstacle.fingerprint} of ${visible(obstacle.username)} has expired, is revoked, or its owner has left`,
      ),
    );
  }

  /** Nothing is on its way and nothing may go: there is no way into the group. */
  #pauseIfStuck(): void {
    const isStuck = !this.#wanted && this.#paused === undefined && !this.outbox.isEmpty && this.outbox.inFlight.length === 0;
    if (isStuck)
      this.#pause(new ClientError("NOT_A_MEMBER", "this device could not come back into the conversation's group"));
  }

  /** Sends nothing more until the next connection; what waits stays in the vault. */
  #pause(error: ClientError): void {
    this.#paused = error;
    if (error.refusal !== "CONVERSATION_EXISTS") this.#error(error);
    this.outbox.rejectAll(error);
    this.#settleIdle(error);
  }

  /** What came can't stand here. If that is because the server has another log than before, both its signatures are kept. */
  async #explain(error: unknown): Promise<never> {
    const { record, log } = this.standing;
    const connection = this.#context.connectionIfOpen();
    const isSuspect = error instanceof LogError || (error instanceof ClientError && error.code === "SERVER_MISBEHAVED");
    if (!isSuspect || connection === undefined || record.size === 0 || log.size < record.size) throw error;
    const { root, checkpoint } = await servedPrefix(connection, this.id, record.size);
    if (root === record.root) throw error;
    await this.standing.verify(checkpoint);
    return this.standing.stop(checkpoint);
  }

  #break(error: unknown): void {
    if (error instanceof ClientError && isConnectionTrouble(error)) return;
    const reason =
      error instanceof ClientError
        ? error
        : new ClientError(
            "SERVER_MISBEHAVED",
            `what the server sent can't stand: ${error instanceof Error ? visible(error.message) : ""}`,
            { cause: error },
          );
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#error(reason);
    this.disconnected(reason);
    this.#owner.broken(this, reason);
  }

  #settleIdle(error: ClientError | undefined): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const { resolve, reject } of idle) if (error === undefined) resolve();
      else reject(error);
  }

  #warn(code: WarningCode, message: string): void {
    this.#tell.push(() => this.#context.onEvent({ event: "warning", code, message, conversation: this.id }));
  }

  #error(error: ClientError): void {
    const { code, refusal, message } = error;
    this.#context.onEvent({ event: "error", code: refusal ?? code, message, conversation: this.id });
  }
}

function notConnected(): ClientError {
  return new ClientError("NOT_CONNECTED", "there is no connection: what was written is kept and sent with the next one");
}

function isConnectionTrouble({ code }: ClientError): boolean {
  return code === "CONNECTION_LOST" || code === "TIMEOUT" || code === "NOT_CONNECTED";
}
