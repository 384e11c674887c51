import { bufferText } from "./terminalBuffer.ts";
import type { Editor } from "./terminalEditor.ts";
import { type Frame, layOutInput } from "./terminalLayout.ts";
import { type ChatStatus, statusRow } from "./terminalStatus.ts";
import { clipRow, type Row, rowColumns, shownText, span, withoutLineEnds, wrapRow } from "./terminalText.ts";

/** A message that is not accepted yet. */
export interface UnsentMessage {
  readonly to: string;
  readonly text: string;
}

/** All that the live part of the chat's display shows. */
export interface FrameContent {
  readonly editor: Editor;
  readonly prompt: string;
  readonly status: ChatStatus;
  /** Those that wait noticeably long, oldest first. */
  readonly unsent: readonly UnsentMessage[];
  readonly hint: string | undefined;
  /** Instead of the input, once no more of it is read. */
  readonly ending: string | undefined;
}

/** Rows of unsent messages and of hints at most. */
const maxUnsentRows = 3;
const maxHintRows = 3;
/** With fewer rows than this the input has the display for itself. */
const minRowsForStatus = 5;
const minRowsForUnsent = 10;
const shortPrompt = "> ";

/** Lays the live part out: unsent messages, the status line, the input, a hint. One row less than the terminal at most. */
export function composeFrame(content: FrameContent, size: { columns: number; rows: number }): Frame {
  const { columns, rows } = size;
  const isRoomy = rows >= minRowsForStatus;
  const above = rows >= minRowsForUnsent ? unsentRows(content.unsent, columns) : [];
  if (isRoomy) above.push(statusRow(content.status, columns));
  const below = isRoomy ? hintRows(hintOf(content), columns) : [];
  const maxRows = Math.max(1, rows - 1 - above.length - below.length);
  const input = inputFrame(content, columns, maxRows);
  const room = Math.max(0, rows - 1 - above.length - input.rows.length);
  return {
    rows: [...above, ...input.rows, ...below.slice(0, room)],
    cursor: { row: above.length + input.cursor.row, column: input.cursor.column },
  };
}

function inputFrame({ editor, prompt, ending }: FrameContent, columns: number, maxRows: number): Frame {
  if (ending !== undefined)
    return layOutInput({ prompt: [span(ending, "quiet")], before: "", after: "", columns, maxRows });
  if (editor.search !== undefined)
    return layOutInput({
      prompt: [span("Search: ")],
      before: editor.search.query,
      after: "",
      columns,
      maxRows,
    });
  const asked = span(prompt);
  const isWide = rowColumns([asked]) <= columns / 2;
  return layOutInput({ prompt: [isWide ? asked : span(shortPrompt)], ...editor.buffer, columns, maxRows });
}

function hintOf({ editor, hint, ending }: FrameContent): string | undefined {
  if (ending !== undefined) return undefined;
  const { search, history, buffer } = editor;
  if (search !== undefined) {
    const found = search.found === undefined ? undefined : history.lines[search.found];
    if (found !== undefined) return shownText(found);
    return search.query === "" ? "type what the line contains" : "no line contains this";
  }
  if (hint !== undefined) return hint;
  const lines = withoutLineEnds(bufferText(buffer)).split("\n").length;
  return lines > 1 ? `Enter sends these ${lines} lines as one message` : undefined;
}

function hintRows(hint: string | undefined, columns: number): Row[] {
  return hint === undefined ? [] : wrapRow([span(hint, "quiet")], columns, 0).slice(0, maxHintRows);
}

function unsentRows(unsent: readonly UnsentMessage[], columns: number): Row[] {
  const shown = unsent
    .slice(0, maxUnsentRows)
    .map(({ to, text }) => `... [To ${shownText(to)}] ${shownText(text)}`);
  const more = unsent.length - shown.length;
  if (more > 0) shown.push(`... and ${more} more`);
  return shown.map((line) => clipRow([span(line, "quiet")], columns));
}
