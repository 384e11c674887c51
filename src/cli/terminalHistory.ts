/** Lines that were typed before, kept in memory alone: they are as secret as the conversation. */
export interface History {
  /** Oldest first. */
  readonly lines: readonly string[];
  /** The line that is shown; `lines.length` is what was being typed. */
  readonly position: number;
  readonly draft: string;
}

/** A search through the history for lines that contain `query`. */
export interface Search {
  readonly query: string;
  /** The line that was found; `undefined` when none contains the query. */
  readonly found: number | undefined;
}

const maxLines = 500;

export const emptyHistory: History = { lines: [], position: 0, draft: "" };

export function remember({ lines }: History, line: string): History {
  const isNew = line.trim() !== "" && lines.at(-1) !== line;
  const kept = isNew ? [...lines, line].slice(-maxLines) : lines;
  return { lines: kept, position: kept.length, draft: "" };
}

/** @param shown what the editor holds now @returns `undefined` when there is no line in that direction */
export function recall(
  history: History,
  target: "older" | "newer" | "oldest" | "draft",
  shown: string,
): { history: History; line: string } | undefined {
  const { lines, position } = history;
  const to = { older: position - 1, newer: position + 1, oldest: 0, draft: lines.length }[target];
  if (to < 0 || to > lines.length || to === position) return undefined;
  const draft = position === lines.length ? shown : history.draft;
  return { history: { lines, position: to, draft }, line: lines[to] ?? draft };
}

/** @param from the first position to look at @returns the search, where it found something or did not */
export function search(
  { lines }: History,
  { query, from, direction }: { query: string; from: number; direction: "older" | "newer" },
): Search {
  const step = direction === "older" ? -1 : 1;
  if (query !== "")
    for (let at = from; at >= 0 && at < lines.length; at += step)
      if (lines[at]?.includes(query)) return { query, found: at };
  return { query, found: undefined };
}
