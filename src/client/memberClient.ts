import type { Hex } from "../base/hex.ts";
import type { OfferedOperator } from "../wire/operatorMessages.ts";
import type { Comparison } from "./comparison.ts";
import type { ConversationSummary } from "./conversationSummary.ts";
import type { Login } from "./loginRequest.ts";
import type { Member } from "./member.ts";
import type { Sent } from "./outbox.ts";
import type { VerifiedReceipt } from "./receipts.ts";
import type { IndexRange, RememberedMessage } from "./words.ts";

/** What a member does: a vault, the conversations in it, and at most one connection. */
export interface MemberClient {
  readonly username: string;
  /** Empty for a server's operator. */
  readonly email: string;
  /** @returns the id of the conversation with that person, or with the operator under its name; begun if there was none */
  openDirect(name: string): Promise<Hex>;
  /**
   * Gives up a conversation of two that can't go on because of what the server did or has lost, and begins another with the
   * same person. Its evidence stays, and what was not sent in it waits for `resend`.
   *
   * @returns the id of the new one
   * @throws {ClientError} `NOT_STOPPED` it can go on; as `openDirect`
   */
  fresh(conversation: Hex): Promise<Hex>;
  /** Messages that were not sent in earlier conversations with the other one of this conversation. */
  unsent(conversation: Hex): readonly string[];
  /** Sends them here. @returns for each, as `send` */
  resend(conversation: Hex): readonly Promise<Sent>[];
  /**
   * Many may be on their way; they stand in the order of the calls. While a lost connection is brought back they wait; when
   * none comes they reject, and the words are sent after the next login all the same.
   */
  send(conversation: Hex, text: string): Promise<Sent>;
  /**
   * Leaves with all own devices, after what waits to be sent. A conversation of two is over then, for both; receipts over it
   * can still be made.
   *
   * @returns where the `leave` stands
   * @throws {ClientError} `CONVERSATION_CLOSED` somebody was faster
   */
  leave(conversation: Hex): Promise<Sent>;
  receipt(conversation: Hex): Promise<VerifiedReceipt>;
  /** @param file a new file to write instead of the folder's `disclosure.json` */
  disclose(
    conversation: Hex,
    ranges: readonly IndexRange[] | "all",
    file?: string,
  ): Promise<{ file: string; indexes: readonly number[] }>;
  conversations(): readonly ConversationSummary[];
  members(conversation: Hex): readonly Member[];
  /** What to compare with another member over another channel. @param size of the prefix; by default all that is durable */
  comparison(conversation: Hex, size?: number): Comparison;
  history(conversation: Hex, count?: number): readonly RememberedMessage[];
  /** The user wants to end: a lost connection is brought back at once, or within a limited time not at all. */
  hurry(): void;
  /** As `hurry`; waits for what is on its way, makes receipts, closes everything. @throws {ClientError} `NOT_COUNTERSIGNED`, after closing */
  quit(): Promise<void>;
  /** Closes everything at once, without receipts; what was not sent waits in the vault. Harmless after `quit`. */
  close(): void;
}

/** A person's client: a member that comes over the network and logs in. */
export interface Client extends MemberClient {
  /**
   * Dials the server and agrees on keys; `progress` and `connected` tell of it.
   *
   * @param anew whether a connection on which nobody has logged in yet gives way: the server waits no longer than 30 s for that
   */
  connect(anew?: boolean): Promise<void>;
  /** Makes an account for the own certificate, then goes on as `login`. */
  register(account: { email: string; username: string; password: string }): Promise<void>;
  /** Logs in, then catches up with every conversation. What comes is told by events. */
  login(account: Login): Promise<void>;
  /** The server's operator, where the login has offered one. */
  readonly operator: OfferedOperator | undefined;
}

/** The client of the server's operator, in the server's own process. */
export interface OperatorClient extends MemberClient {
  /** Comes in, then catches up with every conversation. */
  attach(): Promise<void>;
}
