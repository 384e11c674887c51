import {
  type Buffer,
  bufferText,
  distanceTo,
  emptyBuffer,
  insert,
  moveBack,
  moveLine,
  moveOn,
  transpose,
} from "./terminalBuffer.ts";
import { emptyHistory, type History, recall, remember, type Search, search } from "./terminalHistory.ts";
import type { Key } from "./terminalKeys.ts";
import { withoutLineEnds } from "./terminalText.ts";

/** A line editor between two keys. Nothing in it changes; a key makes a new one. */
export interface Editor {
  readonly buffer: Buffer;
  readonly history: History;
  /** Texts that were cut, newest first. */
  readonly killed: readonly string[];
  /** What the last key did: cuts in a row are one text, and only a yank can be exchanged. */
  readonly last: LastKey;
  readonly search: Search | undefined;
}

type LastKey =
  | { readonly kind: "other" | "kill" }
  | { readonly kind: "yank"; readonly at: number; readonly text: string };

/** What a key asks of whoever owns the editor. */
export type EditorAction =
  | { readonly kind: "submit"; readonly line: string }
  | { readonly kind: "interrupt" | "end" | "suspend" | "redraw" | "complete" };

export interface Edited {
  readonly editor: Editor;
  readonly action?: EditorAction;
}

const maxKilled = 16;
const other = { kind: "other" } as const;

export const emptyEditor: Editor = {
  buffer: emptyBuffer,
  history: emptyHistory,
  killed: [],
  last: other,
  search: undefined,
};

/** What one key does. Keys that mean nothing change nothing. */
export function edit(editor: Editor, key: Key): Edited {
  if (editor.search !== undefined) return editSearch(editor, editor.search, key);
  const { buffer } = editor;
  if (key.kind === "text") return become(editor, insert(buffer, key.text));
  if (key.kind === "paste") return become(editor, insert(buffer, pastedText(key.text)));
  const actions: Readonly<Record<string, () => Edited>> = {
    "C-c": () => interrupt(editor),
    "C-d": () =>
      bufferText(buffer) === ""
        ? { editor, action: { kind: "end" } }
        : become(editor, drop(buffer, "after", distanceTo.nextCharacter(buffer))),
    "C-z": () => ({ editor, action: { kind: "suspend" } }),
    "C-l": () => ({ editor, action: { kind: "redraw" } }),
    tab: () => ({ editor, action: { kind: "complete" } }),
    enter: () => submit(editor),
    "C-r": () => startSearch(editor, "older"),
    "C-s": () => startSearch(editor, "newer"),
  };
  const action = actions[key.name];
  if (action !== undefined) return action();
  return editText(editor, names[key.name] ?? key.name);
}

/** Other names of keys. */
const names: Readonly<Record<string, string>> = {
  left: "C-b",
  right: "C-f",
  home: "C-a",
  end: "C-e",
  up: "C-p",
  down: "C-n",
  "C-left": "M-b",
  "M-left": "M-b",
  "C-right": "M-f",
  "M-right": "M-f",
  "C-backspace": "M-backspace",
  "C-delete": "M-d",
  "M-delete": "M-d",
  "page-up": "M-<",
  "page-down": "M->",
  "S-enter": "M-enter",
  "C-enter": "M-enter",
};

function editText(editor: Editor, name: string): Edited {
  const { buffer } = editor;
  switch (name) {
    case "C-b":
      return become(editor, moveBack(buffer, distanceTo.previousCharacter(buffer)));
    case "C-f":
      return become(editor, moveOn(buffer, distanceTo.nextCharacter(buffer)));
    case "M-b":
      return become(editor, moveBack(buffer, distanceTo.previousWord(buffer)));
    case "M-f":
      return become(editor, moveOn(buffer, distanceTo.nextWord(buffer)));
    case "C-a":
      return become(editor, moveBack(buffer, distanceTo.lineStart(buffer)));
    case "C-e":
      return become(editor, moveOn(buffer, distanceTo.lineEnd(buffer)));
    case "C-p":
      return moveOrRecall(editor, "up");
    case "C-n":
      return moveOrRecall(editor, "down");
    case "M-<":
      return show(editor, "oldest");
    case "M->":
      return show(editor, "draft");
    case "backspace":
      return become(editor, drop(buffer, "before", distanceTo.previousCharacter(buffer)));
    case "delete":
      return become(editor, drop(buffer, "after", distanceTo.nextCharacter(buffer)));
    case "C-w":
      return kill(editor, "before", distanceTo.previousBlank(buffer));
    case "M-backspace":
      return kill(editor, "before", distanceTo.previousWord(buffer));
    case "M-d":
      return kill(editor, "after", distanceTo.nextWord(buffer));
    case "C-u":
      // At the start of a line, the line feed before it.
      return kill(editor, "before", distanceTo.lineStart(buffer) || distanceTo.previousCharacter(buffer));
    case "C-k":
      return kill(editor, "after", distanceTo.lineEnd(buffer) || distanceTo.nextCharacter(buffer));
    case "C-y":
      return yank(editor, buffer, editor.killed);
    case "M-y":
      return exchangeYanked(editor);
    case "C-t":
      return become(editor, transpose(buffer));
    case "M-enter":
      return become(editor, insert(buffer, "\n"));
    default:
      return { editor };
  }
}

/** Replaces what stands before the cursor, as a completion does. */
export function replaceBefore(editor: Editor, before: string): Editor {
  return become(editor, { before, after: editor.buffer.after }).editor;
}

function become(editor: Editor, buffer: Buffer, last: LastKey = other): Edited {
  return { editor: { ...editor, buffer, last } };
}

function drop({ before, after }: Buffer, side: keyof Buffer, length: number): Buffer {
  return side === "before"
    ? { before: before.slice(0, before.length - length), after }
    : { before, after: after.slice(length) };
}

/** Pasted line ends are line feeds; other controls but the tab are left out, they can only be meant for the terminal. */
function pastedText(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")
    .toWellFormed();
}

function submit(editor: Editor): Edited {
  // A paste often ends in line ends that are not part of what is meant.
  const line = withoutLineEnds(bufferText(editor.buffer));
  if (line.trim() === "") return become(editor, emptyBuffer);
  const history = remember(editor.history, line);
  return {
    editor: { ...editor, buffer: emptyBuffer, history, last: other },
    action: { kind: "submit", line },
  };
}

/** Clears the line, which can be had back with the arrow key. */
function interrupt(editor: Editor): Edited {
  const history = remember(editor.history, bufferText(editor.buffer));
  return { editor: { ...editor, buffer: emptyBuffer, history, last: other }, action: { kind: "interrupt" } };
}

function kill(editor: Editor, side: keyof Buffer, length: number): Edited {
  const { buffer, killed, last } = editor;
  if (length === 0) return { editor };
  const text =
    side === "before" ? buffer.before.slice(buffer.before.length - length) : buffer.after.slice(0, length);
  const [newest = "", ...older] = killed;
  const joined = side === "before" ? text + newest : newest + text;
  const ring = last.kind === "kill" ? [joined, ...older] : [text, ...killed].slice(0, maxKilled);
  return { editor: { ...editor, buffer: drop(buffer, side, length), killed: ring, last: { kind: "kill" } } };
}

function yank(editor: Editor, buffer: Buffer, ring: readonly string[]): Edited {
  const [text] = ring;
  if (text === undefined) return { editor };
  const last = { kind: "yank", at: buffer.before.length, text } as const;
  return { editor: { ...editor, buffer: insert(buffer, text), killed: ring, last } };
}

/** What was just put in gives way to the text that was cut before it. */
function exchangeYanked(editor: Editor): Edited {
  const { buffer, killed, last } = editor;
  if (last.kind !== "yank") return { editor };
  const [newest = "", ...older] = killed;
  return yank(editor, { ...buffer, before: buffer.before.slice(0, last.at) }, [...older, newest]);
}

function moveOrRecall(editor: Editor, direction: "up" | "down"): Edited {
  const moved = moveLine(editor.buffer, direction);
  if (moved !== undefined) return become(editor, moved);
  return show(editor, direction === "up" ? "older" : "newer");
}

function show(editor: Editor, target: "older" | "newer" | "oldest" | "draft"): Edited {
  const recalled = recall(editor.history, target, bufferText(editor.buffer));
  if (recalled === undefined) return { editor };
  const { history, line } = recalled;
  return { editor: { ...editor, history, buffer: { before: line, after: "" }, last: other } };
}

function startSearch(editor: Editor, direction: "older" | "newer"): Edited {
  const { history } = editor;
  return {
    editor: {
      ...editor,
      search: search(history, { query: "", from: history.position, direction }),
      last: other,
    },
  };
}

/** In a search, text narrows it; Enter and any key that edits take what was found into the line, which is not sent. */
function editSearch(editor: Editor, running: Search, key: Key): Edited {
  const { history } = editor;
  const { query, found } = running;
  const newest = history.lines.length - 1;
  const look = (wanted: string, from: number, direction: "older" | "newer"): Edited => ({
    editor: { ...editor, search: search(history, { query: wanted, from, direction }) },
  });
  if (key.kind !== "press") return look(query + key.text.replace(/\s+/g, " "), found ?? newest, "older");
  switch (key.name) {
    case "C-r":
      return look(query, (found ?? newest + 1) - 1, "older");
    case "C-s":
      return look(query, (found ?? -1) + 1, "newer");
    case "backspace":
      return look(
        query.slice(0, query.length - distanceTo.previousCharacter({ before: query, after: "" })),
        newest,
        "older",
      );
    case "escape":
    case "C-c":
    case "C-g":
      return { editor: { ...editor, search: undefined } };
    default: {
      const line = found === undefined ? undefined : history.lines[found];
      const draft = history.position === history.lines.length ? bufferText(editor.buffer) : history.draft;
      const taken =
        line === undefined || found === undefined
          ? editor
          : {
              ...editor,
              buffer: { before: line, after: "" },
              history: { ...history, position: found, draft },
            };
      const ended = { ...taken, search: undefined };
      return key.name === "enter" ? { editor: ended } : edit(ended, key);
    }
  }
}
