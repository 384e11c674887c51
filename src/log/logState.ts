import type { Hex } from "../base/hex.ts";
import type { Frontier } from "./merkle.ts";
import type { Person, RosterRow } from "./roster.ts";

/** What a log says about one device, from the entry that first put it into the roster on. */
export interface SenderState extends Person {
  /** SHA-256 of the public key of the CA that vouched for the names. */
  readonly authority: Hex;
  /** The last second of the certificate's validity, ms: after it any member may remove the device. */
  readonly notAfterMs: number;
  /** 0 until it has written. */
  readonly lastSeqno: number;
  /** The size of its last view; 0 until it has written. */
  readonly lastViewSize: number;
  /** Index of the entry that put it into the roster, the last time that happened. */
  readonly admittedIndex: number;
  readonly inRoster: boolean;
  /** Whether its person left while it was in the roster. */
  readonly left: boolean;
}

/**
 * Everything about the first `size` entries of a log that the rules for the next one and a receipt need. Two parties
 * that hold the same prefix hold the same state. It never changes; the next entry makes a new one.
 */
export interface LogState {
  readonly conversation: Hex;
  readonly kind: "direct" | "group";
  readonly title: string;
  /** The only server that signs for this conversation, and its certificate when the log began. */
  readonly server: { readonly name: string; readonly fingerprint: Hex };
  readonly creator: Person & { readonly authority: Hex };
  readonly admins: readonly string[];
  readonly roster: readonly RosterRow[];
  readonly epoch: number;
  /** Index of the entry that opened the epoch and set the roster. */
  readonly epochIndex: number;
  readonly size: number;
  readonly frontier: Frontier;
  readonly root: Hex;
  /** `at` of entry 0 and of entry size-1, ms. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Every device that was ever in the roster, by fingerprint. */
  readonly senders: ReadonlyMap<Hex, SenderState>;
  /** Rows of the roster whose person has left: `message` is refused until they are removed. */
  readonly departed: readonly RosterRow[];
  /** A direct conversation that one of the two has left: only `acknowledge` may follow. */
  readonly closed: boolean;
}

/** @returns the seqno that the next entry of this certificate must have */
export function nextSeqno(state: LogState | undefined, sender: Hex): number {
  return (state?.senders.get(sender)?.lastSeqno ?? 0) + 1;
}

/** @returns whether the device's certificate is past its notAfter, which is inclusive and a whole second */
export function isExpired({ notAfterMs }: SenderState, atMs: number): boolean {
  return atMs >= notAfterMs + 1000;
}
