import type { Announcements } from "./announcements.ts";
import { askedDelayMs } from "./askedDelay.ts";
import type { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { conversationClosed, conversationLeft, notConnected } from "./conversationErrors.ts";
import type { ConversationKeys } from "./conversationKeys.ts";
import { hasLeft } from "./departure.ts";
import { IdleWaiters } from "./idleWaiters.ts";
import type { Impediments } from "./impediments.ts";
import type { Inbox } from "./inbox.ts";
import type { Intake } from "./intake.ts";
import type { Outbox, OutgoingItem } from "./outbox.ts";
import { noComplaints, type Poster } from "./poster.ts";
import { isServerTrouble, ServerRest } from "./serverRest.ts";
import type { Standing } from "./standing.ts";
import type { Upkeep } from "./upkeep.ts";

/** Entries that are taken in before they are made durable together. */
const maxBatchEntries = 256;

/** What a step goes through. */
export interface StepParts {
  readonly standing: Standing;
  readonly keys: ConversationKeys;
  readonly outbox: Outbox;
  readonly impediments: Impediments;
  readonly inbox: Inbox;
  readonly intake: Intake;
  readonly announcements: Announcements;
  readonly upkeep: Upkeep;
  readonly poster: Poster;
}

/** What a step leaves to its conversation. */
export interface StepsOwner {
  /** What was taken in so far is durable, and there is something. */
  stored(): void;
  /** The server has another conversation with the same person. */
  exists(other: string): void;
  /** The server wants nothing posted for a while, or can't do anything, and will be asked again. */
  delayed(code: "TRY_LATER" | "SERVER_UNAVAILABLE", message: string): void;
  /** It is asked again now. */
  rested(): void;
  /** There is no connection, nor is one being made. */
  disconnected(error: ClientError): void;
  /** It can't go on. */
  failed(error: unknown): void;
}

/**
 * What a conversation does: what arrives is taken in entry by entry, made durable in batches, then told; what is due is
 * posted. One step runs at a time. Whatever comes up meanwhile starts another.
 */
export class ConversationSteps {
  readonly #context: ConversationContext;
  readonly #parts: StepParts;
  readonly #owner: StepsOwner;
  readonly #idle = new IdleWaiters();
  readonly #calm = new IdleWaiters();
  /** Of everything that the server would be asked for. */
  readonly #rest: ServerRest;
  #running: Promise<void> | undefined;
  #wanted = false;
  /** Runs while the server has asked for nothing to be posted; all else goes on. */
  #waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(context: ConversationContext, parts: StepParts, owner: StepsOwner) {
    this.#context = context;
    this.#parts = parts;
    this.#owner = owner;
    this.#rest = new ServerRest({
      policy: context.reconnect,
      onBegin: ({ message }) =>
        owner.delayed(
          "SERVER_UNAVAILABLE",
          `${message}; what was written is kept and sent as soon as it can be`,
        ),
      onLasting: (reason) => context.moveOn(reason),
      onOver: () => {
        owner.rested();
        this.wake();
      },
    });
  }

  /** A new connection: the server may be able to do by now what it could not. */
  startOver(): void {
    this.#rest.stop();
  }

  /** The client is about to end. */
  hurry(): void {
    this.#rest.hurry();
  }

  /** Nothing is waited for any more. */
  close(): void {
    clearTimeout(this.#waiting);
    this.#rest.stop();
  }

  /** Runs another step, at the end of this tick if none is running. */
  wake(): void {
    const { impediments, inbox } = this.#parts;
    this.#wanted = true;
    if (this.#running !== undefined || impediments.isDeaf) return;
    this.#running = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => this.#run())
      .catch((error: unknown) => inbox.explain(error, this.#context.connectionIfOpen()))
      .catch((error: unknown) => {
        if (isServerTrouble(error)) this.#rests(error);
        else this.#owner.failed(error);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#wanted && !impediments.isBroken) this.wake();
        else if (this.#isDone) this.#settle(undefined);
      });
  }

  /** Resolves when nothing is left to take in or to send. @throws {ClientError} why that can't be */
  idle(): Promise<void> {
    const { trouble } = this.#parts.impediments;
    if (trouble !== undefined) return Promise.reject(trouble);
    if (this.#running === undefined) {
      if (this.#isDone) return Promise.resolve();
      if (this.#isAlone) return Promise.reject(notConnected());
    }
    return this.#idle.wait();
  }

  /** As `idle`, but waits for no server that can't take anything now. @returns whether nothing is left */
  async calm(): Promise<boolean> {
    if (this.#rest.isRunning) return false;
    await Promise.race([this.idle(), this.#calm.wait()]);
    return !this.#rest.isRunning;
  }

  /** Nobody waits any longer. */
  giveUpWaiting(error: ClientError): void {
    this.#parts.outbox.rejectAll(error);
    this.#settle(error);
  }

  #settle(error: ClientError | undefined): void {
    this.#idle.settle(error);
    this.#calm.settle(error);
  }

  /** Whether there is no connection, nor is one being made. */
  get #isAlone(): boolean {
    return this.#context.connectionIfOpen() === undefined && !this.#context.isMending();
  }

  get #isDone(): boolean {
    const { standing, outbox, announcements } = this.#parts;
    return outbox.isEmpty && !announcements.isWaiting && standing.log.size >= standing.record.size;
  }

  get #hasLeft(): boolean {
    return hasLeft(this.#parts.standing.log.state, this.#context.self);
  }

  async #run(): Promise<void> {
    const { standing, keys, impediments, inbox, announcements, upkeep, poster } = this.#parts;
    const mayPost = (item: OutgoingItem) => upkeep.mayPost(item);
    while (this.#wanted && !impediments.isBroken) {
      this.#wanted = false;
      if (!this.#rest.isRunning) {
        await this.#takeArrivals();
        await inbox.judge();
      }
      if (impediments.isBroken) return;
      announcements.tell(standing.flush(keys));
      if (standing.record.size > 0) this.#owner.stored();
      const connection = this.#rest.isRunning ? undefined : this.#context.connectionIfOpen();
      if (connection !== undefined && !this.#wanted) {
        if (inbox.isBehind) {
          await inbox.fetch(connection);
          this.#wanted = true;
          continue;
        }
        this.#resolveRefusal();
        if (this.#rest.isRunning) continue;
        if (impediments.mayPost) await upkeep.run(connection);
        if (this.#wanted || impediments.isBroken) continue;
      }
      const complaints = this.#hasLeft ? noComplaints : standing.complaints;
      // The step may have outlived its connection; and with something new to do first, the log may not be caught up: nothing is
      // signed on top of it then.
      const isReady = !this.#wanted && connection === this.#context.connectionIfOpen();
      const live = isReady ? connection : undefined;
      const mayPump = impediments.mayPost && this.#waiting === undefined;
      poster.pump(mayPump ? live : undefined, { complaints, mayPost });
      const isStuck = live !== undefined && this.#waiting === undefined;
      const hindrance = isStuck ? upkeep.hindrance : undefined;
      if (this.#isAlone) this.#owner.disconnected(notConnected());
      else if (hindrance !== undefined && impediments.mayPost) this.#pause(hindrance);
    }
  }

  async #takeArrivals(): Promise<void> {
    const { standing, inbox, intake, announcements, poster } = this.#parts;
    const name = () => standing.name;
    for (let taken = 0; taken < maxBatchEntries; taken++) {
      const arrival = inbox.next;
      if (arrival === undefined) return;
      const isKnown = standing.isKnown(arrival.index);
      const effects = await intake.take(arrival, { isKnown, batch: standing.batch, name });
      inbox.taken(arrival);
      if (isKnown) standing.requireKnownRoot();
      for (const effect of effects) {
        announcements.note(effect);
        if (effect.kind !== "landed") continue;
        poster.landed();
        this.#rest.proved();
      }
    }
    this.#wanted = true;
  }

  /** What a refusal, or the end of the conversation, means for what waits. */
  #resolveRefusal(): void {
    const { standing, upkeep, poster } = this.#parts;
    const resolution = poster.resolve();
    if (resolution?.kind === "upload again") upkeep.forgetUploads();
    if (resolution?.kind === "wait") this.#wait(resolution.error);
    if (resolution?.kind === "rest") this.#rests(resolution.error);
    if (resolution?.kind === "later" || resolution?.kind === "exists") this.#pause(resolution.error);
    if (resolution?.kind === "exists") this.#owner.exists(resolution.error.detail);
    if (this.#hasLeft) poster.dropWaiting(() => true, conversationLeft());
    else if (standing.log.state?.closed)
      poster.dropWaiting(({ kind }) => kind !== "acknowledge", conversationClosed());
  }

  /** Sends nothing more for as long as the server asks for; whoever waits goes on waiting. */
  #wait(error: ClientError): void {
    this.#owner.delayed("TRY_LATER", error.message);
    this.#waiting = setTimeout(() => {
      this.#waiting = undefined;
      this.wake();
    }, askedDelayMs(error));
  }

  /** The server can't do anything now: it is asked again after a while, or with the next connection. */
  #rests(error: ClientError): void {
    if (!this.#rest.begin(error)) {
      this.#pause(error);
      return;
    }
    this.#calm.settle(undefined);
    this.wake();
  }

  /** Sends nothing more until the next connection; what waits stays in the vault. */
  #pause(error: ClientError): void {
    this.#parts.impediments.pause(error);
    this.giveUpWaiting(error);
  }
}
