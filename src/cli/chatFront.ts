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
  /** Starts to take input: after the last question, before the login. */
  open(session: ChatSession): void;
  /** Gives the terminal away, for a question; `open` takes it again. */
  pause(): void;
  /** The login is over, and what waited on the server has come. */
  caughtUp(): void;
  readonly input: ChatInput;
  close(): void;
}

export interface FrontOptions {
  readonly json: boolean;
  readonly raw: boolean;
  /** Words are not kept, see `Client.history`. */
  readonly keepsNoHistory: boolean;
  /** The user wants to end at once; elsewhere than on the display, SIGINT says so. */
  readonly onInterrupt: () => void;
}

export function chooseFront(options: FrontOptions): ChatFront {
  const { json, raw } = options;
  if (!json && process.stdin.isTTY) {
    const prompt = raw ? "Message (Ctrl-D ends): " : "Message (or 'quit'): ";
    return process.stdout.isTTY && terminalOutput() !== undefined
      ? displayFront(prompt, options)
      : streamFront(new TextView(), plainTerminalInput(prompt));
  }
  return streamFront(json ? new JsonView() : new TextView(), pipedInput());
}

function streamFront(view: ChatView, input: ChatInput): ChatFront {
  return { view, input, open: () => {}, pause: () => {}, caughtUp: () => {}, close: () => input.close() };
}

function displayFront(prompt: string, { raw, keepsNoHistory, onInterrupt }: FrontOptions): ChatFront {
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
    open: (session) => chat.open(sourceOf(session, { raw })),
    pause: () => chat.pause(),
    caughtUp: () => chat.caughtUp(),
    close: () => chat.close(),
  };
}
