import { crypto, type KeyType, keyTypes, type PrivateKey } from "../crypto/crypto.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import type { CertificateRequest } from "../pki/csr.ts";
import { encodePrivateKey } from "../pki/keyFile.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import type { NewFile } from "./files.ts";
import { readSecret } from "./secrets.ts";

export interface NewKey {
  readonly key: PrivateKey;
  readonly pkcs8: Uint8Array;
  /** The key file, encrypted when a passphrase was given. */
  readonly pem: string;
}

/** Makes a private key. */
export async function makeKey(type: KeyType, passphrase: string | undefined): Promise<NewKey> {
  const pkcs8 = await crypto().generatePrivateKey(type);
  return {
    key: crypto().importPrivateKey(pkcs8),
    pkcs8,
    pem: await encodePrivateKey(pkcs8, {
      random: systemRandom,
      ...(passphrase === undefined ? {} : { passphrase }),
    }),
  };
}

/**
 * The key that a certificate is to be issued for: that of a request, or a new one with the file that it is written to.
 *
 * @param of.whose ends the progress line, such as ` for alice`
 * @param of.alone see `newPassphrase`
 */
export async function subjectKey(
  args: Arguments,
  of: {
    readonly request: CertificateRequest | undefined;
    readonly keyType: KeyType;
    readonly path: string;
    readonly whose: string;
    readonly alone: boolean;
    /** As `NewFile` takes it. */
    readonly replace: { readonly replace?: true };
  },
): Promise<{ spki: Uint8Array; files: readonly NewFile[] }> {
  if (of.request !== undefined) return { spki: of.request.publicKey.spki, files: [] };
  const passphrase = await newPassphrase(args, of.path, of.alone);
  process.stdout.write(`[*] Generating ${of.keyType} private key${of.whose}...\n`);
  const { key, pem } = await makeKey(of.keyType, passphrase);
  return { spki: key.spki, files: [{ path: of.path, content: pem, mode: 0o600, ...of.replace }] };
}

/** @throws {CliError} exit code 2 */
export function keyTypeFlag(args: Arguments): KeyType {
  const name = args.text("key-type") ?? "p256";
  const type = keyTypes.find((known) => known === name);
  if (type === undefined) throw usageError(`--key-type must be one of ${keyTypes.join(", ")}, not "${name}"`);
  return type;
}

/**
 * The passphrase that a new key is to have: from `--key-passphrase-file`, `SECURECHAT_KEY_PASSPHRASE`, and where no other
 * key of the command has a passphrase, from `--passphrase-file` and `SECURECHAT_PASSPHRASE` as well: a CA's passphrase
 * must not become somebody else's by mistake.
 *
 * @param keyFile how the prompt names it
 * @param alone whether it is the only passphrase of the command
 * @returns `undefined` without `--encrypt`
 * @throws {CliError} exit code 2
 */
export async function newPassphrase(
  args: Arguments,
  keyFile: string,
  alone: boolean,
): Promise<string | undefined> {
  if (args.has("encrypt")) return await askNewPassphrase(args, keyFile, alone);
  if (args.has("key-passphrase-file")) throw usageError("--key-passphrase-file needs --encrypt");
  return undefined;
}

/** As `newPassphrase`, without asking for `--encrypt`. */
export async function askNewPassphrase(args: Arguments, keyFile: string, alone: boolean): Promise<string> {
  return await readSecret({
    args,
    flag: "key-passphrase-file",
    variable: "SECURECHAT_KEY_PASSPHRASE",
    ...(alone ? { otherwise: { flag: "passphrase-file", variable: "SECURECHAT_PASSPHRASE" } } : {}),
    prompt: `New passphrase for ${keyFile}`,
    confirm: true,
  });
}
