import { clipRow, clustersOf, columnsOf, type Row, type Span, shownCluster, span } from "./terminalText.ts";

/** Rows at the bottom of the screen that are painted again and again, and where the cursor stands in them. */
export interface Frame {
  readonly rows: readonly Row[];
  readonly cursor: { readonly row: number; readonly column: number };
}

/** Before each line of a text but the first: such a line never looks like one of the program. */
export const furtherLine = "| ";

/**
 * Lays out a prompt and the text behind it, broken wherever a row is full, so that the cursor always has its column.
 *
 * @param maxRows when there are more, those around the cursor
 */
export function layOutInput(input: {
  readonly prompt: Row;
  readonly before: string;
  readonly after: string;
  readonly columns: number;
  readonly maxRows: number;
}): Frame {
  const { prompt, before, after, maxRows } = input;
  const columns = Math.max(2, input.columns);
  const writer = new RowWriter(columns);
  for (const { text, style } of prompt)
    for (const cluster of clustersOf(text)) writer.put({ text: cluster, columns: columnsOf(cluster) }, style);
  let offset = 0;
  let cursor: Frame["cursor"] | undefined;
  for (const cluster of clustersOf(before + after)) {
    const isFeed = cluster === "\n" || cluster === "\r\n";
    const shown = shownCluster(cluster);
    // A cluster that spans the cursor (a mark typed behind its base) carries it.
    if (offset + cluster.length > before.length)
      cursor ??= isFeed ? writer.end : writer.placeOf(shown.columns);
    offset += cluster.length;
    if (isFeed) writer.feed();
    else writer.put(shown, "plain");
  }
  cursor ??= writer.placeOf(1);
  const { rows } = writer;
  // The place behind a full last row.
  if (cursor.row === rows.length) rows.push([]);
  return windowOf(rows, cursor, Math.max(1, maxRows));
}

class RowWriter {
  readonly rows: Span[][] = [[]];
  readonly #columns: number;
  #used = 0;

  constructor(columns: number) {
    this.#columns = columns;
  }

  /** Behind the last character, within the row. */
  get end(): Frame["cursor"] {
    return { row: this.rows.length - 1, column: Math.min(this.#used, this.#columns - 1) };
  }

  /** Where a character of so many columns will stand. */
  placeOf(columns: number): Frame["cursor"] {
    const { end } = this;
    const isNext = columns <= 2 && this.#used + columns > this.#columns;
    return isNext ? { row: end.row + 1, column: 0 } : end;
  }

  put(shown: { text: string; columns: number }, style: Span["style"]): void {
    // What was spelt out (\u{1b}) may be wider than a row: it is broken like text.
    if (shown.columns > 2 && this.#used + shown.columns > this.#columns) {
      for (const character of shown.text) this.put({ text: character, columns: columnsOf(character) }, style);
      return;
    }
    if (this.#used + shown.columns > this.#columns) this.#next();
    const row = this.rows.at(-1);
    const last = row?.at(-1);
    if (last?.style === style) row?.splice(-1, 1, span(last.text + shown.text, style));
    else row?.push(span(shown.text, style));
    this.#used += shown.columns;
  }

  feed(): void {
    this.#next();
    const mark = span(furtherLine, "quiet");
    this.rows.at(-1)?.push(mark);
    this.#used = columnsOf(mark.text);
  }

  #next(): void {
    this.rows.push([]);
    this.#used = 0;
  }
}

function windowOf(rows: readonly Row[], cursor: Frame["cursor"], maxRows: number): Frame {
  const start = Math.max(0, Math.min(cursor.row - (maxRows >> 1), rows.length - maxRows));
  return {
    rows: rows.slice(start, start + maxRows),
    cursor: { row: cursor.row - start, column: cursor.column },
  };
}

/**
 * Where a terminal that reflows its rows has moved the first row of a frame when it became narrower.
 *
 * @returns rows between the frame's first row and the cursor
 */
export function rowsAboveCursor({ rows, cursor }: Frame, columns: number): number {
  const width = Math.max(2, columns);
  const above = rows.slice(0, cursor.row).reduce((sum, row) => sum + breakRow(row, width), 0);
  const row = rows[cursor.row] ?? [];
  const prefix = clipRow(row, cursor.column);
  // The cursor goes where the character goes that it stands on.
  const [under = " "] = clustersOf(textOf(row).slice(textOf(prefix).length));
  return above + breakRow([...prefix, span(under)], width) - 1;
}

/** How a terminal breaks a row: a wide character that doesn't fit goes to the next one whole. */
function breakRow(row: Row, width: number): number {
  let rows = 1;
  let used = 0;
  for (const { text } of row)
    for (const cluster of clustersOf(text)) {
      const columns = columnsOf(cluster);
      if (used + columns > width) {
        rows += 1;
        used = 0;
      }
      used += columns;
    }
  return rows;
}

function textOf(row: Row): string {
  return row.map(({ text }) => text).join("");
}
