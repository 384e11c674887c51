import { expect } from "bun:test";
import type { Hex } from "../../src/base/hex.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";
import type { LogFixture } from "./logFixture.ts";

/** All entries of a log, in order. */
export async function readLog(store: Store, conversation: Hex): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const page = await store.log.entries({ conversation, from: lines.length, limit: 256, maxBytes: 1 << 20 });
    if (page.length === 0) return lines;
    for (const { index, line } of page) {
      expect(index).toBe(lines.length);
      lines.push(line);
    }
  }
}

/** Appends messages with ever higher seqnos, as a server does: whatever happens, each is in the log once before the next. */
export async function write(
  store: Store,
  fixture: LogFixture,
  conversation: Hex,
  more: (stored: number) => boolean,
): Promise<Map<number, number>> {
  const resolved = new Map<number, number>();
  let size = await store.log.size(conversation);
  for (let seqno = 2; more(resolved.size); ) {
    try {
      const outcome = await store.log.append(fixture.message(conversation, size, seqno));
      if (outcome.kind === "conflict") size = outcome.size;
      else if (outcome.kind === "appended") {
        resolved.set(seqno, size);
        seqno += 1;
        size += 1;
      } else throw new Error(outcome.kind);
    } catch (error) {
      if (!(error instanceof StoreError && error.code === "UNAVAILABLE")) throw error;
      // Unknown: the log itself will tell.
      for (;;) {
        try {
          const found = await store.log.entryBySeqno(conversation, fixture.sender.fingerprint, seqno);
          if (found !== undefined) seqno += 1;
          size = await store.log.size(conversation);
          break;
        } catch {
          await Bun.sleep(20);
        }
      }
    }
  }
  return resolved;
}
