import type { Hex } from "../base/hex.ts";
import type { Conversation } from "./conversation.ts";

/** A certificate in a conversation's roster, and how far its holder has come. */
export interface Member {
  readonly username: string;
  readonly email: string;
  readonly fingerprint: Hex;
  readonly isOwn: boolean;
  readonly left: boolean;
  /** The prefix of the log that its last entry signed for; 0 until it has written. */
  readonly signedSize: number;
  /** The prefix that holds all that others have said: once `signedSize` has come this far, it has signed for everything. */
  readonly statementSize: number;
}

/** @param own the own certificate's fingerprint */
export function membersOf({ state, standing }: Conversation, own: Hex): Member[] {
  return (state?.roster ?? []).map(({ username, email, fingerprint }) => ({
    username,
    email,
    fingerprint,
    isOwn: fingerprint === own,
    left: state?.senders.get(fingerprint)?.left === true,
    signedSize: state?.senders.get(fingerprint)?.lastViewSize ?? 0,
    statementSize: standing.log.lastStatementOfOthers(fingerprint) + 1,
  }));
}
