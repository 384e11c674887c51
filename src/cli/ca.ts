import { init } from "./caInit.ts";
import { intermediate } from "./caIntermediate.ts";
import { list } from "./caList.ts";
import { revokeCertificate, signCrl } from "./caRevoke.ts";
import { show } from "./caShow.ts";
import { usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";

interface Action {
  readonly run: (args: Arguments, operand: string | undefined) => Promise<number> | number;
  /** The operand behind the action, if it takes one. */
  readonly operand?: "needed" | "optional";
  readonly flags: readonly string[];
}

const newKeyFlags = ["name", "days", "key-type", "encrypt", "force", "passphrase-file"];

const actions: Readonly<Record<string, Action>> = {
  init: { run: init, flags: ["cert", "key", "intermediates", ...newKeyFlags] },
  intermediate: {
    run: intermediate,
    flags: ["cert", "key", "out", "request", "csr", "new-key", "key-passphrase-file", ...newKeyFlags],
  },
  revoke: { run: revokeCertificate, operand: "needed", flags: ["cert", "key", "reason", "at"] },
  crl: { run: signCrl, flags: ["cert", "key", "days", "out", "passphrase-file"] },
  list: { run: list, flags: ["cert", "key", "json"] },
  show: { run: show, operand: "optional", flags: ["cert", "key"] },
};

/** `securechat ca ACTION` */
export async function ca(args: Arguments): Promise<number> {
  const [name, operand, ...rest] = args.positionals;
  const names = Object.keys(actions).join(", ");
  const action = name !== undefined && Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined)
    throw usageError(`"ca" needs an action: ${names}${name === undefined ? "" : `; not "${name}"`}`);
  const extra = action.operand === undefined ? operand : rest[0];
  if (extra !== undefined) throw usageError(`unexpected argument "${extra}"`);
  if (action.operand === "needed" && operand === undefined)
    throw usageError(`"ca ${name}" needs a certificate: its file or its serial number`);
  demandFlagsOf(`ca ${name}`, action.flags, args);
  return await action.run(args, operand);
}
