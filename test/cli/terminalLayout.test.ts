import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { emptyEditor } from "../../src/cli/terminalEditor.ts";
import { composeFrame, type FrameContent } from "../../src/cli/terminalFrame.ts";
import { type Frame, layOutInput, rowsAboveCursor } from "../../src/cli/terminalLayout.ts";
import {
  clipRow,
  columnsOf,
  type Row,
  rowColumns,
  shownText,
  span,
  wrapRow,
} from "../../src/cli/terminalText.ts";

const textOf = (row: Row) => row.map(({ text }) => text).join("");
const anyText = fc
  .array(
    fc.constantFrom("a", "bc ", " ", "你", "👨‍👩‍👧", "🇩🇪", "e\u0301", "\u001b", "\u202e", "\t", "word "),
    { maxLength: 80 },
  )
  .map((parts) => parts.join(""));

function layOut(before: string, after = "", columns = 10, maxRows = 100): Frame {
  return layOutInput({ prompt: [span("> ")], before, after, columns, maxRows });
}

describe("columnsOf()", () => {
  test.each([
    ["a", 1],
    ["你", 2],
    ["e\u0301", 1],
    ["👍🏽", 2],
    ["👨‍👩‍👧", 2],
    ["🇩🇪", 2],
    ["❤️", 2],
  ])("counts %s as %d", (text, columns) => {
    expect(columnsOf(text)).toBe(columns);
  });
});

describe("shownText()", () => {
  test("spells controls out and makes blanks of tabs", () => {
    expect(shownText("a\tb\u001b[2J\u202e\n")).toBe("a    b\\u{1b}[2J\\u{202e}\\u{a}");
  });
});

describe("wrapRow()", () => {
  test("breaks at blanks and indents what follows", () => {
    const rows = wrapRow(
      [span("[bob] seqno=1: ", "strong"), span("one two three four five six seven")],
      30,
      4,
    );
    expect(rows.map(textOf)).toEqual(["[bob] seqno=1: one two three", "    four five six seven"]);
    expect(rows[0]?.[0]?.style).toBe("strong");
  });

  test("never lets a forged line start in the first column", () => {
    for (let padding = 0; padding < 100; padding++) {
      const rows = wrapRow([span(`[eve] seqno=1: ${"x".repeat(padding)}[bob] seqno=2: forged`)], 80, 4);
      for (const row of rows.slice(1)) expect(textOf(row)).toStartWith("    ");
    }
  });

  test("keeps every row within the columns and loses nothing but blanks", () => {
    fc.assert(
      fc.property(
        anyText,
        fc.integer({ min: 2, max: 60 }),
        fc.constantFrom(0, 4),
        (text, columns, indent) => {
          const shown = shownText(text);
          const rows = wrapRow([span(shown)], columns, indent);
          for (const row of rows) expect(rowColumns(row)).toBeLessThanOrEqual(columns);
          expect(rows.map(textOf).join("").replaceAll(" ", "")).toBe(shown.replaceAll(" ", ""));
        },
      ),
    );
  });
});

describe("clipRow()", () => {
  test("does not cut a wide character in two", () => {
    expect(textOf(clipRow([span("a你"), span("b")], 2))).toBe("a");
  });
});

describe("layOutInput()", () => {
  test("puts the cursor behind wide characters", () => {
    expect(layOut("你好").cursor).toEqual({ row: 0, column: 6 });
    expect(layOut("", "你好").cursor).toEqual({ row: 0, column: 2 });
  });

  test("takes a wide character that does not fit, and the cursor on it, to the next row", () => {
    const { rows, cursor } = layOut("1234567", "你");
    expect(rows.map(textOf)).toEqual(["> 1234567", "你"]);
    expect(cursor).toEqual({ row: 1, column: 0 });
  });

  test("has a row for the cursor behind a full one", () => {
    const { rows, cursor } = layOut("12345678");
    expect(rows.map(textOf)).toEqual(["> 12345678", ""]);
    expect(cursor).toEqual({ row: 1, column: 0 });
  });

  test("marks further lines and shows controls", () => {
    expect(layOut("a\n\u001b[2J").rows.map(textOf)).toEqual(["> a", "| \\u{1b}[2", "J"]);
  });

  test("shows the rows around the cursor when there are too many", () => {
    const { rows, cursor } = layOut("a\nb\nc\nd", "\ne\nf", 10, 3);
    expect(rows.map(textOf)).toEqual(["| c", "| d", "| e"]);
    expect(cursor.row).toBe(1);
  });

  test("keeps rows and cursor within the columns, whatever is typed", () => {
    fc.assert(
      fc.property(
        anyText,
        anyText,
        fc.integer({ min: 2, max: 30 }),
        fc.integer({ min: 1, max: 6 }),
        (before, after, columns, maxRows) => {
          const { rows, cursor } = layOut(before, `\n${after}`, columns, maxRows);
          expect(rows.length).toBeLessThanOrEqual(maxRows);
          for (const row of rows) expect(rowColumns(row)).toBeLessThanOrEqual(columns);
          expect(cursor.row).toBeLessThan(rows.length);
          expect(cursor.column).toBeLessThan(columns);
        },
      ),
    );
  });
});

describe("rowsAboveCursor()", () => {
  test("counts rows as a terminal breaks them that became narrower", () => {
    const rows = [[span("x".repeat(25))], [span("y".repeat(30))]];
    expect(rowsAboveCursor({ rows, cursor: { row: 1, column: 15 } }, 10)).toBe(4);
    expect(rowsAboveCursor({ rows, cursor: { row: 1, column: 15 } }, 40)).toBe(1);
  });
});

describe("composeFrame()", () => {
  const content: FrameContent = {
    editor: { ...emptyEditor, buffer: { before: "hello", after: "" } },
    prompt: "Message (or 'quit'): ",
    status: {
      self: "alice",
      peer: "bob",
      connection: "connected",
      nextAttemptInMs: undefined,
      others: [],
      unsent: 0,
      catchingUp: undefined,
    },
    unsent: [],
    hint: undefined,
    ending: undefined,
  };
  const rowsOf = (changes: Partial<FrameContent>, columns = 80, rows = 24) =>
    composeFrame({ ...content, ...changes }, { columns, rows }).rows.map(textOf);

  test("has the status above the input and a hint below", () => {
    expect(rowsOf({ hint: "a hint" })).toEqual([
      "alice to bob · connected",
      "Message (or 'quit'): hello",
      "a hint",
    ]);
  });

  test("shows the first unsent messages and counts the rest", () => {
    const unsent = [1, 2, 3, 4, 5].map((i) => ({ to: "bob", text: `m${i}\u0007` }));
    expect(rowsOf({ unsent }).slice(0, 4)).toEqual([
      "... [To bob] m1\\u{7}",
      "... [To bob] m2\\u{7}",
      "... [To bob] m3\\u{7}",
      "... and 2 more",
    ]);
  });

  test("says that Enter sends several lines as one message", () => {
    const buffer = { before: "one\ntwo\n", after: "" };
    expect(rowsOf({ editor: { ...emptyEditor, buffer } }).at(-1)).toBe(
      "Enter sends these 2 lines as one message",
    );
  });

  test("shows what a search has found", () => {
    const history = { lines: ["the line"], position: 1, draft: "" };
    const editor = { ...content.editor, history, search: { query: "line", found: 0 } };
    expect(rowsOf({ editor }).slice(1)).toEqual(["Search: line", "the line"]);
  });

  test("leaves the input alone on a tiny terminal, with a short prompt", () => {
    expect(rowsOf({ hint: "a hint" }, 20, 3)).toEqual(["> hello"]);
  });

  test("always leaves a row of the terminal to the messages", () => {
    const unsent = [1, 2, 3, 4].map(() => ({ to: "bob", text: "m" }));
    const buffer = { before: "x\n".repeat(100), after: "" };
    for (let rows = 2; rows < 30; rows++)
      expect(
        rowsOf({ unsent, editor: { ...emptyEditor, buffer }, hint: "h ".repeat(200) }, 40, rows).length,
      ).toBeLessThan(rows);
  });
});
