import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { distanceTo } from "../../src/cli/terminalBuffer.ts";
import { type Editor, type EditorAction, edit, emptyEditor } from "../../src/cli/terminalEditor.ts";
import type { Key } from "../../src/cli/terminalKeys.ts";
import { clustersOf } from "../../src/cli/terminalText.ts";

/** Keys as a test writes them: `<C-a>` is a key, the rest text. */
function type(keys: string, editor: Editor = emptyEditor): { editor: Editor; actions: EditorAction[] } {
  const actions: EditorAction[] = [];
  let current = editor;
  for (const part of keys.match(/<[A-Za-z][A-Za-z-]*[<>]?>|[^<]+|</g) ?? []) {
    const name = /^<(.+)>$/.exec(part)?.[1];
    const key: Key = name === undefined ? { kind: "text", text: part } : { kind: "press", name };
    const { editor: next, action } = edit(current, key);
    current = next;
    if (action !== undefined) actions.push(action);
  }
  return { editor: current, actions };
}

/** The text with `|` where the cursor is. */
function shown(editor: Editor): string {
  return `${editor.buffer.before}|${editor.buffer.after}`;
}

describe("edit()", () => {
  test.each([
    ["arrows", "abc<left><left>X<right>Y", "aXbY|c"],
    ["home and end", "abc<home>X<end>Y", "XabcY|"],
    ["words", "one two-three<M-b>X<M-b><M-b>Y<M-f>Z", "one YtwoZ|-Xthree"],
    ["backspace over a flag, a family, a mark", "a🇩🇪👨‍👩‍👧e\u0301<backspace><backspace><backspace>", "a|"],
    ["delete", "你好<home><delete>", "|好"],
    ["cut to the end and back", "one two<home><M-f><C-k>X<C-y>", "oneX two|"],
    ["cuts in a row are one", "a bb ccc<C-w><C-w><C-y>", "a bb ccc|"],
    ["a word by blanks, a word by letters", "see a/b-c<M-backspace>!<C-w>", "see |"],
    ["the line up to the cursor", "one two<left><left><left><C-u>", "|two"],
    ["exchange of what was put in", "one<C-u>two<C-u><C-y><M-y>", "one|"],
    ["exchange only right after", "one<C-u>two<C-u><C-y>!<M-y>", "two!|"],
    ["two characters changing places", "ab<C-t>c<left><C-t>", "bca|"],
    ["a new line by Alt-Enter, up and down", "one<M-enter>two<up>X<down>Y", "oneX\ntwoY|"],
    ["a key without meaning", "a<M-q><page-up>", "a|"],
  ])("does %s", (_, keys, result) => {
    expect(shown(type(keys).editor)).toBe(result);
  });

  test("finds words behind characters of two units and marks, as a pattern would", () => {
    const piece = fc.constantFrom(
      "a",
      "_",
      "1",
      "é",
      "\u0301",
      "𝒳",
      "😀",
      " ",
      "\n",
      "-",
      "\ud83d",
      "\ude00",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const before = pieces.join("");
        const length = (pattern: RegExp) => pattern.exec(before)?.[0].length ?? 0;
        expect(distanceTo.previousWord({ before, after: "" })).toBe(
          length(/[\p{L}\p{M}\p{N}_]*[^\p{L}\p{M}\p{N}_]*$/u),
        );
        expect(distanceTo.previousBlank({ before, after: "" })).toBe(length(/\S*\s*$/u));
      }),
    );
  });

  test("submits a line, and nothing for blanks", () => {
    const { editor, actions } = type("hello<enter>  <enter>");
    expect(actions).toEqual([{ kind: "submit", line: "hello" }]);
    expect(shown(editor)).toBe("|");
  });

  test("takes a paste as lines and sends nothing until Enter", () => {
    const pasted = edit(emptyEditor, { kind: "paste", text: "one\r\ntwo\rthree\u001b[2J\u0007\tx\n\n" });
    expect(pasted.action).toBeUndefined();
    expect(shown(pasted.editor)).toBe("one\ntwo\nthree[2J\tx\n\n|");
    expect(type("<enter>", pasted.editor).actions).toEqual([
      { kind: "submit", line: "one\ntwo\nthree[2J\tx" },
    ]);
  });

  test("makes lone surrogates of a paste well-formed", () => {
    expect(edit(emptyEditor, { kind: "paste", text: "a\ud800b" }).editor.buffer.before.isWellFormed()).toBe(
      true,
    );
  });

  test("Ctrl-D ends on an empty line only, Ctrl-C clears the line and tells its owner", () => {
    expect(type("<C-d>").actions).toEqual([{ kind: "end" }]);
    expect(type("a<left><C-d>")).toMatchObject({
      actions: [],
      editor: { buffer: { before: "", after: "" } },
    });
    const { editor, actions } = type("half<C-c>");
    expect([shown(editor), actions]).toEqual(["|", [{ kind: "interrupt" }]]);
    expect(shown(type("<up>", editor).editor)).toBe("half|");
    expect(type("<C-c>", editor).actions).toEqual([{ kind: "interrupt" }]);
  });

  test("asks its owner for the rest", () => {
    expect(type("<C-z><C-l><tab>").actions.map(({ kind }) => kind)).toEqual([
      "suspend",
      "redraw",
      "complete",
    ]);
  });

  test("goes through the history and back to the draft", () => {
    const { editor } = type("one<enter>two<enter>two<enter>draft");
    expect(shown(type("<up>", editor).editor)).toBe("two|");
    expect(shown(type("<up><up><up>", editor).editor)).toBe("one|");
    expect(shown(type("<up><up><down><down><down>", editor).editor)).toBe("draft|");
    expect(shown(type("<M-<>", editor).editor)).toBe("one|");
    expect(type("<up><enter>", editor).actions).toEqual([{ kind: "submit", line: "two" }]);
  });

  test("searches the history, older and newer, and sends nothing by the Enter that ends it", () => {
    const { editor } = type("alpha one<enter>beta<enter>alpha two<enter>draft");
    const found = type("<C-r>alpha", editor).editor;
    expect(found.search).toEqual({ query: "alpha", found: 2 });
    expect(type("<C-r>", found).editor.search?.found).toBe(0);
    expect(type("<C-r><C-s>", found).editor.search?.found).toBe(2);
    const taken = type("<C-r><enter>", found);
    expect([shown(taken.editor), taken.actions]).toEqual(["alpha one|", []]);
    expect(shown(type("<down><down><down>", taken.editor).editor)).toBe("draft|");
    expect(shown(type("<C-g>", found).editor)).toBe("draft|");
    expect(type("zzz", found).editor.search?.found).toBeUndefined();
    expect(shown(type("zzz<enter>", found).editor)).toBe("draft|");
    expect(shown(type("<left>X", found).editor)).toBe("alpha twX|o");
  });

  test("never leaves the cursor inside a character, whatever is pressed", () => {
    const names = [
      "left",
      "right",
      "home",
      "end",
      "backspace",
      "delete",
      "M-b",
      "M-f",
      "C-w",
      "C-k",
      "C-u",
      "C-y",
      "M-y",
    ];
    const key = fc.oneof(
      fc
        .constantFrom("a", " ", "é", "你", "👨‍👩‍👧", "🇩🇪", "👍🏽", "-")
        .map((text): Key => ({ kind: "text", text })),
      fc.constantFrom(...names, "C-t", "up", "down", "M-enter").map((name): Key => ({ kind: "press", name })),
    );
    fc.assert(
      fc.property(fc.array(key, { maxLength: 60 }), (keys) => {
        let editor = emptyEditor;
        for (const one of keys) {
          ({ editor } = edit(editor, one));
          const { before, after } = editor.buffer;
          expect((before + after).isWellFormed()).toBe(true);
          for (const part of [before, after])
            for (const cluster of clustersOf(part)) expect(whole.has(cluster)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** What was typed in the last test: anything else is a piece of a character, or two flags that were torn. */
const whole = new Set(["a", " ", "é", "你", "👨‍👩‍👧", "🇩🇪", "👍🏽", "-", "\n"]);
