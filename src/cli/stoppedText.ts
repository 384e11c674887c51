import type { ClientEvent } from "../client/clientEvents.ts";

type EventOf<T extends ClientEvent["event"]> = Extract<ClientEvent, { event: T }>;

/** What there is to do about a conversation that the server has spoilt or lost. Lines of peers' text, to be made visible. */
export function linesOfStop({ code, stopped }: EventOf<"error">): readonly string[] {
  if (stopped === undefined) return [];
  const { to, evidence, unsent } = stopped;
  const isFinal = code === "CONVERSATION_STOPPED";
  const until = isFinal
    ? "Nothing more is taken from the server there or sent"
    : "It is tried again with the next connection";
  return [
    `  ${until}. Keep as evidence: ${evidence}`,
    `  /fresh ${to} begins a new conversation with ${to}${unsentText(unsent)}`,
  ];
}

/** The server has let a conversation expire. */
export function linesOfExpiry(event: EventOf<"expired">): readonly [string, ...string[]] {
  const { to, keptDays, folder, countersigned, unsent } = event;
  const rule =
    keptDays === null
      ? "the server has deleted it for its age"
      : `the server keeps conversations for ${keptDays} ${keptDays === 1 ? "day" : "days"} after their last entry`;
  return [
    `the conversation with ${to} is over: ${rule}; its evidence stays in ${folder}`,
    ...(countersigned
      ? []
      : ["  The server has not countersigned a receipt over all of it, and can't any more"]),
    `  /to ${to} begins a new conversation${unsentText(unsent)}`,
  ];
}

/** Another conversation has taken the place of one. */
export function linesOfReplacement({
  to,
  folder,
  unsent,
}: EventOf<"replaced">): readonly [string, ...string[]] {
  return [
    `a new conversation with ${to} has taken the place of the one before${unsentText(unsent)}`,
    `  The evidence of the one before stays in ${folder}`,
  ];
}

function unsentText(count: number): string {
  if (count === 0) return "";
  return `; ${count === 1 ? "1 message was" : `${count} messages were`} not sent: /unsent shows them`;
}
