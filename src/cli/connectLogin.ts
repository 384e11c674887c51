import type { Client, OldCredential } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { AccountPassword } from "./accountPassword.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import type { Person } from "./connectIdentity.ts";
import { promptLine } from "./prompt.ts";

/** A login for which everything is known that has to be asked for. */
export interface PreparedLogin {
  /** @param ask gets the terminal for the questions that only the server's answer leads to */
  run(ask: <T>(questions: () => Promise<T>) => Promise<T>): Promise<void>;
}

export interface LoginInput {
  readonly person: Person;
  readonly passwords: AccountPassword;
  /** What the own certificate is to take the place of. */
  readonly from: OldCredential | undefined;
}

/** Everything that has to be known to log in or register. */
export async function askForLogin(
  client: Client,
  { person, passwords, from }: LoginInput,
  args: Arguments,
  isTerminal: boolean,
): Promise<PreparedLogin> {
  const { email, username, isNew } = isTerminal
    ? await askWho(person, args)
    : { ...person, isNew: args.has("register") };
  // Nothing keeps them after the login: who comes back does so with a ticket.
  let asked: { password: string; newPassword: string | undefined } | undefined = {
    password: await passwords.read(),
    newPassword: args.has("change-password") ? await passwords.readNew() : undefined,
  };
  return {
    async run(ask) {
      const { password = "", newPassword } = asked ?? {};
      asked = undefined;
      if (isNew) return await client.register({ email, username, password });
      if (from !== undefined) return await client.login({ email, password, from });
      const change = async (chosen: string) => {
        await client.login({ email, password, newPassword: chosen });
        passwords.replaced();
      };
      if (newPassword !== undefined) return await change(newPassword);
      try {
        await client.login({ email, password });
      } catch (error) {
        if (!(error instanceof ClientError && error.refusal === "PASSWORD_CHANGE_REQUIRED")) throw error;
        await change(
          await ask(() => {
            if (isTerminal) process.stderr.write("This is a one-time password: choose your own.\n");
            return passwords.readNew();
          }),
        );
      }
    },
  };
}

async function askWho(person: Person, args: Arguments): Promise<Person & { isNew: boolean }> {
  if (args.has("register") || args.has("login") || args.has("renew-from"))
    return { ...person, isNew: args.has("register") };
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
