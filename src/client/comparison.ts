import type { Hex } from "../base/hex.ts";
import { comparisonCode } from "../evidence/comparisonCode.ts";
import { ClientError } from "./clientError.ts";
import type { Conversation } from "./conversation.ts";

/** What two members read to each other to find out whether the server shows both the same log. */
export interface Comparison {
  readonly size: number;
  readonly root: Hex;
  /** Of conversation, size and root, see `comparisonCode`. */
  readonly code: string;
}

/**
 * @param size of the prefix, from 1; by default all that is durable here
 * @throws {ClientError} `BAD_RANGE` there are not so many entries here
 */
export function compare({ id, standing }: Conversation, size = standing.record.size): Comparison {
  const root = size <= standing.record.size ? standing.log.rootAt(size) : undefined;
  if (root === undefined || size === 0)
    throw new ClientError("BAD_RANGE", `sizes from 1 to ${standing.record.size} can be compared here`);
  return { size, root, code: comparisonCode({ conversation: id, size, root }) };
}
