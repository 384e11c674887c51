import type { ClientEvent } from "../client/clientEvents.ts";
import { operatorText } from "./chatView.ts";
import { withCode } from "./errorText.ts";
import { linesOfReplacement, linesOfStop } from "./stoppedText.ts";
import { furtherLine } from "./terminalLayout.ts";
import { type Row, type Style, shownText, span, wrapRow } from "./terminalText.ts";

const stepText = {
  connect: "[1] Connect to server...",
  certificate: "[2] Validate server certificate...",
  keys: "[3] Key exchange...",
} as const;

const indent = 4;

/** What an event is on a terminal: lines, not wrapped yet. */
export function linesOfEvent(event: ClientEvent): readonly Row[] {
  switch (event.event) {
    case "progress":
      return [[span(`${stepText[event.step]} `), span("✓", "good")]];
    case "connected":
    case "kept":
      return [];
    case "authenticated":
      return [
        ticked(`${event.registered ? "Registration" : "Login"} successful: ${shownText(event.username)}`),
        ticked("Session key established"),
      ];
    case "attached":
      return [ticked(`Operator of ${shownText(event.username)}, certificate sha256:${event.fingerprint}`)];
    case "operator":
      return [[span(operatorText(event))]];
    case "sent":
      return said(
        [span(">>> "), span(`[To ${shownText(event.to)}]`, "strong"), span(` seqno=${event.seqno}: `)],
        event.text,
      );
    case "message": {
      // In a conversation of two it is named for the other one.
      const where = event.to === event.from ? "" : ` to ${shownText(event.to)}`;
      const lines = said(
        [span(`[${shownText(event.from)}${where}]`, "strong"), span(` seqno=${event.seqno}: `)],
        event.text,
      );
      const about = span(`  ${clockTime(event.at)} ${shownText(event.email)}`.trimEnd(), "quiet");
      return [...lines.slice(0, -1), [...(lines.at(-1) ?? []), about]];
    }
    case "membership":
      return [[span(`* ${shownText(event.by)}: ${event.action} (${names(event.members)})`, "quiet")]];
    case "receipt":
      return [
        event.countersigned
          ? ticked("Session receipt verified")
          : noticed("warning", "Session receipt not countersigned yet"),
        [
          span(
            `  Evidence: ${shownText(event.folder)} (${event.size} entries; signed by ${names(event.signers)})`,
          ),
        ],
      ];
    case "warning":
      return [noticed("warning", shownText(event.message))];
    case "error":
      return [
        noticed("bad", shownText(withCode(event.message, event.code))),
        ...linesOfStop(event).map((line) => [span(shownText(line))]),
      ];
    case "delivered":
      // The status line says so.
      return [];
    case "replaced": {
      const [first, ...others] = linesOfReplacement(event);
      return [noticed("warning", shownText(first)), ...others.map((line) => [span(shownText(line))])];
    }
    case "connection":
      return linesOfConnection(event);
    case "closed":
      return event.code === "QUIT"
        ? [[span("Connection closed")]]
        : [noticed("warning", `Connection lost: ${shownText(event.message)}`)];
  }
}

/** @returns rows of at most so many columns */
export function wrapLines(lines: readonly Row[], columns: number): readonly Row[] {
  return lines.flatMap((line) => wrapRow(line, columns, indent));
}

/** Between messages of different days. */
export function daySeparator(at: number): Row {
  const day = new Date(at).toLocaleDateString("en-GB", {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: "numeric",
  });
  return [span(`── ${day} ──`, "quiet")];
}

/** @returns the local calendar day that a time is in */
export function dayOf(at: number): string {
  const date = new Date(at);
  return [date.getFullYear(), date.getMonth(), date.getDate()].join("-");
}

/** Anybody's words. Their further lines are marked, so that none of them looks like a line of the program. */
function said(head: Row, text: string): readonly Row[] {
  const [first = "", ...others] = text.split(/\r\n|\n/);
  return [
    [...head, span(shownText(first))],
    ...others.map((line) => [span(`  ${furtherLine}`, "quiet"), span(shownText(line))]),
  ];
}

function ticked(text: string): Row {
  return [span("✓", "good"), span(` ${text}`)];
}

function noticed(style: Style, text: string): Row {
  return [span(style === "bad" ? "✗" : "!", style), span(` ${text}`)];
}

function names(list: readonly string[]): string {
  return list.map((name) => shownText(name)).join(", ");
}

function clockTime(ms: number): string {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

function linesOfConnection(event: Extract<ClientEvent, { event: "connection" }>): readonly Row[] {
  switch (event.state) {
    case "lost":
      return [
        noticed(
          "warning",
          `Connection lost: ${shownText(event.message)}; what you write is kept and sent later`,
        ),
      ];
    case "retrying":
      // The status line says that there is no connection.
      return [];
    case "back":
      return [ticked("Connected again")];
  }
}
