import { clustersOf } from "../../src/cli/terminalText.ts";

interface ModelRow {
  /** One entry a column; the second column of a wide character is empty. */
  cells: string[];
  /** Whether the next row goes on with this one's line. */
  isWrapped: boolean;
}

/**
 * A terminal as far as the program uses one: text with wide characters, wrapping, scrolling, the control sequences that
 * the screen writes, and reflow at a new size. Everything else in the output is a failure of the test.
 */
export class TerminalModel {
  #columns: number;
  #rows: number;
  readonly #widthOf: (cluster: string) => number;
  #lines: ModelRow[] = [newRow()];
  /** Index of the first row on the screen in `#lines`. */
  #top = 0;
  #row = 0;
  #column = 0;
  #isWrapping = true;
  #rest = "";
  readonly #decoder = new TextDecoder();
  /** DEC private modes that were set and not reset. */
  readonly modes = new Set<string>();

  constructor(
    columns: number,
    rows: number,
    widthOf: (cluster: string) => number = (text) => Bun.stringWidth(text),
  ) {
    this.#columns = columns;
    this.#rows = rows;
    this.#widthOf = widthOf;
  }

  /** What is on the screen, without blanks at the ends and empty rows below. */
  get screen(): string[] {
    return trimmed(this.#lines.slice(this.#top));
  }

  /** The screen and what was scrolled out of it. */
  get everything(): string[] {
    return trimmed(this.#lines);
  }

  get cursor(): { row: number; column: number } {
    return { row: this.#row - this.#top, column: Math.min(this.#column, this.#columns - 1) };
  }

  feed(output: string | Uint8Array): void {
    const text =
      this.#rest + (typeof output === "string" ? output : this.#decoder.decode(output, { stream: true }));
    const tokens = /\u001b\[[?]?[0-9;]*[A-Za-z]|[\r\n\u0007]|[^\u0000-\u001f\u007f]+/y;
    let at = 0;
    for (let match = tokens.exec(text); match !== null; match = tokens.exec(text)) {
      this.#obey(match[0]);
      at = tokens.lastIndex;
    }
    this.#rest = text.slice(at);
    if (this.#rest !== "" && !/^\u001b(?:\[[?]?[0-9;]*)?$/.test(this.#rest))
      throw new Error(`unknown control: ${JSON.stringify(this.#rest.slice(0, 40))}`);
  }

  /** As a terminal that reflows: lines that were broken at the old width are broken at the new one. */
  resize(columns: number, rows: number): void {
    const lines: { cells: string[]; cursor: number | undefined }[] = [];
    let isOpen = false;
    this.#lines.forEach(({ cells, isWrapped }, i) => {
      const line = isOpen ? lines.at(-1) : undefined;
      const target = line ?? { cells: [], cursor: undefined };
      if (line === undefined) lines.push(target);
      if (i === this.#row) target.cursor = target.cells.length + this.#column;
      target.cells.push(...cells);
      isOpen = isWrapped;
    });
    this.#columns = columns;
    this.#rows = rows;
    this.#lines = [];
    for (const { cells, cursor } of lines) {
      const first = this.#lines.length;
      const starts = [0];
      for (let start = 0; cells.length - start > columns; starts.push(start)) {
        start += cells[start + columns] === "" ? columns - 1 : columns;
      }
      starts.forEach((start, i) => {
        this.#lines.push({ cells: cells.slice(start, starts[i + 1]), isWrapped: i + 1 < starts.length });
      });
      if (cursor === undefined) continue;
      const row = Math.max(
        0,
        starts.findLastIndex((start) => start <= cursor),
      );
      while (this.#lines.length <= first + row) this.#lines.push(newRow());
      this.#row = first + row;
      this.#column = cursor - (starts[row] ?? 0);
      if (this.#column >= columns) {
        this.#row += Math.floor(this.#column / columns);
        this.#column %= columns;
        while (this.#lines.length <= this.#row) this.#lines.push(newRow());
      }
    }
    this.#top = Math.max(0, this.#lines.length - rows, this.#row - rows + 1);
  }

  #obey(token: string): void {
    if (token === "\r") this.#column = 0;
    else if (token === "\n") this.#feedLine();
    else if (token === "\u0007") return;
    else if (token.startsWith("\u001b")) this.#control(token);
    else for (const cluster of clustersOf(token)) this.#put(cluster);
  }

  #control(sequence: string): void {
    const [, mark, parameter = "", final] = /^\u001b\[([?]?)([0-9;]*)([A-Za-z])$/.exec(sequence) ?? [];
    const count = Number(parameter === "" ? "1" : parameter);
    if (mark === "?" && (final === "h" || final === "l")) {
      if (parameter === "7") this.#isWrapping = final === "h";
      else if (final === "h") this.modes.add(parameter);
      else this.modes.delete(parameter);
    } else if (final === "m") return;
    else if (final === "A") this.#row = Math.max(this.#top, this.#row - count);
    else if (final === "H" && parameter === "") {
      this.#row = this.#top;
      this.#column = 0;
    } else if (final === "J" && parameter === "") {
      this.#lines.length = this.#row + 1;
      this.#current.cells.length = Math.min(this.#current.cells.length, this.#column);
      this.#current.isWrapped = false;
    } else if (final === "J" && parameter === "2")
      this.#lines = [...this.#lines.slice(0, this.#top), newRow()];
    else throw new Error(`unknown control: ${JSON.stringify(sequence)}`);
    while (this.#lines.length <= this.#row) this.#lines.push(newRow());
  }

  get #current(): ModelRow {
    const row = this.#lines[this.#row];
    if (row === undefined) throw new Error("the cursor is outside");
    return row;
  }

  #put(cluster: string): void {
    const width = this.#widthOf(cluster);
    if (width === 0) {
      const last = this.#current.cells.findLastIndex((cell, i) => cell !== "" && i < this.#column);
      if (last >= 0) this.#current.cells[last] += cluster;
      return;
    }
    if (this.#column + width > this.#columns) {
      if (this.#isWrapping) {
        this.#current.isWrapped = true;
        this.#column = 0;
        this.#feedLine();
      } else this.#column = this.#columns - width;
    }
    const { cells } = this.#current;
    while (cells.length < this.#column) cells.push(" ");
    for (let i = 0; i < width; i++) cells[this.#column + i] = i === 0 ? cluster : "";
    this.#column += width;
  }

  #feedLine(): void {
    this.#row += 1;
    if (this.#lines.length <= this.#row) this.#lines.push(newRow());
    this.#top = Math.max(this.#top, this.#row - this.#rows + 1);
  }
}

function newRow(): ModelRow {
  return { cells: [], isWrapped: false };
}

function trimmed(rows: readonly ModelRow[]): string[] {
  const texts = rows.map(({ cells }) => cells.join("").trimEnd());
  while (texts.at(-1) === "") texts.pop();
  return texts;
}
