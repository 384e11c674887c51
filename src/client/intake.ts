import { decodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { type AcknowledgeBody, type CreateBody, decodeBody, type MembershipBody } from "../log/bodies.ts";
import { type Entry, formatEntry } from "../log/entry.ts";
import { isSamePerson } from "../log/roster.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { downloadBlob } from "./blobs.ts";
import { ClientError } from "./clientError.ts";
import type { ClientEvent } from "./clientEvents.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { ConversationKeys, Entered } from "./conversationKeys.ts";
import type { EpochBlobs } from "./groupFollower.ts";
import { learnCertificates } from "./learnCertificates.ts";
import type { Outbox, OutgoingItem } from "./outbox.ts";
import type { VaultBatch } from "./vault.ts";
import { encodeOpening, numberedKey } from "./vaultRecords.ts";
import type { LoggedEntry, VerifiedLog } from "./verifiedLog.ts";

/** An entry as it came from the server or out of the transcript. */
export interface Arrival {
  readonly index: number;
  readonly at: number;
  readonly entry: Entry;
  /** The entry as the server sent it; `undefined` when it comes out of the transcript. */
  readonly line?: string;
}

/** What taking an entry in asks of the conversation. */
export type Effect =
  /** To be told once the entry is durable. */
  | { readonly kind: "event"; readonly event: ClientEvent }
  /** An own entry stands. To be told once a checkpoint covers it. */
  | { readonly kind: "landed"; readonly item: OutgoingItem; readonly logged: LoggedEntry }
  /** A message that can't be opened, or not to what was signed. */
  | { readonly kind: "disputed"; readonly index: number }
  /** A commit that can't be followed, or that others can't come in after. */
  | {
      readonly kind: "unprocessable";
      readonly index: number;
      readonly by: string;
      readonly reason: unknown;
    }
  /** An own `acknowledge` said this. */
  | { readonly kind: "said"; readonly disputed: readonly number[]; readonly unprocessable: readonly number[] }
  /** A message from before this device's epoch. */
  | { readonly kind: "unreadable"; readonly index: number }
  /** Joined by a key package, which is used up with it. */
  | { readonly kind: "joined" };

/** Takes the entries of one conversation in, one after the other: log first, then what they mean for keys and words. */
export class Intake {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #log: VerifiedLog;
  readonly #keys: ConversationKeys;
  readonly #outbox: Outbox;

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    log: VerifiedLog;
    keys: ConversationKeys;
    outbox: Outbox;
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#log = options.log;
    this.#keys = options.keys;
    this.#outbox = options.outbox;
  }

  /**
   * @param isKnown the entry was taken into account before and only the transcript lost it: it is verified again and has
   *   no other effect
   * @param name of the conversation, for events; asked after the entry was verified
   * @throws {LogError} it may not stand there; {ClientError} the connection was lost while its blobs were fetched:
   *   nothing was taken in
   */
  async take(
    arrival: Arrival,
    { isKnown, batch, name }: { isKnown: boolean; batch: VaultBatch; name: () => string },
  ): Promise<Effect[]> {
    const { entry, at } = arrival;
    if (entry.conversation !== this.#conversation)
      throw new ClientError("SERVER_MISBEHAVED", "the server sent an entry of another conversation");
    const body = decodeBody(entry);
    const roster = body.kind === "create" || body.kind === "membership" ? body.body : undefined;
    await this.#learn(entry, at, roster);
    const blobs = roster === undefined || isKnown ? undefined : await this.#fetch(entry, roster);
    const before = this.#log.state;
    const logged = this.#log.append(entry, at, this.#hasSigned(arrival));
    const after = this.#log.state;
    if (isKnown || after === undefined) return [];
    const { self } = this.#context;
    if (
      before === undefined &&
      after.kind === "direct" &&
      !after.roster.some((row) => isSamePerson(row, self))
    )
      throw new ClientError("SERVER_MISBEHAVED", "the server sent a conversation of two others");
    switch (logged.body.kind) {
      case "message":
        return this.#message(logged, batch, name());
      case "create":
      case "membership": {
        const entered = { entry, at, body: logged.body.body, before, after };
        const isOwn = this.#keys.isOwn(entered);
        const reached = await this.#keys.enter(entered, blobs, batch);
        const landed = this.#land(logged, batch);
        // Another commit opened the epoch: an own one that waits is of no use any more.
        if (!isOwn)
          for (const item of this.#outbox.items)
            if (item.kind === "membership") this.#outbox.remove(item, batch);
        this.#pin(entered.body, at, batch);
        const action = logged.body.kind === "create" ? "create" : logged.body.body.action;
        const effects: Effect[] = [...landed];
        const reason = faultOf(reached);
        const by = after.senders.get(entry.sender)?.username ?? "";
        if (reason !== undefined) effects.push({ kind: "unprocessable", index: logged.index, by, reason });
        if (reached.kind === "member" && reached.by === "welcome") effects.push({ kind: "joined" });
        return [...effects, this.#membership(logged, action, name())];
      }
      case "leave":
        return [...this.#land(logged, batch), this.#membership(logged, "leave", name())];
      case "acknowledge": {
        const landed = this.#land(logged, batch);
        return this.#isOwn(entry)
          ? [...landed, { kind: "said", ...logged.body.body }]
          : [...landed, ...this.#notRead(entry, logged.body.body)];
      }
    }
  }

  #message(logged: LoggedEntry, batch: VaultBatch, to: string): Effect[] {
    const { entry, index, at } = logged;
    const received = this.#keys.receive(entry);
    const isOwn = this.#isOwn(entry);
    const landed = isOwn ? this.#land(logged, batch) : [];
    if (received.kind === "outside") return [...landed, { kind: "unreadable", index }];
    // Words are UTF-8: anything else can be neither shown nor disclosed.
    const text = received.kind === "opened" ? decodeUtf8(received.plaintext) : undefined;
    if (received.kind !== "opened" || text === undefined) return [...landed, { kind: "disputed", index }];
    const { opening, plaintext } = received;
    if (this.#context.keepHistory)
      batch.write("opening", numberedKey(this.#conversation, index), encodeOpening(opening, plaintext));
    opening.fill(0);
    if (isOwn) return landed;
    const { username: from = "", email = "" } = this.#log.state?.senders.get(entry.sender) ?? {};
    const { conversation, seqno } = entry;
    const event = { event: "message", conversation, to, from, email, seqno, index, at, text } as const;
    return [{ kind: "event", event }];
  }

  /** What another member could not read is of interest to whoever writes to it. It says so itself: it may be wrong or lie. */
  #notRead({ sender, conversation }: Entry, { disputed, unprocessable }: AcknowledgeBody): Effect[] {
    const by = visible(this.#log.state?.senders.get(sender)?.username ?? "");
    const messages: string[] = [];
    if (disputed.length > 0) messages.push(`${by} says that it could not open ${entriesText(disputed)}`);
    if (unprocessable.length > 0)
      messages.push(
        `${by} says that it can't follow ${entriesText(unprocessable)}: until it is back it may read nothing`,
      );
    return messages.map((message) => ({
      kind: "event",
      event: { event: "warning", code: "NOT_READ", message, conversation },
    }));
  }

  #land(logged: LoggedEntry, batch: VaultBatch): Effect[] {
    if (!this.#isOwn(logged.entry)) return [];
    const item = this.#outbox.land(logged.entry, formatEntry(logged.entry), batch);
    return item === undefined ? [] : [{ kind: "landed", item, logged }];
  }

  #membership(
    { entry, index }: LoggedEntry,
    action: "create" | "leave" | MembershipBody["action"],
    to: string,
  ): Effect {
    const state = this.#log.state;
    const members = [...new Set(state?.roster.map(({ username }) => username))];
    const by = state?.senders.get(entry.sender)?.username ?? "";
    const { conversation } = entry;
    return { kind: "event", event: { event: "membership", conversation, to, action, by, index, members } };
  }

  /** Certificates that the entry can't be judged without. Whether they are good is up to the log's rules. */
  async #learn(entry: Entry, at: number, roster: CreateBody | MembershipBody | undefined): Promise<void> {
    const needed = [entry.sender];
    if (roster !== undefined) needed.push(...roster.roster.map(({ fingerprint }) => fingerprint));
    if (roster !== undefined && "server" in roster) needed.push(roster.server.fingerprint);
    await learnCertificates(this.#context, needed, at);
  }

  async #fetch(entry: Entry, body: CreateBody | MembershipBody): Promise<EpochBlobs | undefined> {
    const isMember = this.#context.devices.rowOf(body.roster) !== undefined;
    if (!isMember || this.#keys.isOwn({ entry, body })) return undefined;
    const connection = this.#context.connection();
    try {
      const [commit, groupInfo, welcome] = await Promise.all([
        downloadBlob(connection, body.commit),
        downloadBlob(connection, body.group),
        this.#keys.epoch === 0 && body.welcome !== null ? downloadBlob(connection, body.welcome) : null,
      ]);
      return { commit, groupInfo, welcome };
    } catch (error) {
      // A restored server may lack them: the entry stands all the same, and its commit can't be followed.
      if (error instanceof ClientError && error.refusal === "NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** What the log has just judged good is pinned, and announced when it is new about somebody known. */
  #pin({ roster }: CreateBody | MembershipBody, at: number, batch: VaultBatch): void {
    const { directory, self } = this.#context;
    for (const row of roster) {
      const { fingerprint, username } = row;
      if (fingerprint === self.certificate.fingerprint) continue;
      if (directory.isRevoked(fingerprint))
        this.#warn("REVOKED", `a certificate of ${username} is revoked: ${fingerprint}`);
      let verified: VerifiedCertificate;
      try {
        verified = directory.certificateAt(fingerprint, at);
      } catch {
        // It was good when the log took it in, and is still in the roster.
        this.#warn("EXPIRED", `a certificate of ${username} is no longer good: ${fingerprint}`);
        continue;
      }
      directory.pin(row, verified, batch);
    }
  }

  #warn(code: "REVOKED" | "EXPIRED", message: string): void {
    this.#context.onEvent({ event: "warning", code, message, conversation: this.#conversation });
  }

  /** The vault keeps lines of the own key only, so one that comes back as it was posted is as it was signed. */
  #hasSigned({ entry, line }: Arrival): boolean {
    if (line === undefined || !this.#isOwn(entry)) return false;
    return this.#outbox.items.find(({ seqno }) => seqno === entry.seqno)?.line === line;
  }

  #isOwn({ sender }: Entry): boolean {
    return sender === this.#context.self.certificate.fingerprint;
  }
}

/** What there is to say against the commit. */
function faultOf(entered: Entered): unknown {
  if (entered.kind === "unprocessable") return entered.reason;
  return entered.kind === "member" ? entered.badGroupInfo : undefined;
}

/** @param indexes as many as somebody else liked */
function entriesText([first, ...others]: readonly number[]): string {
  return others.length === 0 ? `entry ${first}` : `entry ${first} and ${others.length} more`;
}
