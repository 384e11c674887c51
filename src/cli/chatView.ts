import { jsonLine } from "../base/jsonLine.ts";
import { visible } from "../base/visible.ts";
import type { ClientEvent } from "../client/clientEvents.ts";
import { withCode } from "./errorText.ts";
import { linesOfReplacement, linesOfStop } from "./stoppedText.ts";

/** Where a chat's events and the answers to its commands go. */
export interface ChatView {
  event(event: ClientEvent): void;
  /** Answers to a command: lines for people, or one object. */
  answer(lines: readonly string[], json: Record<string, unknown>): void;
}

/** One JSON object a line on stdout and nothing else. */
export class JsonView implements ChatView {
  event(event: ClientEvent): void {
    process.stdout.write(`${jsonLine(event)}\n`);
  }

  answer(_lines: readonly string[], json: Record<string, unknown>): void {
    process.stdout.write(`${jsonLine(json)}\n`);
  }
}

const stepText = {
  connect: "[1] Connect to server... ✓",
  certificate: "[2] Validate server certificate... ✓",
  keys: "[3] Key exchange... ✓",
} as const;

type Line = readonly [stream: "out" | "err", text: string];

/** Plain lines, as a pipe gets them: the conversation on stdout, the rest on stderr. */
export class TextView implements ChatView {
  answer(lines: readonly string[]): void {
    for (const line of lines) process.stdout.write(`${line}\n`);
  }

  event(event: ClientEvent): void {
    for (const [stream, text] of linesFor(event))
      (stream === "out" ? process.stdout : process.stderr).write(`${text}\n`);
  }
}

function linesFor(event: ClientEvent): readonly Line[] {
  switch (event.event) {
    case "progress":
      return [["err", stepText[event.step]]];
    case "connected":
    case "kept":
      return [];
    case "authenticated": {
      const what = event.registered ? "Registration" : "Login";
      return [
        ["err", `✓ ${what} successful: ${visible(event.username)}`],
        ["err", "✓ Session key established"],
      ];
    }
    case "attached":
      return [["err", `✓ Operator of ${visible(event.username)}, certificate sha256:${event.fingerprint}`]];
    case "operator":
      return [["err", operatorText(event)]];
    case "sent":
      return [["out", `>>> [To ${visible(event.to)}] seqno=${event.seqno}: ${visible(event.text)}`]];
    case "message": {
      const about = [clockTime(event.at), visible(event.email)].join(" ").trimEnd();
      return [["out", `[${visible(event.from)}] seqno=${event.seqno}: ${visible(event.text)}  ${about}`]];
    }
    case "membership":
      return [["err", `* ${visible(event.by)}: ${event.action} (${names(event.members)})`]];
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
      return [
        ["err", `✗ ${withCode(visible(event.message), event.code)}`],
        ...linesOfStop(event).map((line): Line => ["err", visible(line)]),
      ];
    case "delivered":
      return [];
    case "replaced": {
      const [first, ...others] = linesOfReplacement(event);
      return [["err", `! ${visible(first)}`], ...others.map((line): Line => ["err", visible(line)])];
    }
    case "connection":
      return linesOfConnection(event);
    case "closed":
      return [["err", "Connection closed"]];
  }
}

/** Who answers, so that it can be compared with what the organisation says. */
export function operatorText({ name, fingerprint }: Extract<ClientEvent, { event: "operator" }>): string {
  return `* Talking to the operator of ${visible(name)}, under the server's own certificate sha256:${fingerprint}`;
}

function names(list: readonly string[]): string {
  return list.map((name) => visible(name)).join(", ");
}

function clockTime(ms: number): string {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

function linesOfConnection(event: Extract<ClientEvent, { event: "connection" }>): readonly Line[] {
  switch (event.state) {
    case "lost":
      return [["err", `! Connection lost: ${visible(event.message)}; what you write is kept and sent later`]];
    case "retrying":
      return [["err", `  trying again in ${Math.ceil(event.inMs / 1000)} s`]];
    case "back":
      return [["err", "✓ Connected again"]];
  }
}
