// What JSON.stringify leaves as it is, but ends a line for some programs (NEL, U+2028, U+2029), or does something on the
// terminal where a script is tried out: DEL, C1 controls, bidirectional controls, the byte order mark.
const escaped = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** JSON on one line, whoever wrote the texts in it: the same value for every parser. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(
    escaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
