import { base64, hex, integer, object, type SchemaType, text } from "../base/schema.ts";

/** Longest entry line, in bytes, without its line end. */
export const maxEntryLineBytes = 128 * 1024;
/** Most entries in one message; the frame limit may cut earlier. */
export const maxEntriesPerAnswer = 256;

export const entryLine = text({ min: 2, max: maxEntryLineBytes });

/** An entry of a log as it travels; conversation and index follow from the message around it. */
export const storedEntrySchema = object({ at: integer(), line: entryLine });
export type StoredEntry = SchemaType<typeof storedEntrySchema>;

/** A checkpoint as it travels; the conversation is in the message around it. */
export const checkpointSchema = object({
  size: integer(1),
  root: hex(32),
  at: integer(),
  server: hex(32),
  sig: base64({ min: 1, max: 1024 }),
});
export type WireCheckpoint = SchemaType<typeof checkpointSchema>;
