import { encodeUtf8 } from "../base/bytes.ts";
import type { EntryRecord } from "../store/logStore.ts";

/**
 * The line of `transcript.jsonl` for an entry of the store, with its line end. An entry line is canonical JSON, so
 * `index` and `at` can be appended without reading it again.
 */
export function transcriptLine({ line, index, at }: EntryRecord): Uint8Array {
  return encodeUtf8(`${line.slice(0, -1)},"index":${index},"at":${at}}\n`);
}
