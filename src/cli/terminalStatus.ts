import { clipRow, type Row, rowColumns, type Span, shownText, span } from "./terminalText.ts";

/** How far another member has come in a conversation's log. Sizes count entries from its beginning. */
export interface MemberMark {
  readonly name: string;
  /** What their device has been handed; `undefined` where nobody has said. */
  readonly deliveredSize: number | undefined;
  /** What they have signed to have seen. */
  readonly signedSize: number;
  /** What they would have to have seen of the others' words. */
  readonly statementSize: number;
}

/** What the status line tells. */
export interface ChatStatus {
  readonly self: string;
  readonly peer: string | undefined;
  readonly connection: "connecting" | "connected" | "offline";
  /** When offline: until the next attempt; 0 or less while it is made. `undefined`: there will be none. */
  readonly nextAttemptInMs: number | undefined;
  readonly others: readonly MemberMark[];
  /** Messages that were typed and are not accepted yet. */
  readonly unsent: number;
  /** Messages that came since the login while it catches up; `undefined`: it has caught up. */
  readonly catchingUp: number | undefined;
}

/** Parts in the order in which they stand; a lower rank goes first when the row is short. */
interface Part {
  readonly span: Span;
  readonly rank: number;
}

const separator = span(" · ", "quiet");

/** @returns one row of at most so many columns */
export function statusRow(status: ChatStatus, columns: number): Row {
  let parts = partsOf(status);
  while (parts.length > 1 && rowColumns(rowOf(parts)) > columns) {
    const least = Math.min(...parts.map(({ rank }) => rank));
    parts = parts.filter(({ rank }) => rank !== least);
  }
  return clipRow(rowOf(parts), columns);
}

function partsOf(status: ChatStatus): Part[] {
  const { self, peer, connection, others, unsent, catchingUp } = status;
  const parts: Part[] = [
    {
      span: span(peer === undefined ? shownText(self) : `${shownText(self)} to ${shownText(peer)}`, "quiet"),
      rank: 4,
    },
    { span: span(connectionText(status), connection === "connected" ? "quiet" : "warning"), rank: 3 },
  ];
  if (unsent > 0) parts.push({ span: span(`${unsent} unsent`, "warning"), rank: 3 });
  if (catchingUp !== undefined)
    parts.push({ span: span(`catching up: ${messages(catchingUp)}`, "quiet"), rank: 2 });
  else if (peer !== undefined && others.length > 0) parts.push(...progressOf(others));
  return parts;
}

function connectionText({ connection, nextAttemptInMs }: ChatStatus): string {
  if (connection !== "offline" || nextAttemptInMs === undefined) return connection;
  return nextAttemptInMs <= 0
    ? "offline, trying again"
    : `offline, trying again in ${Math.ceil(nextAttemptInMs / 1000)} s`;
}

function progressOf(others: readonly MemberMark[]): Part[] {
  const [only, ...more] = others;
  if (only === undefined) return [];
  if (more.length === 0) return progressOfOne(only);
  const reported = others.filter(({ deliveredSize }) => deliveredSize !== undefined);
  const delivered = reported.filter(({ deliveredSize = 0, statementSize }) => deliveredSize >= statementSize);
  const signed = others.filter(hasSigned);
  const parts: Part[] = [];
  if (reported.length > 0)
    parts.push({ span: span(`delivered to ${delivered.length} of ${others.length}`, "quiet"), rank: 0 });
  parts.push({ span: span(`signed for by ${signed.length} of ${others.length}`, "quiet"), rank: 1 });
  return parts;
}

function progressOfOne(mark: MemberMark): Part[] {
  const { deliveredSize, signedSize, statementSize } = mark;
  const name = shownText(mark.name);
  const parts: Part[] = [];
  if (deliveredSize !== undefined)
    parts.push({ span: span(`delivered ${howFar(deliveredSize, statementSize)}`, "quiet"), rank: 0 });
  parts.push({ span: span(`${name} has signed for ${howFar(signedSize, statementSize)}`, "quiet"), rank: 1 });
  return parts;
}

function hasSigned({ signedSize, statementSize }: MemberMark): boolean {
  return signedSize >= statementSize;
}

function howFar(size: number, wanted: number): string {
  return size >= wanted ? "everything" : `${size} of ${wanted} entries`;
}

function rowOf(parts: readonly Part[]): Row {
  return parts.flatMap(({ span: part }, i) => (i === 0 ? [part] : [separator, part]));
}

function messages(count: number): string {
  return count === 1 ? "1 message" : `${count} messages`;
}
