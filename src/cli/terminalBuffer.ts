import { clustersOf } from "./terminalText.ts";

/** Text that is being edited, parted by the cursor. */
export interface Buffer {
  readonly before: string;
  readonly after: string;
}

/** A cluster longer than this many UTF-16 units is taken apart: only made-up text has them. */
const maxClusterChars = 256;

export const emptyBuffer: Buffer = { before: "", after: "" };

export function bufferText({ before, after }: Buffer): string {
  return before + after;
}

export function insert({ before, after }: Buffer, text: string): Buffer {
  return { before: before + text, after };
}

const letters = characterSet(/[\p{L}\p{M}\p{N}_]/u);
const nonBlanks = characterSet(/\S/u);

/** Places that the cursor can go to from where it is. @returns the distance in UTF-16 units, 0 when there is none */
export const distanceTo = {
  previousCharacter: ({ before }: Buffer) => clustersOf(before.slice(-maxClusterChars)).at(-1)?.length ?? 0,
  nextCharacter: ({ after }: Buffer) => clustersOf(after.slice(0, maxClusterChars))[0]?.length ?? 0,
  previousWord: ({ before }: Buffer) => before.length - startOfLast(before, letters),
  nextWord: ({ after }: Buffer) => /^[^\p{L}\p{M}\p{N}_]*[\p{L}\p{M}\p{N}_]*/u.exec(after)?.[0].length ?? 0,
  previousBlank: ({ before }: Buffer) => before.length - startOfLast(before, nonBlanks),
  lineStart: ({ before }: Buffer) => before.length - (before.lastIndexOf("\n") + 1),
  lineEnd: ({ after }: Buffer) => (after.includes("\n") ? after.indexOf("\n") : after.length),
  start: ({ before }: Buffer) => before.length,
  end: ({ after }: Buffer) => after.length,
} as const;

/** Whether a code point is one of a set. */
interface CharacterSet {
  readonly pattern: RegExp;
  /** The answers for ASCII, by code. */
  readonly ascii: readonly boolean[];
}

function characterSet(pattern: RegExp): CharacterSet {
  return {
    pattern,
    ascii: Array.from({ length: 128 }, (_, code) => pattern.test(String.fromCharCode(code))),
  };
}

/**
 * Read backwards, since a pattern that ends in `$` is tried from every place of the text.
 *
 * @param word the characters of a word @returns where the last word begins, 0 when there is none
 */
function startOfLast(text: string, { pattern, ascii }: CharacterSet): number {
  let isInside = false;
  for (let start = text.length; start > 0; ) {
    const known = ascii[text.charCodeAt(start - 1)];
    const character = known === undefined ? lastCharacter(text, start) : undefined;
    if (known ?? pattern.test(character ?? "")) isInside = true;
    else if (isInside) return start;
    start -= character?.length ?? 1;
  }
  return 0;
}

/** @returns the code point before `end` */
function lastCharacter(text: string, end: number): string {
  const pair = text.slice(Math.max(0, end - 2), end);
  return (pair.codePointAt(0) ?? 0) > 0xffff ? pair : pair.slice(-1);
}

export function moveBack({ before, after }: Buffer, length: number): Buffer {
  const at = before.length - length;
  return { before: before.slice(0, at), after: before.slice(at) + after };
}

export function moveOn({ before, after }: Buffer, length: number): Buffer {
  return { before: before + after.slice(0, length), after: after.slice(length) };
}

/** One line of the text up or down, to about the same character. @returns `undefined` when there is no such line */
export function moveLine(buffer: Buffer, direction: "up" | "down"): Buffer | undefined {
  const column = clustersOf(buffer.before.slice(buffer.before.lastIndexOf("\n") + 1)).length;
  if (direction === "up") {
    const lineStart = buffer.before.lastIndexOf("\n");
    if (lineStart < 0) return undefined;
    const above = moveBack(buffer, buffer.before.length - lineStart);
    const line = above.before.slice(above.before.lastIndexOf("\n") + 1);
    return moveBack(above, clustersOf(line).slice(column).join("").length);
  }
  const lineEnd = buffer.after.indexOf("\n");
  if (lineEnd < 0) return undefined;
  const below = moveOn(buffer, lineEnd + 1);
  const line = below.after.split("\n", 1)[0] ?? "";
  return moveOn(below, clustersOf(line).slice(0, column).join("").length);
}

/** The characters on both sides of the cursor change places; at the end of a line, the two before it. */
export function transpose(buffer: Buffer): Buffer {
  const isAtEnd = distanceTo.lineEnd(buffer) === 0;
  const place = isAtEnd ? moveBack(buffer, distanceTo.previousCharacter(buffer)) : buffer;
  const left = place.before.slice(place.before.length - distanceTo.previousCharacter(place));
  const right = place.after.slice(0, distanceTo.nextCharacter(place));
  if (left === "" || right === "" || left === "\n" || right === "\n") return buffer;
  return {
    before: place.before.slice(0, -left.length) + right + left,
    after: place.after.slice(right.length),
  };
}
