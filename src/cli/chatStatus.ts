import type { MemberClient } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { ChatSession } from "./chatSession.ts";
import type { ChatSource } from "./terminalChat.ts";
import type { Vocabulary } from "./terminalCompletion.ts";
import type { MemberMark } from "./terminalStatus.ts";

/** What a terminal's status line and completion get to know of a session. */
export function sourceOf(session: ChatSession, options: { raw: boolean }): ChatSource {
  return {
    status: () => ({
      self: session.client.username,
      peer: session.peer?.name,
      others: marksOf(session),
      unsent: session.unsent.length,
    }),
    unsentFor: (ms) => {
      const since = performance.now() - ms;
      return session.unsent.filter(({ typedAtMs }) => typedAtMs <= since);
    },
    vocabulary: () => ({ commands: options.raw ? [] : commandWords(session), names: namesOf(session) }),
  };
}

/** One mark for each other person: what one of their devices has received or signed for, they have. */
function marksOf({ client, peer }: ChatSession): readonly MemberMark[] {
  if (peer === undefined) return [];
  const marks = new Map<string, MemberMark>();
  for (const member of membersOf(client, peer.conversation)) {
    const { username: name, left, deliveredSize, signedSize, statementSize } = member;
    if (left || name === client.username) continue;
    const other = marks.get(name);
    marks.set(name, {
      name,
      deliveredSize: highest(deliveredSize, other?.deliveredSize),
      signedSize: Math.max(signedSize, other?.signedSize ?? 0),
      statementSize: Math.min(statementSize, other?.statementSize ?? statementSize),
    });
  }
  return [...marks.values()];
}

function highest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}

function membersOf(
  client: MemberClient,
  conversation: Parameters<MemberClient["members"]>[0],
): ReturnType<MemberClient["members"]> {
  return known(() => client.members(conversation));
}

/** A conversation may be about to be read from the vault again, or the client to give way to another: then nothing is known for a moment. */
function known<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof ClientError) return [];
    throw error;
  }
}

function commandWords({ commands }: ChatSession): Vocabulary["commands"] {
  return [
    ...commands.map(({ name, takesNames = false }) => ({ name, takesNames })),
    { name: "quit", takesNames: false },
  ];
}

function namesOf({ client, takesAddresses }: ChatSession): string[] {
  const conversations = known(() => client.conversations());
  const people = conversations.flatMap(({ conversation }) =>
    membersOf(client, conversation).map(({ username }) => username),
  );
  const names = new Set([...conversations.map(({ name }) => name), ...people]);
  names.delete(client.username);
  return takesAddresses ? [...names, ...[...names].map((name) => `@${name}`)] : [...names];
}
