import type { Client } from "../client/client.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import type { Person } from "./connectIdentity.ts";
import { promptLine } from "./prompt.ts";
import { readSecret } from "./secrets.ts";

/** Everything that has to be known to log in or register. @returns what does it, and asks nothing any more */
export async function askForLogin(
  client: Client,
  person: Person,
  args: Arguments,
  isTerminal: boolean,
): Promise<() => Promise<void>> {
  const { email, username, isNew } = isTerminal
    ? await askWho(person, args)
    : { ...person, isNew: args.has("register") };
  const password = await readSecret({
    args,
    flag: "password-file",
    variable: "SECURECHAT_PASSWORD",
    prompt: "Password",
  });
  return () => (isNew ? client.register({ email, username, password }) : client.login({ email, password }));
}

async function askWho(person: Person, args: Arguments): Promise<Person & { isNew: boolean }> {
  if (args.has("register") || args.has("login")) return { ...person, isNew: args.has("register") };
  const answer = (await promptLine("Register or Login? (r/l): ", "l")).toLowerCase();
  if (!/^(r|register|l|login)$/.test(answer)) throw usageError('answer "r" to register or "l" to log in');
  const isNew = answer.startsWith("r");
  const email = args.text("email") ?? (await promptLine(`Email (default: ${person.email}): `, person.email));
  const username = isNew
    ? (args.text("username") ??
      (await promptLine(`Username (default: ${person.username}): `, person.username)))
    : person.username;
  if (username !== person.username || email !== person.email)
    throw usageError(
      `the certificate is that of ${person.username} <${person.email}>, not of ${username} <${email}>`,
    );
  return { username, email, isNew };
}
