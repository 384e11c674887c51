import type { Hex } from "../base/hex.ts";

/**
 * What the client tells whoever shows it. Text in `text`, `title` and `message` comes from peers in part: it goes
 * through `visible` before it reaches a terminal. All times are ms since the epoch.
 */
export type ClientEvent =
  /** A step of `connect()` is done: TCP is up, the server's certificate is accepted, the keys are agreed. */
  | { readonly event: "progress"; readonly step: "connect" | "certificate" | "keys" }
  | { readonly event: "connected"; readonly server: string; readonly fingerprint: Hex }
  | {
      readonly event: "authenticated";
      readonly username: string;
      readonly email: string;
      readonly registered: boolean;
    }
  /** The own client is that of the server's operator, and can be reached. */
  | { readonly event: "attached"; readonly username: string; readonly fingerprint: Hex }
  /** The conversation with the server's operator is open: a member under the certificate of the server itself. */
  | {
      readonly event: "operator";
      readonly conversation: Hex;
      readonly name: string;
      readonly fingerprint: Hex;
    }
  /** Own words are in the vault: from here on they come to stand exactly once, even if this process is killed. */
  | { readonly event: "kept"; readonly conversation: Hex; readonly to: string; readonly text: string }
  /** An own message stands in the log, and the server's signed root is the client's own. */
  | {
      readonly event: "sent";
      readonly conversation: Hex;
      readonly to: string;
      readonly seqno: number;
      readonly index: number;
      readonly at: number;
      readonly text: string;
    }
  | {
      readonly event: "message";
      readonly conversation: Hex;
      readonly to: string;
      readonly from: string;
      readonly email: string;
      readonly seqno: number;
      readonly index: number;
      readonly at: number;
      readonly text: string;
    }
  | {
      readonly event: "membership";
      readonly conversation: Hex;
      readonly to: string;
      readonly action: "create" | "add" | "remove" | "update" | "renew" | "rejoin" | "leave";
      readonly by: string;
      readonly index: number;
      readonly members: readonly string[];
    }
  | {
      readonly event: "receipt";
      readonly conversation: Hex;
      readonly to: string;
      readonly folder: string;
      readonly size: number;
      readonly root: Hex;
      /** Usernames whose signature is in the file and was verified; the server's name among them. */
      readonly signers: readonly string[];
      readonly countersigned: boolean;
    }
  | {
      readonly event: "warning";
      readonly code: WarningCode;
      readonly message: string;
      readonly conversation?: Hex;
    }
  | {
      readonly event: "error";
      readonly code: string;
      readonly message: string;
      readonly conversation?: Hex;
      /** What the server did keeps this conversation from going on. */
      readonly stopped?: StoppedConversation;
    }
  /** How far another member says to have received: unsigned, and as the server tells it. */
  | {
      readonly event: "delivered";
      readonly conversation: Hex;
      readonly to: string;
      readonly by: string;
      readonly size: number;
    }
  /** The server has deleted a conversation in which nothing was said for long: it is over. */
  | {
      readonly event: "expired";
      readonly conversation: Hex;
      readonly to: string;
      /** How long the server says to keep one, in days; `null`: it does not say. */
      readonly keptDays: number | null;
      /** Where its evidence stays. */
      readonly folder: string;
      /** Whether the receipt over all of it was countersigned: now it can't be any more. */
      readonly countersigned: boolean;
      /** Messages that were not sent there. */
      readonly unsent: number;
    }
  /** From now on another conversation counts between the same two people. */
  | {
      readonly event: "replaced";
      readonly conversation: Hex;
      readonly successor: Hex;
      readonly to: string;
      /** Where the evidence of the earlier one stays. */
      readonly folder: string;
      /** Messages that were not sent there. */
      readonly unsent: number;
    }
  /** The connection was lost, and the client brings it back by itself. What is sent meanwhile waits in the outbox. */
  | { readonly event: "connection"; readonly state: "lost"; readonly code: string; readonly message: string }
  /** Another attempt follows in so many ms. `code` and `message`: why there is no connection. */
  | {
      readonly event: "connection";
      readonly state: "retrying";
      readonly inMs: number;
      readonly code: string;
      readonly message: string;
    }
  /** Logged in again; catching up follows. */
  | { readonly event: "connection"; readonly state: "back" }
  /** There is no connection, and none will come by itself. */
  | { readonly event: "closed"; readonly code: string; readonly message: string };

export interface StoppedConversation {
  readonly to: string;
  /** The file with the signatures that contradict each other, or the folder with all that the server has signed. */
  readonly evidence: string;
  /** Messages that wait in it. */
  readonly unsent: number;
}

export type WarningCode =
  | "NEW_CERTIFICATE"
  | "NEW_DEVICE"
  | "SAME_NAME"
  | "REVOKED"
  | "EXPIRED"
  | "STALE_CRL"
  | "CLOCK"
  | "DISPUTED"
  | "UNREADABLE"
  | "UNPROCESSABLE"
  /** Another member says that it could not open a message, or that it has no keys for now. */
  | "NOT_READ"
  | "REJOINED"
  | "LAST_RESORT"
  | "TRANSCRIPT_REPAIRED"
  | "SERVER_UNAVAILABLE"
  | "CONVERSATION_IGNORED"
  | "RECEIPT_REFUSED"
  /** The server takes nothing more for a while: what was not sent goes out by itself then. */
  | "TRY_LATER";

export type OnEvent = (event: ClientEvent) => void;
