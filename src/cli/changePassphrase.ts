import { realpathSync } from "node:fs";
import { systemRandom } from "../crypto/systemRandom.ts";
import { decodePrivateKeyInfo, encodePrivateKey } from "../pki/keyFile.ts";
import { pemBlocks } from "../pki/pem.ts";
import { exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { readKeyFile } from "./credentialFiles.ts";
import { writeNewFiles } from "./files.ts";
import { askNewPassphrase } from "./newKey.ts";

/** `securechat issue --change-passphrase KEYFILE`: the same key under another passphrase, or under its first one. */
export async function changePassphrase(args: Arguments): Promise<number> {
  const named = args.text("change-passphrase") ?? "";
  const { pem, passphrase } = await readKeyFile(named, "private key", args);
  if (pemBlocks(pem).length > 1)
    throw usageError(`${named} holds more than a key; put the key into a file of its own first`);
  const renewed = await askNewPassphrase(args, named, passphrase === undefined);
  const pkcs8 = await decodePrivateKeyInfo(pem, passphrase);
  const content = await encodePrivateKey(pkcs8, { random: systemRandom, passphrase: renewed });
  pkcs8.fill(0);
  // What a link points to is replaced, not the link.
  writeNewFiles([{ path: realpathSync(named), content, mode: 0o600, replace: true }]);
  process.stdout.write(
    `[+] ${named} is encrypted with ${passphrase === undefined ? "a" : "the new"} passphrase now\n`,
  );
  return exitCodes.done;
}
