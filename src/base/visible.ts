// C0, C1, DEL, line and paragraph separators, and what reorders or hides text: bidirectional controls,
// zero-width characters, the byte order mark, interlinear and tag characters, lone surrogates.
const unsafe =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;

/**
 * Makes text from a peer safe to print on a terminal or into a log line: what could move the cursor, end the
 * line, reorder or hide text becomes `\u{…}`. U+200D (zero width joiner) and U+200C stay: emoji and several
 * scripts need them.
 *
 * @param keep characters to leave alone, e.g. "\n" where several lines are meant
 */
export function visible(text: string, keep = ""): string {
  return text.replace(unsafe, (character) =>
    keep.includes(character) ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
