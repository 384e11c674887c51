import { visible } from "../base/visible.ts";

/** What a piece of text is, not how it looks: the theme decides that. */
export type Style = "plain" | "quiet" | "strong" | "good" | "bad" | "warning";

/** Text without control characters, all in one style. */
export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** What stands on one row of the terminal. */
export type Row = readonly Span[];

/** What a reader takes for one character: a base with its marks, an emoji with its joiners, a flag. */
export interface Cluster {
  readonly text: string;
  /** Columns that it takes on a terminal: 0, 1 or 2, and more only for what `shownCluster` spells out. */
  readonly columns: number;
}

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
const printableAscii = /^[\x20-\x7e]*$/;
const tab = "    ";

export function span(text: string, style: Style = "plain"): Span {
  return { text, style };
}

/** @returns the grapheme clusters (UAX #29) of any text, in order */
export function clustersOf(text: string): string[] {
  if (printableAscii.test(text)) return [...text];
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** @returns columns that text without control characters takes */
export function columnsOf(text: string): number {
  return Bun.stringWidth(text, { countAnsiEscapeCodes: true });
}

/** @returns the text without the line ends behind it; a pattern that ends in `$` would be tried from every one of them */
export function withoutLineEnds(text: string): string {
  let end = text.length;
  while (text[end - 1] === "\n" || text[end - 1] === "\r") end -= 1;
  return text.slice(0, end);
}

/** How one cluster of anybody's text is shown: controls are spelt out, a tab is blank. */
export function shownCluster(cluster: string): Cluster {
  const text = shownText(cluster);
  return { text, columns: columnsOf(text) };
}

/** @returns text that is safe to print; line feeds stay where `keep` has them */
export function shownText(text: string, keep = ""): string {
  return visible(text, `${keep}\t`).replaceAll("\t", tab);
}

export function rowColumns(row: Row): number {
  return row.reduce((sum, { text }) => sum + columnsOf(text), 0);
}

/** @returns the part of a row that fits into so many columns */
export function clipRow(row: Row, columns: number): Row {
  const clipped: Span[] = [];
  let left = columns;
  for (const { text, style } of row) {
    let kept = "";
    for (const cluster of clustersOf(text)) {
      const width = columnsOf(cluster);
      if (width > left) return [...clipped, { text: kept, style }];
      left -= width;
      kept += cluster;
    }
    clipped.push({ text: kept, style });
  }
  return clipped;
}

/**
 * Breaks one line into rows, at blanks where there are any. Rows after the first are indented: text of a peer never
 * starts in the first column, where it could pass for a line of the program.
 *
 * @param indent columns; halved until it leaves room
 */
export function wrapRow(row: Row, columns: number, indent: number): Row[] {
  const width = Math.max(2, columns);
  let margin = indent;
  while (margin > 0 && width - margin < Math.min(16, width)) margin = margin >> 1;
  const rows: Span[][] = [];
  let current: Piece[] = [];
  let used = 0;
  const close = (pieces: readonly Piece[]) => {
    const blank = rows.length === 0 || margin === 0 ? [] : [span(" ".repeat(margin))];
    rows.push([...blank, ...joined(pieces)]);
  };
  for (const piece of piecesOf(row)) {
    const room = width - (rows.length === 0 ? 0 : margin);
    if (used + piece.columns > room && current.length > 0) {
      const breakAt = current.findLastIndex(({ text }) => text === " ");
      const isBlank = piece.text === " ";
      // A word longer than half a row is broken where the row ends.
      const carried = isBlank || breakAt < current.length / 2 ? [] : current.slice(breakAt + 1);
      close(carried.length === 0 ? current : current.slice(0, breakAt));
      current = carried;
      used = carried.reduce((sum, { columns: own }) => sum + own, 0);
      if (isBlank) continue;
    }
    current.push(piece);
    used += piece.columns;
  }
  close(current);
  return rows;
}

interface Piece extends Cluster {
  readonly style: Style;
}

function* piecesOf(row: Row): Generator<Piece> {
  for (const { text, style } of row)
    for (const cluster of clustersOf(text)) yield { text: cluster, columns: columnsOf(cluster), style };
}

function joined(pieces: readonly Piece[]): Span[] {
  const spans: { text: string; style: Style }[] = [];
  for (const { text, style } of pieces) {
    const last = spans.at(-1);
    if (last?.style === style) last.text += text;
    else spans.push({ text, style });
  }
  return spans;
}
