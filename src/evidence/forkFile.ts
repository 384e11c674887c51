import { hex, list, literal, nullable, object, type SchemaType, text } from "../base/schema.ts";
import { maxConsistencyPath } from "./consistencyProof.ts";

/** Longest `fork.json`, bytes, inclusive. */
export const maxForkBytes = 8192;

export const forkSchema = object({
  type: literal("fork"),
  version: literal(2),
  conversation: hex(16),
  /** The name that both statements' certificates stand for. */
  server: text({ min: 1, max: 253, pattern: /^[a-z0-9.:-]+$/ }),
  /** `null` when both statements are about one size. */
  link: nullable(object({ root: hex(32), path: list(hex(32), maxConsistencyPath) })),
});
export type ForkFile = SchemaType<typeof forkSchema>;

/** The files of a proof, by name. */
export type ProofFiles = ReadonlyMap<string, Uint8Array>;
