import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { layOutInput } from "../../src/cli/terminalLayout.ts";
import { Screen } from "../../src/cli/terminalScreen.ts";
import { span } from "../../src/cli/terminalText.ts";
import { paintWith, wantsColor } from "../../src/cli/terminalTheme.ts";
import { TerminalModel } from "./terminalModel.ts";

/** A screen on a model of a terminal. */
function start(columns: number, rows: number, widthOf?: (cluster: string) => number) {
  const terminal = new TerminalModel(columns, rows, widthOf);
  const screen = new Screen({ write: (text) => terminal.feed(text), paint: paintWith({ color: true }) });
  let width = columns;
  return {
    terminal,
    screen,
    show: (before: string, after = "", lines: readonly string[] = []) => {
      const input = { prompt: [span("> ")], before, after, columns: width, maxRows: rows - 2 };
      const frame = layOutInput(input);
      screen.update(lines, { ...frame, rows: [...frame.rows, [span("below", "quiet")]] }, width);
    },
    resize: (to: number) => {
      terminal.resize(to, rows);
      width = to;
    },
  };
}

describe("Screen", () => {
  test("puts lines above what is being typed, over several rows", () => {
    const { terminal, show } = start(20, 8);
    show("this is a text of two rows", "!");
    show("this is a text of two rows", "!", ["[bob] hello", "[bob] there"]);
    expect(terminal.screen).toEqual([
      "[bob] hello",
      "[bob] there",
      "> this is a text of",
      "two rows!",
      "below",
    ]);
    expect(terminal.cursor).toEqual({ row: 3, column: 8 });
  });

  test("scrolls lines out and keeps them", () => {
    const { terminal, show } = start(20, 4);
    for (let i = 0; i < 10; i++) show("typing", "", [`line ${i}`]);
    expect(terminal.screen).toEqual(["line 8", "line 9", "> typing", "below"]);
    expect(terminal.everything.slice(0, -2)).toEqual(Array.from({ length: 10 }, (_, i) => `line ${i}`));
    expect(terminal.cursor).toEqual({ row: 2, column: 8 });
  });

  test("writes nothing when nothing has changed", () => {
    const written: string[] = [];
    const screen = new Screen({ write: (text) => written.push(text), paint: paintWith({ color: false }) });
    const frame = { rows: [[span("a")]], cursor: { row: 0, column: 1 } };
    screen.update([], frame, 80);
    screen.update([], { rows: [[span("a")]], cursor: { row: 0, column: 1 } }, 80);
    expect(written.length).toBe(1);
    screen.update([], frame, 79);
    expect(written.length).toBe(2);
  });

  test("leaves no trace when it is erased", () => {
    const { terminal, screen, show } = start(20, 8);
    show("a text that takes more than a row", "", ["kept"]);
    screen.erase(20);
    expect(terminal.screen).toEqual(["kept"]);
    expect(terminal.cursor).toEqual({ row: 1, column: 0 });
  });

  test("starts on the first row after the screen was emptied", () => {
    const { terminal, screen, show } = start(20, 8);
    show("text", "", ["gone"]);
    screen.clear();
    show("text");
    expect(terminal.screen).toEqual(["> text", "below"]);
  });

  test("breaks the text anew at another size, narrower and wider", () => {
    const { terminal, show, resize } = start(40, 10);
    show("a text that goes over more than one row of it", "", ["first", "second"]);
    for (const columns of [17, 9, 30, 80, 12]) {
      resize(columns);
      show("a text that goes over more than one row of it");
      expect(terminal.everything.slice(0, 2)).toEqual(["first", "second"]);
      expect(terminal.everything.slice(2).join("").replaceAll(" ", "")).toBe(
        "> a text that goes over more than one row of itbelow".replaceAll(" ", ""),
      );
    }
  });

  test("keeps rows and cursor right where the terminal measures emoji otherwise", () => {
    // Code point by code point, as terminals without grapheme clusters do: the family takes six columns.
    const byCodePoint = (cluster: string) =>
      [...cluster].reduce((sum, character) => sum + Bun.stringWidth(character), 0);
    const { terminal, show } = start(20, 8, byCodePoint);
    show("a👨‍👩‍👧b", "c");
    expect(terminal.cursor).toEqual({ row: 0, column: 2 + 1 + 6 + 1 });
    show("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧 more", "", ["above"]);
    show("short", "", ["again"]);
    expect(terminal.screen).toEqual(["above", "again", "> short", "below"]);
  });

  test("shows all lines and the last text, whatever comes in whatever order", () => {
    const step = fc.record({
      text: fc.constantFrom("", "a", "some words", "你好 ".repeat(9), "x".repeat(50), "two\nlines"),
      cursor: fc.nat(60),
      lines: fc.array(fc.constantFrom("one", "two", "three"), { maxLength: 4 }),
      columns: fc.integer({ min: 12, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const { terminal, show, resize } = start(30, 12);
        const lines: string[] = [];
        for (const { text, cursor, lines: more, columns } of steps) {
          resize(columns);
          const at = Math.min(cursor, text.length);
          lines.push(...more);
          show(text.slice(0, at), text.slice(at), more);
        }
        expect(terminal.everything.slice(0, lines.length)).toEqual(lines);
        const input = terminal.everything
          .slice(lines.length)
          .join("")
          .replace(/[| >\n]/g, "");
        expect(input).toBe(`${(steps.at(-1)?.text ?? "").replace(/[ \n]/g, "")}below`);
      }),
      { numRuns: 200 },
    );
  });
});

describe("paintWith()", () => {
  const row = [span("plain "), span("quiet", "quiet"), span("good", "good")];

  test("uses weights and the palette's colours", () => {
    expect(paintWith({ color: true })(row)).toBe("plain \u001b[2mquiet\u001b[22m\u001b[32mgood\u001b[39m");
  });

  test("writes text alone without colours", () => {
    expect(paintWith({ color: false })(row)).toBe("plain quietgood");
  });
});

describe("wantsColor()", () => {
  test.each([
    [{ TERM: "xterm-256color" }, true],
    [{ TERM: "xterm", NO_COLOR: "" }, true],
    [{ TERM: "xterm", NO_COLOR: "1" }, false],
    [{ TERM: "dumb" }, false],
    [{}, false],
  ])("answers for %o", (environment, wanted) => {
    expect(wantsColor(environment)).toBe(wanted);
  });
});
