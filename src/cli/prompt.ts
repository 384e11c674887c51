import { createInterface } from "node:readline";
import { CliError, exitCodes } from "./cliError.ts";
import { TerminalDevice, terminalOutput } from "./terminalDevice.ts";
import { type Edited, type EditorAction, edit, emptyEditor } from "./terminalEditor.ts";
import { keyboard } from "./terminalKeyboard.ts";
import type { Key } from "./terminalKeys.ts";
import { layOutInput } from "./terminalLayout.ts";
import { Screen } from "./terminalScreen.ts";
import { clustersOf, span, withoutLineEnds } from "./terminalText.ts";
import { paintWith } from "./terminalTheme.ts";

/** Asks for one line on the terminal. @returns the line, or `fallback` when it is empty */
export async function promptLine(question: string, fallback = ""): Promise<string> {
  const output = terminalOutput();
  const device = output === undefined ? undefined : new TerminalDevice(output);
  const answer =
    device === undefined ? await readPlainLine(question) : await readEditedLine(device, question);
  return answer.trim() === "" ? fallback : answer.trim();
}

function readEditedLine(device: TerminalDevice, question: string): Promise<string> {
  const screen = new Screen({ write: (text) => device.write(text), paint: paintWith({ color: false }) });
  let editor = emptyEditor;
  const draw = () => {
    if (device.isAway) return;
    const { columns, rows } = device;
    const input = { prompt: [span(question)], ...editor.buffer, columns, maxRows: Math.max(1, rows - 1) };
    screen.update([], layOutInput(input), columns);
  };
  return new Promise((resolve, reject) => {
    const end = () => {
      device.write("\r\n");
      device.close();
    };
    const act = (action: EditorAction | undefined): void => {
      if (action?.kind === "interrupt" || action?.kind === "end") {
        end();
        reject(interrupted());
      } else if (action?.kind === "suspend") {
        screen.erase(device.columns);
        device.suspend();
      } else if (action?.kind === "redraw") screen.clear();
    };
    device.open({
      keys(keys) {
        for (const [i, key] of keys.entries()) {
          if (isEnter(key)) {
            // Shown as it was typed, with the cursor behind it.
            editor = edit(editor, { kind: "press", name: "C-e" }).editor;
            draw();
            end();
            resolve(editor.buffer.before + editor.buffer.after);
            return keys.slice(i + 1);
          }
          const edited: Edited = edit(editor, onOneLine(key));
          ({ editor } = edited);
          act(edited.action);
          if (edited.action?.kind === "interrupt" || edited.action?.kind === "end") return [];
        }
        draw();
        return [];
      },
      end: () => {
        end();
        reject(interrupted());
      },
      resized: draw,
      resumed: () => {
        screen.forget();
        draw();
      },
    });
    draw();
  });
}

/** On a terminal that can't move its cursor: the question, and a line as the terminal itself edits it. */
async function readPlainLine(question: string): Promise<string> {
  process.stderr.write(question);
  const lines = createInterface({ input: process.stdin, terminal: false });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("close", () => reject(interrupted()));
    });
  } finally {
    lines.close();
  }
}

/** Asks without echo. Backspace, Ctrl-W and Ctrl-U delete, Ctrl-C ends the program. */
export async function promptSecret(question: string): Promise<string> {
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = "";
      const fail = () => {
        keyboard.release();
        reject(interrupted());
      };
      keyboard.listen({
        keys(keys) {
          for (const [i, key] of keys.entries()) {
            if (isEnter(key)) {
              keyboard.release();
              resolve(typed);
              return keys.slice(i + 1);
            }
            if (key.kind !== "press") typed += withoutLineEnds(key.text);
            else if (key.name === "backspace") typed = clustersOf(typed).slice(0, -1).join("");
            else if (key.name === "C-u" || key.name === "C-w") typed = "";
            else if (key.name === "C-c" || key.name === "C-d") {
              fail();
              return [];
            }
          }
          return [];
        },
        end: fail,
      });
      // Only now is there no echo: whoever types as soon as they are asked is not seen.
      process.stderr.write(question);
    });
  } finally {
    process.stderr.write("\n");
  }
}

function onOneLine(key: Key): Key {
  if (key.kind === "paste") return { kind: "paste", text: key.text.trim().replace(/\s*[\r\n]+\s*/g, " ") };
  return key.kind === "press" && key.name === "M-enter" ? { kind: "press", name: "enter" } : key;
}

function isEnter(key: Key): boolean {
  return key.kind === "press" && key.name === "enter";
}

function interrupted(): CliError {
  return new CliError(exitCodes.interrupted, "interrupted");
}
