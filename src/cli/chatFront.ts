import { type ChatInput, pipedInput, plainTerminalInput } from "./chatInput.ts";
import type { ChatSession } from "./chatSession.ts";
import { sourceOf } from "./chatStatus.ts";
import { type ChatView, JsonView, TextView } from "./chatView.ts";
import { TerminalChat } from "./terminalChat.ts";
import { TerminalDevice, terminalOutput } from "./terminalDevice.ts";
import { paintWith, wantsColor } from "./terminalTheme.ts";

/** Where a chat's lines come from and where its events go: a display on a terminal, or streams. */
export interface ChatFront {
  readonly view: ChatView;
  /** Shows a line that is no part of the chat. */
  notice(line: string): void;
  /** Starts to take input: after the last question, before the login. */
  open(session: ChatSession): void;
  /** Gives the terminal away, for a question; `open` takes it again. */
  pause(): void;
  /** The login is over, and what waited on the server has come. */
  caughtUp(): void;
  readonly input: ChatInput;
  /** Whether there is no terminal any more. */
  isGone(): boolean;
  close(): void;
}

export interface FrontOptions {
  readonly json: boolean;
  readonly raw: boolean;
  readonly prompt: string;
  /** Words are not kept, see `Client.history`. */
  readonly keepsNoHistory: boolean;
  /** The user wants to end at once; elsewhere than on the display, SIGINT says so. */
  readonly onInterrupt: () => void;
}

export function chooseFront(options: FrontOptions): ChatFront {
  const { json, prompt } = options;
  if (!json && process.stdin.isTTY)
    return process.stdout.isTTY && terminalOutput() !== undefined
      ? displayFront(options)
      : streamFront(new TextView(), plainTerminalInput(prompt));
  // Whoever reads events must not have to tell them from other lines.
  return json
    ? streamFront(new JsonView(), pipedInput(), process.stderr)
    : streamFront(new TextView(), pipedInput());
}

function streamFront(
  view: ChatView,
  input: ChatInput,
  notices: NodeJS.WriteStream = process.stdout,
): ChatFront {
  return {
    view,
    input,
    notice: (line) => notices.write(`${line}\n`),
    open: () => {},
    pause: () => {},
    caughtUp: () => {},
    isGone: () => false,
    close: () => input.close(),
  };
}

function displayFront({ raw, prompt, keepsNoHistory, onInterrupt }: FrontOptions): ChatFront {
  const chat = new TerminalChat({
    device: new TerminalDevice(process.stdout),
    paint: paintWith({ color: wantsColor(process.env) }),
    prompt,
    keepsNoHistory,
    onInterrupt,
  });
  return {
    view: chat,
    input: chat,
    notice: (line) => chat.answer([line]),
    open: (session) => chat.open(sourceOf(session, { raw })),
    pause: () => chat.pause(),
    caughtUp: () => chat.caughtUp(),
    isGone: () => chat.isGone,
    close: () => chat.close(),
  };
}
