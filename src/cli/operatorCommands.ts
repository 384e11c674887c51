import { visible } from "../base/visible.ts";
import { ClientError } from "../client/clientError.ts";
import type { OnlineMember } from "../server/server.ts";
import { type ChatCommand, type ChatTarget, chatCommands } from "./chatCommands.ts";

/** The chat's commands for the server's operator, and those that only who runs the server can have. */
export function operatorCommands(online: () => readonly OnlineMember[]): readonly ChatCommand[] {
  return [
    { name: "list", usage: "/list", help: "who is logged in", run: (session) => list(session, online()) },
    {
      name: "broadcast",
      usage: "/broadcast TEXT",
      help: "say it to everybody who is logged in, each in their own conversation",
      run: (session, _args, text) => broadcast(session, online(), text),
    },
    ...chatCommands,
  ];
}

function list({ client, view }: ChatTarget, online: readonly OnlineMember[]): void {
  const conversations = client.conversations().filter(({ kind, closed }) => kind === "direct" && !closed);
  const rows = online
    .map(({ username, email, address, sinceMs }) => {
      const found = conversations.find(({ name }) => name === username);
      const conversation = found?.conversation ?? null;
      return { username, email, since: sinceMs, address, conversation, entries: found?.size ?? 0 };
    })
    .sort((a, b) => (a.username < b.username ? -1 : 1));
  view.answer(
    rows.length === 0
      ? ["  Nobody is logged in."]
      : rows.map(({ username, email, since, address, conversation, entries }) => {
          const who = `${visible(username)} <${visible(email)}>`;
          const talk =
            conversation === null
              ? "no conversation"
              : `${conversation} (${entries === 1 ? "1 entry" : `${entries} entries`})`;
          return `  ${who} since ${new Date(since).toISOString()} from ${address}: ${talk}`;
        }),
    { event: "list", members: rows },
  );
}

async function broadcast(session: ChatTarget, online: readonly OnlineMember[], text: string): Promise<void> {
  if (text.trim() === "") throw new ClientError("TEXT_REFUSED", "it is used as /broadcast TEXT");
  if (online.length === 0) throw new ClientError("NO_SUCH_PERSON", "nobody is logged in");
  const names: string[] = [];
  for (const { username } of online) if (await session.say(username, text)) names.push(username);
  session.view.answer([`  Said to: ${names.map((name) => visible(name)).join(", ")}`], {
    event: "broadcast",
    to: names,
  });
}
