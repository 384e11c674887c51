import { visible } from "../base/visible.ts";
import type { ClientEvent } from "../client/clientEvents.ts";

/** Where a chat's events and the answers to its commands go. */
export interface ChatView {
  event(event: ClientEvent): void;
  /** Answers to a command: lines for people, or one object. */
  answer(lines: readonly string[], json: Record<string, unknown>): void;
}

/** One JSON object a line on stdout and nothing else. */
export class JsonView implements ChatView {
  event(event: ClientEvent): void {
    process.stdout.write(`${JSON.stringify(event)}\n`);
  }

  answer(_lines: readonly string[], json: Record<string, unknown>): void {
    process.stdout.write(`${JSON.stringify(json)}\n`);
  }
}

const stepText = {
  connect: "[1] Connect to server... ✓",
  certificate: "[2] Validate server certificate... ✓",
  keys: "[3] Key exchange... ✓",
} as const;

type Line = readonly [stream: "out" | "err", text: string];

/** Lines for people: the conversation on stdout, the rest on stderr. */
export class TextView implements ChatView {
  readonly #quiet: (text: string) => string;
  readonly #write: (stream: "out" | "err", line: string) => void;

  /** @param options.write puts a line above whatever prompt there is */
  constructor(options: { color: boolean; write: (stream: "out" | "err", line: string) => void }) {
    this.#quiet = options.color ? (text) => `\u001b[2m${text}\u001b[22m` : (text) => text;
    this.#write = options.write;
  }

  answer(lines: readonly string[]): void {
    for (const line of lines) this.#write("out", line);
  }

  event(event: ClientEvent): void {
    for (const [stream, text] of linesFor(event, this.#quiet)) this.#write(stream, text);
  }
}

function linesFor(event: ClientEvent, quiet: (text: string) => string): readonly Line[] {
  switch (event.event) {
    case "progress":
      return [["err", stepText[event.step]]];
    case "connected":
      return [];
    case "authenticated": {
      const what = event.registered ? "Registration" : "Login";
      return [
        ["err", `✓ ${what} successful: ${visible(event.username)}`],
        ["err", "✓ Session key established"],
      ];
    }
    case "sent":
      return [["out", `>>> [To ${visible(event.to)}] seqno=${event.seqno}: ${visible(event.text)}`]];
    case "message": {
      const about = quiet(`${clockTime(event.at)} ${visible(event.email)}`);
      return [["out", `[${visible(event.from)}] seqno=${event.seqno}: ${visible(event.text)}  ${about}`]];
    }
    case "membership":
      return [["err", quiet(`* ${visible(event.by)}: ${event.action} (${names(event.members)})`)]];
    case "receipt":
      return [
        [
          "err",
          event.countersigned ? "✓ Session receipt verified" : "! Session receipt not countersigned yet",
        ],
        [
          "err",
          `  Evidence: ${visible(event.folder)} (${event.size} entries; signed by ${names(event.signers)})`,
        ],
      ];
    case "warning":
      return [["err", `! ${visible(event.message)}`]];
    case "error":
      return [["err", `✗ ${visible(event.message)} (${event.code})`]];
    case "closed":
      return [["err", "Connection closed"]];
  }
}

function names(list: readonly string[]): string {
  return list.map((name) => visible(name)).join(", ");
}

function clockTime(ms: number): string {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}
