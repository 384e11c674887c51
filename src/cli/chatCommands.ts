import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import type { IndexRange, MemberClient, RememberedMessage } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { ChatView } from "./chatView.ts";

/** What a command works on: the session that it was typed in. */
export interface ChatTarget {
  readonly client: MemberClient;
  readonly view: ChatView;
  readonly commands: readonly ChatCommand[];
  /** Whom lines go to. */
  readonly peer: { readonly name: string; readonly conversation: Hex } | undefined;
  open(name: string): Promise<void>;
  /** Lets lines go to nobody until a conversation is opened. */
  closePeer(): void;
  /** Sends a text to this person, whoever lines go to. @returns whether it is on its way; what hinders is told */
  say(name: string, text: string): Promise<boolean>;
  /** As `open`, in the place of a conversation that can't go on. */
  openFresh(name: string | undefined): Promise<void>;
  /** Sends what was not sent before this conversation. */
  resend(): void;
}

export interface ChatCommand {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  /** Whether its arguments are names of people or groups. */
  readonly takesNames?: boolean;
  /** @param text what stands behind the name, as it was typed */
  run(session: ChatTarget, args: readonly string[], text: string): Promise<void> | void;
}

export const chatCommands: readonly ChatCommand[] = [
  {
    name: "to",
    usage: "/to NAME",
    help: "talk to this person",
    takesNames: true,
    run: talkTo,
  },
  {
    name: "leave",
    usage: "/leave",
    help: "leave this conversation; with one person, it ends for both",
    run: leave,
  },
  {
    name: "fresh",
    usage: "/fresh [NAME]",
    help: "begin anew with this person where the server has spoilt or lost your conversation",
    takesNames: true,
    run: beginFresh,
  },
  {
    name: "unsent",
    usage: "/unsent [send]",
    help: "what was not sent before you began anew; with send, send it here",
    run: showUnsent,
  },
  { name: "members", usage: "/members", help: "who is in this conversation", run: showMembers },
  { name: "who", usage: "/who", help: "who you are and where you are connected", run: showSelf },
  { name: "history", usage: "/history [N]", help: "the last N messages (default 20)", run: showHistory },
  { name: "search", usage: "/search TEXT", help: "messages that contain TEXT", run: search },
  { name: "receipt", usage: "/receipt", help: "make a receipt over everything so far", run: makeReceipt },
  {
    name: "compare",
    usage: "/compare [SIZE]",
    help: "a code to read to each other: the same if the server shows both the same log",
    run: compare,
  },
  {
    name: "disclose",
    usage: "/disclose RANGE|all [FILE]",
    help: "write words and openings for a third party, e.g. /disclose 3-5,8",
    run: disclose,
  },
  { name: "help", usage: "/help", help: "this list", run: showHelp },
];

/** @throws {ClientError} what the client refused; a command that does not exist is answered on the view */
export async function runChatCommand(session: ChatTarget, line: string): Promise<void> {
  const [name, ...args] = line.slice(1).trim().split(/\s+/);
  const command = session.commands.find((known) => known.name === name);
  if (command === undefined)
    throw new ClientError(
      "TEXT_REFUSED",
      `no command /${name}; /help lists them, and // sends a line that begins with a slash`,
    );
  await command.run(session, args, /^\/\s*\S+\s?(.*)$/s.exec(line)?.[1] ?? "");
}

function current(session: ChatTarget): Hex {
  if (session.peer === undefined)
    throw new ClientError("NO_SUCH_CONVERSATION", "no conversation is open: use /to NAME first");
  return session.peer.conversation;
}

async function talkTo(session: ChatTarget, [name]: readonly string[]): Promise<void> {
  // What follows is not for whom lines went to before, also when this fails.
  session.closePeer();
  await session.open(needed(name, "/to NAME"));
}

function needed(value: string | undefined, usage: string): string {
  if (value === undefined) throw new ClientError("BAD_RANGE", `it is used as ${usage}`);
  return value;
}

function showHelp(session: ChatTarget): void {
  const rows = [
    ...session.commands.map(({ usage, help }) => ({ usage, help })),
    { usage: "quit", help: "make the receipts and end" },
  ];
  session.view.answer(
    rows.map(({ usage, help }) => `  ${usage.padEnd(28)}${help}`),
    { event: "help", commands: rows },
  );
}

function showMembers(session: ChatTarget): void {
  const members = session.client.members(current(session));
  session.view.answer(
    members.flatMap(({ username, email, fingerprint, signedSize, deliveredSize }) => [
      `  ${visible(username)} <${visible(email)}> sha256:${fingerprint}`,
      `    has signed for ${signedSize} entries${deliveredText(deliveredSize)}`,
    ]),
    { event: "members", members },
  );
}

function deliveredText(size: number | undefined): string {
  return size === undefined ? "" : `, says to have received ${size}`;
}

function showSelf({ client, view }: ChatTarget): void {
  const { username, email } = client;
  const conversations = client.conversations();
  view.answer(
    [
      `  ${visible(username)} <${visible(email)}>`,
      ...conversations.map(
        ({ name, size, folder, replaced, expired }) =>
          `  ${visible(name)}: ${size} entries in ${visible(folder)}${expired ? " (expired)" : replaced ? " (replaced)" : ""}`,
      ),
    ],
    { event: "who", username, email, conversations },
  );
}

function showHistory(session: ChatTarget, [count = "20"]: readonly string[]): void {
  if (!/^[1-9][0-9]{0,5}$/.test(count)) throw new ClientError("BAD_RANGE", "it is used as /history [N]");
  listMessages(session, session.client.history(current(session), Number(count)));
}

function search(session: ChatTarget, words: readonly string[]): void {
  const wanted = needed(words.length === 0 ? undefined : words.join(" "), "/search TEXT").toLowerCase();
  const found = session.client
    .history(current(session))
    .filter(({ text }) => text?.toLowerCase().includes(wanted) === true);
  listMessages(session, found);
}

function listMessages({ view }: ChatTarget, messages: readonly RememberedMessage[]): void {
  view.answer(
    messages.map(({ index, at, from, text }) => {
      const words = text === undefined ? "(no words are kept)" : visible(text);
      return `  ${String(index).padStart(4)}  ${new Date(at).toISOString()}  [${visible(from)}] ${words}`;
    }),
    { event: "history", messages },
  );
}

async function leave(session: ChatTarget, args: readonly string[]): Promise<void> {
  // It can't be taken back, and whoever names somebody may mean another conversation than this one.
  if (args.length > 0) throw new ClientError("BAD_RANGE", "it is used as /leave, in the conversation itself");
  const conversation = current(session);
  const { index } = await session.client.leave(conversation);
  session.view.answer(["  You have left. Its evidence stays; /to NAME begins a new conversation."], {
    event: "left",
    conversation,
    index,
  });
}

async function beginFresh(session: ChatTarget, [name]: readonly string[]): Promise<void> {
  await session.openFresh(name);
  const conversation = current(session);
  const unsent = session.client.unsent(conversation);
  session.view.answer(
    ["  This is a new conversation. What was signed before stays evidence.", ...unsentLines(unsent)],
    { event: "fresh", conversation, to: session.peer?.name, unsent },
  );
}

function showUnsent(session: ChatTarget, [action]: readonly string[]): void {
  const conversation = current(session);
  if (action !== undefined && action !== "send")
    throw new ClientError("BAD_RANGE", "it is used as /unsent or /unsent send");
  if (action === "send") {
    session.resend();
    return;
  }
  const unsent = session.client.unsent(conversation);
  const lines = unsent.length === 0 ? ["  Everything was sent."] : unsentLines(unsent);
  session.view.answer(lines, { event: "unsent", conversation, unsent });
}

function unsentLines(unsent: readonly string[]): readonly string[] {
  if (unsent.length === 0) return [];
  const heading = "  Not sent before, or not known to have been (/unsent send sends it here):";
  return [heading, ...unsent.map((text) => `    ${visible(text)}`)];
}

async function makeReceipt(session: ChatTarget): Promise<void> {
  await session.client.receipt(current(session));
}

function compare(session: ChatTarget, [size]: readonly string[]): void {
  if (size !== undefined && !/^[1-9][0-9]{0,9}$/.test(size))
    throw new ClientError("BAD_RANGE", "it is used as /compare [SIZE]");
  const conversation = current(session);
  const comparison = session.client.comparison(conversation, size === undefined ? undefined : Number(size));
  session.view.answer(
    [
      `  ${comparison.size} entries: ${comparison.code}`,
      "  Read both to the other one over a channel that this server has no hand in. With different numbers of entries",
      "  whoever has more uses /compare with the smaller one. Different codes for one number prove nothing good:",
      "  keep both evidence folders and run: securechat verify A B",
    ],
    { event: "comparison", conversation, ...comparison },
  );
}

async function disclose(session: ChatTarget, [range, ...names]: readonly string[]): Promise<void> {
  const wanted = parseRange(needed(range, "/disclose RANGE|all [FILE]"));
  // A name may have spaces in it.
  const file = names.length === 0 ? undefined : names.join(" ");
  const disclosed = await session.client.disclose(current(session), wanted, file);
  const count = disclosed.indexes.length;
  session.view.answer(
    [
      `  ${count} ${count === 1 ? "message" : "messages"} disclosed in ${visible(disclosed.file)}: whoever has it and the evidence folder can read and prove them`,
    ],
    { event: "disclosed", ...disclosed },
  );
}

/** `all`, or indexes and ranges of indexes: `3-5,8`. */
function parseRange(text: string): "all" | readonly IndexRange[] {
  if (text === "all") return "all";
  return text.split(",").map((part) => {
    const match = /^(0|[1-9][0-9]{0,9})(?:-(0|[1-9][0-9]{0,9}))?$/.exec(part);
    const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (match === null || to < from)
      throw new ClientError("BAD_RANGE", `"${text}" is no range of entries such as 3-5,8 or all`);
    return { from, to };
  });
}
