import { visible } from "../base/visible.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { makeOneTimePassword, oneTimePasswordMs } from "../server/oneTimePassword.ts";
import type { Account } from "../store/accountStore.ts";
import { hashPassword } from "../store/passwordHash.ts";
import type { Store } from "../store/store.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";
import { withExistingStore } from "./openStore.ts";
import { formatUserJson, formatUserTable } from "./userList.ts";

const accountsAtOnce = 500;
const usernamePattern = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const emailPattern = /^[^\s@]+@[^\s@]+$/;

interface Action {
  readonly run: (store: Store, name: string, args: Arguments) => Promise<void>;
  readonly takesName: boolean;
  readonly flags: readonly string[];
}

const actions: Readonly<Record<string, Action>> = {
  list: { run: list, takesName: false, flags: ["db", "json"] },
  add: { run: add, takesName: true, flags: ["db", "email"] },
  disable: {
    run: (store, name) => setDisabled(store, name, true),
    takesName: true,
    flags: ["db"],
  },
  enable: {
    run: (store, name) => setDisabled(store, name, false),
    takesName: true,
    flags: ["db"],
  },
  reset: { run: reset, takesName: true, flags: ["db", "allow-new-key"] },
};

/** `securechat serve users ACTION [NAME]`: on the store of a server, which may be running. */
export async function serveUsers(operands: readonly string[], args: Arguments): Promise<number> {
  const [verb = "", name, ...rest] = operands;
  const action = Object.hasOwn(actions, verb) ? actions[verb] : undefined;
  if (action === undefined)
    throw usageError(
      `"serve users" needs an action: ${Object.keys(actions).join(", ")}${verb === "" ? "" : `; not "${verb}"`}`,
    );
  const extra = action.takesName ? rest[0] : name;
  if (extra !== undefined) throw usageError(`unexpected argument "${extra}"`);
  if (action.takesName && name === undefined) throw usageError(`"serve users ${verb}" needs a username`);
  demandFlagsOf(`serve users ${verb}`, action.flags, args);
  await withExistingStore(args, (store) => action.run(store, name ?? "", args));
  return exitCodes.done;
}

async function list(store: Store, _: string, args: Arguments): Promise<void> {
  const accounts: Account[] = [];
  for (let after = 0; ; ) {
    const page = await store.control.list({ after, limit: accountsAtOnce });
    const last = page.at(-1);
    if (last === undefined) break;
    accounts.push(...page);
    after = last.id;
  }
  process.stdout.write(args.has("json") ? formatUserJson(accounts) : formatUserTable(accounts, Date.now()));
}

async function add(store: Store, username: string, args: Arguments): Promise<void> {
  const email = args.text("email");
  if (!usernamePattern.test(username))
    throw usageError(
      `"${username}" is no username: up to 32 of a-z, 0-9, ".", "_", "-", the first a letter or digit`,
    );
  if (email === undefined || email.length > 254 || !emailPattern.test(email))
    throw usageError('"serve users add" needs the address in the certificate: --email ADDRESS');
  const password = makeOneTimePassword(systemRandom);
  const passwordHash = await hashPassword(password);
  const nowMs = Date.now();
  const account = { email, username, passwordHash, oneTimeUntilMs: nowMs + oneTimePasswordMs, nowMs };
  if ((await store.control.add(account)) === "taken")
    throw new CliError(exitCodes.refused, `there is an account with the username ${username} or this email`);
  tellPassword(password, `account of ${username} added`);
}

async function setDisabled(store: Store, name: string, disabled: boolean): Promise<void> {
  const { id, username } = await find(store, name);
  await store.control.setDisabled({ account: id, disabled, nowMs: Date.now() });
  const consequence = disabled ? "disabled: its sessions end now, and logins are refused" : "enabled";
  process.stderr.write(`account of ${visible(username)} ${consequence}\n`);
}

async function reset(store: Store, name: string, args: Arguments): Promise<void> {
  const { id, username, disabled } = await find(store, name);
  const password = makeOneTimePassword(systemRandom);
  const nowMs = Date.now();
  await store.control.resetPassword({
    account: id,
    passwordHash: await hashPassword(password),
    oneTimeUntilMs: nowMs + oneTimePasswordMs,
    allowsNewKey: args.has("allow-new-key"),
    nowMs,
  });
  const still = disabled ? "; it is still disabled" : "";
  tellPassword(password, `password of ${visible(username)} reset, its sessions end now${still}`);
}

async function find(store: Store, name: string): Promise<Account> {
  const account = await (name.includes("@") ? store.accounts.byEmail(name) : store.accounts.byUsername(name));
  if (account === undefined)
    throw new CliError(exitCodes.refused, `there is no account "${name}"; see "securechat serve users list"`);
  return account;
}

/** The one time that it is shown: what is stored is its hash. */
function tellPassword(password: string, what: string): void {
  const hours = oneTimePasswordMs / 3_600_000;
  process.stderr.write(
    `${what}; one-time password, good for ${hours} hours and to choose another one with:\n`,
  );
  process.stdout.write(`${password}\n`);
}
