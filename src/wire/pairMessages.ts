import { hex, integer, literal, object } from "../base/schema.ts";

const id = integer(1, 0xffff_ffff);
const conversation = hex(16);

/** One of two gives up their direct conversation, which it can't or won't follow any more, so that they may begin another. */
export const pairRequests = {
  release_pair: object({ type: literal("release_pair"), id, conversation }),
};

export const pairAnswers = {
  pair_released: object({ type: literal("pair_released"), id, conversation }),
};
