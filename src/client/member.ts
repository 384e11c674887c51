import type { Hex } from "../base/hex.ts";
import type { Conversation } from "./conversation.ts";
import type { Deliveries } from "./deliveries.ts";

/** A certificate in a conversation's roster, and how far its holder has come. */
export interface Member {
  readonly username: string;
  readonly email: string;
  readonly fingerprint: Hex;
  readonly isOwn: boolean;
  readonly left: boolean;
  /** The prefix of the log that it says to have received: a hint, unsigned; `undefined` where nobody has said. */
  readonly deliveredSize: number | undefined;
  /** The prefix of the log that its last entry signed for; 0 until it has written. */
  readonly signedSize: number;
  /** The prefix that holds all that others have said: once `signedSize` has come this far, it has signed for everything. */
  readonly statementSize: number;
}

/** @param own the own certificate's fingerprint */
export function membersOf(
  conversation: Conversation,
  { own, deliveries }: { own: Hex; deliveries: Deliveries },
): Member[] {
  const { state, standing } = conversation;
  return (state?.roster ?? []).map(({ username, email, fingerprint }) => ({
    username,
    email,
    fingerprint,
    isOwn: fingerprint === own,
    left: state?.senders.get(fingerprint)?.left === true,
    deliveredSize: deliveries.sizeOf(conversation, fingerprint),
    signedSize: state?.senders.get(fingerprint)?.lastViewSize ?? 0,
    statementSize: standing.log.lastStatementOfOthers(fingerprint) + 1,
  }));
}
