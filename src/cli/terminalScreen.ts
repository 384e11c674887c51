import { type Frame, rowsAboveCursor } from "./terminalLayout.ts";
import { clipRow } from "./terminalText.ts";
import type { PaintRow } from "./terminalTheme.ts";

/** What a terminal is told (ECMA-48, and DEC private modes that every terminal knows or ignores). */
export const controls = {
  up: (rows: number) => (rows > 0 ? `\u001b[${rows}A` : ""),
  eraseBelow: "\u001b[J",
  eraseAll: "\u001b[H\u001b[2J",
  /** DECAWM: whether a character behind the last column goes to the next row. */
  wrap: (on: boolean) => `\u001b[?7${on ? "h" : "l"}`,
  bracketedPaste: (on: boolean) => `\u001b[?2004${on ? "h" : "l"}`,
} as const;

/**
 * A frame at the bottom of what the terminal shows, and lines that go above it for good. Every call is one write.
 *
 * Terminals disagree about the width of emoji and scripts. So each row of the frame is written on its own, without
 * wrapping, which keeps the count of rows right; and the cursor is put by writing what stands before it once more, which
 * leaves it where the terminal itself has that text end.
 */
export class Screen {
  readonly #write: (text: string) => void;
  readonly #paint: PaintRow;
  #frame: Frame | undefined;
  /** Rows from the frame's first to the cursor. */
  #above = 0;
  #columns = 0;

  constructor(options: { write: (text: string) => void; paint: PaintRow }) {
    this.#write = options.write;
    this.#paint = options.paint;
  }

  /** Puts lines above the frame, then the frame, which may be another. @param lines painted */
  update(lines: readonly string[], frame: Frame, columns: number): void {
    const isSame = columns === this.#columns && this.#frame !== undefined && isEqual(this.#frame, frame);
    if (lines.length === 0 && isSame) return;
    const erase = this.#eraser(columns);
    this.#frame = frame;
    this.#above = frame.cursor.row;
    this.#columns = columns;
    this.#write(`${erase}${lines.map((line) => `${line}\r\n`).join("")}${this.#framed(frame)}`);
  }

  /** Takes the frame away, so that the program can write on as if it had never been there. */
  erase(columns: number): void {
    const erase = this.#eraser(columns);
    this.forget();
    if (erase !== "") this.#write(erase);
  }

  /** Empties the screen: the next update starts on the first row. */
  clear(): void {
    this.forget();
    this.#write(controls.eraseAll);
  }

  /** The frame is not where it was: another program has used the terminal. */
  forget(): void {
    this.#frame = undefined;
    this.#above = 0;
  }

  #eraser(columns: number): string {
    if (this.#frame === undefined) return "";
    // Most terminals reflow when they become narrower. One that doesn't loses a row or two above the frame.
    const above = columns < this.#columns ? rowsAboveCursor(this.#frame, columns) : this.#above;
    return `\r${controls.up(above)}${controls.eraseBelow}`;
  }

  #framed({ rows, cursor }: Frame): string {
    const painted = rows.map((row) => this.#paint(row)).join("\r\n");
    const prefix = this.#paint(clipRow(rows[cursor.row] ?? [], cursor.column));
    const back = `${controls.up(rows.length - 1 - cursor.row)}\r${prefix}`;
    return `${controls.wrap(false)}${painted}${back}${controls.wrap(true)}`;
  }
}

function isEqual(a: Frame, b: Frame): boolean {
  const isSameCursor = a.cursor.row === b.cursor.row && a.cursor.column === b.cursor.column;
  return isSameCursor && JSON.stringify(a.rows) === JSON.stringify(b.rows);
}
