import type { Hex } from "../base/hex.ts";

/** A conversation in a list. */
export interface ConversationSummary {
  readonly conversation: Hex;
  readonly kind: "direct" | "group";
  /** The other one's name, or the title. */
  readonly name: string;
  readonly size: number;
  readonly folder: string;
  readonly closed: boolean;
  /** Another conversation with the same person counts now. */
  readonly replaced: boolean;
}
