import type { ClientEvent } from "../client/clientEvents.ts";
import type { ChatInput } from "./chatInput.ts";
import type { ChatView } from "./chatView.ts";
import { CatchingUp, type CaughtUp, type MessageEvent } from "./terminalCatchUp.ts";
import { complete, type Vocabulary } from "./terminalCompletion.ts";
import type { TerminalDevice } from "./terminalDevice.ts";
import { type EditorAction, edit, emptyEditor, replaceBefore } from "./terminalEditor.ts";
import { EnteredLines } from "./terminalEntered.ts";
import { composeFrame, type UnsentMessage } from "./terminalFrame.ts";
import type { Key } from "./terminalKeys.ts";
import { dayOf, daySeparator, linesOfEvent, wrapLines } from "./terminalLines.ts";
import { PasteGuard } from "./terminalPaste.ts";
import { Screen } from "./terminalScreen.ts";
import type { ChatStatus } from "./terminalStatus.ts";
import { type Row, shownText, span } from "./terminalText.ts";
import type { PaintRow } from "./terminalTheme.ts";

/** What the display asks the chat for. */
export interface ChatSource {
  status(): Pick<ChatStatus, "self" | "peer" | "others" | "unsent">;
  /** Messages that have waited longer than this many ms. */
  unsentFor(ms: number): readonly UnsentMessage[];
  vocabulary(): Vocabulary;
}

export interface TerminalChatOptions {
  readonly device: Pick<
    TerminalDevice,
    "columns" | "rows" | "isAway" | "write" | "open" | "close" | "suspend"
  >;
  readonly paint: PaintRow;
  readonly prompt: string;
  /** Words are kept nowhere: none may rush past uncounted. */
  readonly keepsNoHistory: boolean;
  /** The user wants to end at once. */
  readonly onInterrupt: () => void;
}

/** How often what changes without an event is looked at: signatures of others, messages that wait. */
const lookMs = 1000;
/** Messages that wait longer than this are shown. */
const noticeableMs = 500;

const interruptHint = "Ctrl-C again ends at once, without a receipt; quit or Ctrl-D ends with one";
/** What is typed so early is there once the prompt is. */
const loginPrompt = "Logging in... ";
const endingText = "Ending... (Ctrl-C ends at once)";

/** The chat's display on a terminal: lines that stay, above an input line that is edited and a status line. */
export class TerminalChat implements ChatInput, ChatView {
  readonly lines: AsyncIterable<string>;
  readonly #options: TerminalChatOptions;
  readonly #screen: Screen;
  readonly #paste = new PasteGuard();
  readonly #catchingUp: CatchingUp;
  #source: ChatSource | undefined;
  #phase: "before" | "live" | "ending" | "over" = "before";
  #editor = emptyEditor;
  #isLoggedIn = false;
  #hint: string | undefined;
  #mayInterrupt = false;
  #connection: ChatStatus["connection"] = "connecting";
  #nextAttemptAtMs: number | undefined;
  #day = dayOf(Date.now());
  /** Lines that go above the input with the next drawing. */
  #above: Row[] = [];
  #drawing: Timer | undefined;
  #looking: Timer | undefined;
  readonly #entered = new EnteredLines();
  #isGone = false;

  constructor(options: TerminalChatOptions) {
    this.#options = options;
    this.#screen = new Screen({ write: (text) => options.device.write(text), paint: options.paint });
    this.#catchingUp = new CatchingUp({
      keepsAll: options.keepsNoHistory,
      onEnd: (caughtUp) => this.#printCaughtUp(caughtUp),
    });
    this.lines = this.#entered.read(() => {
      // Whoever reads wants no more: what is left to do is said, and Ctrl-C still works.
      if (this.#phase === "live") this.#phase = "ending";
      this.#draw();
    });
  }

  /** Takes the terminal. Until then events are just printed. */
  open(source: ChatSource): void {
    this.#source = source;
    this.#phase = "live";
    this.#looking = setInterval(() => this.#draw(), lookMs);
    this.#options.device.open({
      keys: (keys) => {
        for (const key of this.#paste.judge(keys, performance.now())) this.#press(key);
        this.#draw();
        return [];
      },
      end: () => {
        this.#isGone = true;
        this.#entered.end();
      },
      resized: () => this.#draw(),
      resumed: () => {
        this.#screen.forget();
        this.#draw();
      },
    });
    this.#draw();
  }

  /** Gives the terminal away until `open` is called again. What comes meanwhile is just printed. */
  pause(): void {
    this.#release("before");
  }

  /** Gives the terminal back. What comes after is just printed. */
  close(): void {
    if (this.#phase === "before" || this.#phase === "over") return;
    this.#catchingUp.end();
    this.#draw();
    this.#release("over");
    this.#entered.end();
  }

  #release(phase: "before" | "over"): void {
    clearInterval(this.#looking);
    clearTimeout(this.#drawing);
    this.#drawing = undefined;
    this.#phase = phase;
    this.#screen.erase(this.#options.device.columns);
    // What could not be drawn, because the size was changing.
    this.#print([]);
    this.#options.device.close();
  }

  /** Whether the input has ended because the terminal has: nobody has asked for it. */
  get isGone(): boolean {
    return this.#isGone;
  }

  event(event: ClientEvent): void {
    if (event.event === "message" && this.#catchingUp.take(event)) {
      this.#drawSoon();
      return;
    }
    this.#noteConnection(event);
    this.#printEvent(event);
  }

  answer(lines: readonly string[]): void {
    this.#print(lines.map((line) => [span(line)]));
  }

  /** The login is over, and everything that waited on the server has come. */
  caughtUp(): void {
    this.#isLoggedIn = true;
    this.#catchingUp.loginIsOver();
    this.#drawSoon();
  }

  #noteConnection(event: ClientEvent): void {
    const isBack = event.event === "connection" && event.state === "back";
    if (event.event === "progress") this.#connection = "connecting";
    else if (event.event === "authenticated" || event.event === "attached" || isBack) {
      this.#connection = "connected";
      this.#catchingUp.begin();
    } else if (event.event === "closed" || event.event === "connection") {
      this.#connection = "offline";
      this.#catchingUp.end();
    } else return;
    const isRetrying = event.event === "connection" && event.state === "retrying";
    this.#nextAttemptAtMs = isRetrying ? performance.now() + event.inMs : undefined;
    this.#drawSoon();
  }

  #printCaughtUp({ shown, earlier }: CaughtUp): void {
    for (const { name, count } of earlier) {
      const text = `* ${count} earlier messages in the conversation with ${shownText(name)}: /history shows them`;
      this.#print([[span(text, "quiet")]]);
    }
    for (const event of shown) this.#printEvent(event);
  }

  #printEvent(event: ClientEvent): void {
    const lines = event.event === "message" || event.event === "sent" ? this.#dayLines(event) : [];
    this.#print([...lines, ...linesOfEvent(event)]);
  }

  #dayLines({ at }: Pick<MessageEvent, "at">): Row[] {
    const day = dayOf(at);
    if (day === this.#day) return [];
    this.#day = day;
    return [daySeparator(at)];
  }

  #print(lines: readonly Row[]): void {
    this.#above.push(...lines);
    if (this.#phase === "live" || this.#phase === "ending") this.#drawSoon();
    else
      this.#options.device.write(
        this.#takeAbove()
          .map((line) => `${line}\n`)
          .join(""),
      );
  }

  #takeAbove(): string[] {
    const rows = wrapLines(this.#above, this.#options.device.columns);
    this.#above = [];
    return rows.map((row) => this.#options.paint(row));
  }

  /** What comes in one burst is drawn once. */
  #drawSoon(): void {
    this.#drawing ??= setTimeout(() => this.#draw(), 0);
  }

  #draw(): void {
    clearTimeout(this.#drawing);
    this.#drawing = undefined;
    if (this.#source === undefined || this.#options.device.isAway) return;
    if (this.#phase !== "live" && this.#phase !== "ending") return;
    const { columns, rows } = this.#options.device;
    const status: ChatStatus = {
      ...this.#source.status(),
      connection: this.#connection,
      nextAttemptInMs:
        this.#nextAttemptAtMs === undefined ? undefined : this.#nextAttemptAtMs - performance.now(),
      catchingUp: this.#catchingUp.count,
    };
    const content = {
      editor: this.#editor,
      prompt: this.#isLoggedIn ? this.#options.prompt : loginPrompt,
      status,
      unsent: this.#source.unsentFor(noticeableMs),
      hint: this.#hint,
      ending: this.#phase === "ending" ? endingText : undefined,
    };
    this.#screen.update(this.#takeAbove(), composeFrame(content, { columns, rows }), columns);
  }

  #press(key: Key): void {
    const mayInterrupt = this.#mayInterrupt || this.#phase === "ending";
    this.#hint = undefined;
    this.#mayInterrupt = false;
    if (this.#phase === "ending") {
      if (key.kind === "press" && key.name === "C-c") this.#options.onInterrupt();
      return;
    }
    const { editor, action } = edit(this.#editor, key);
    this.#editor = editor;
    if (action !== undefined) this.#act(action, mayInterrupt);
  }

  #act(action: EditorAction, mayInterrupt: boolean): void {
    switch (action.kind) {
      case "submit":
        this.#entered.add(action.line);
        return;
      case "end":
        this.#entered.end();
        return;
      case "interrupt":
        if (mayInterrupt) this.#options.onInterrupt();
        this.#mayInterrupt = true;
        this.#hint = interruptHint;
        return;
      case "suspend":
        this.#screen.erase(this.#options.device.columns);
        this.#options.device.suspend();
        return;
      case "redraw":
        this.#screen.clear();
        return;
      case "complete":
        this.#complete();
    }
  }

  #complete(): void {
    if (this.#source === undefined) return;
    const { before, candidates } = complete(this.#editor.buffer.before, this.#source.vocabulary());
    this.#editor = replaceBefore(this.#editor, before);
    this.#hint = candidates.length === 0 ? undefined : candidates.map((word) => shownText(word)).join("  ");
  }
}
