import { changePassphrase } from "./changePassphrase.ts";
import { usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";
import { issueNew } from "./issueNew.ts";
import { renew } from "./issueRenew.ts";
import { request } from "./issueRequest.ts";

const nameFlags = ["cn", "email", "server", "dns", "ip", "out", "force"];
const keyFlags = ["key-type", "encrypt", "passphrase-file", "key-passphrase-file"];
const caFlags = ["days", "new-key", "ca-cert", "ca-key"];

/** `securechat issue`: a certificate, or one of the steps around it. */
export async function issue(args: Arguments): Promise<number> {
  if (args.positionals.length > 0) throw usageError(`unexpected argument "${args.positionals[0]}"`);
  if (args.has("change-passphrase")) {
    demandFlagsOf(
      "issue --change-passphrase",
      ["change-passphrase", "passphrase-file", "key-passphrase-file"],
      args,
    );
    return await changePassphrase(args);
  }
  if (args.has("request")) {
    demandFlagsOf("issue --request", ["request", ...nameFlags, ...keyFlags], args);
    return await request(args);
  }
  if (args.has("renew")) {
    demandFlagsOf("issue --renew", ["renew", "csr", "out", "force", ...keyFlags, ...caFlags], args);
    return await renew(args);
  }
  if (args.has("csr")) {
    demandFlagsOf("issue --csr", ["csr", ...nameFlags, ...caFlags, "passphrase-file"], args);
    return await issueNew(args);
  }
  demandFlagsOf("issue", [...nameFlags, ...keyFlags, ...caFlags], args);
  return await issueNew(args);
}
