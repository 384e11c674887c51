import type { Key } from "./terminalKeys.ts";

/** A piece of a long paste follows the one before within this time. */
const continuedMs = 100;

/**
 * Several lines that come at once were not typed: on a terminal without bracketed paste (GNU screen, a Linux console)
 * they would be sent one by one. They become a paste, which is sent when Enter is pressed on its own.
 */
export class PasteGuard {
  #lastBurstMs = Number.NEGATIVE_INFINITY;

  /** @param keys what came in one read @param nowMs any steady clock */
  judge(keys: readonly Key[], nowMs: number): readonly Key[] {
    const enter = keys.findIndex(isEnter);
    const isContinued = enter >= 0 && nowMs - this.#lastBurstMs <= continuedMs;
    if (!isContinued && (enter < 0 || !keys.slice(enter).some(({ kind }) => kind === "text"))) return keys;
    this.#lastBurstMs = nowMs;
    const judged: Key[] = [];
    for (const key of keys) {
      const text = key.kind === "text" ? key.text : isEnter(key) ? "\n" : undefined;
      const last = judged.at(-1);
      if (text === undefined) judged.push(key);
      else if (last?.kind === "paste") judged[judged.length - 1] = { kind: "paste", text: last.text + text };
      else judged.push({ kind: "paste", text });
    }
    return judged;
  }
}

function isEnter(key: Key): boolean {
  return key.kind === "press" && key.name === "enter";
}
