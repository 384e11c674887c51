import { statSync } from "node:fs";
import type { PrivateKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { decodePrivateKey, keyMatchesCertificate } from "../pki/keyFile.ts";
import { parsePem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { readText } from "./files.ts";
import { readSecret } from "./secrets.ts";
import { printWarning } from "./warning.ts";

/**
 * Reads a PEM file with at least one certificate.
 *
 * @param what how messages name it, e.g. "CA certificate"
 * @param hint what to do when the file isn't there
 * @throws {CliError} exit code 2
 */
export function readCertificates(
  file: string,
  what: string,
  hint = "",
): readonly [Certificate, ...Certificate[]] {
  const text = readText(file, what, hint);
  const [first, ...rest] = unusable(`${what} ${file}`, () =>
    parsePem(text, "CERTIFICATE").map(decodeCertificate),
  );
  if (first === undefined) throw usageError(`${what} ${file} holds no PEM certificate`);
  return [first, ...rest];
}

/**
 * Reads a private key; an encrypted one asks for its passphrase. Warns when others on this machine can read the file.
 *
 * @throws {CliError} exit code 2: not there, not a key, wrong passphrase
 */
export async function readPrivateKey(
  file: string,
  what: string,
  args: Arguments,
  hint = "",
): Promise<PrivateKey> {
  return (await readKeyFile(file, what, args, hint)).key;
}

export interface KeyFile {
  readonly key: PrivateKey;
  /** The file as it was read. */
  readonly pem: string;
  /** What it is encrypted with; `undefined`: nothing. */
  readonly passphrase: string | undefined;
}

/** As `readPrivateKey`, with what is needed to write the file again. */
export async function readKeyFile(file: string, what: string, args: Arguments, hint = ""): Promise<KeyFile> {
  const pem = readText(file, what, hint);
  warnIfExposed(file);
  try {
    return { key: await decodePrivateKey(pem), pem, passphrase: undefined };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    if (error.code !== "PASSPHRASE_REQUIRED") throw usageError(`${what} ${file}: ${error.message}`, error);
  }
  const passphrase = await readSecret({
    args,
    flag: "passphrase-file",
    variable: "SECURECHAT_PASSPHRASE",
    prompt: `Passphrase for ${file}`,
  });
  try {
    return { key: await decodePrivateKey(pem, passphrase), pem, passphrase };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw usageError(`${what} ${file}: ${error.message}`, error);
  }
}

/**
 * A warning and no refusal: secrets that a container platform mounts are often readable to all in there, and whoever
 * can't change that would only copy the key. Windows has no such modes.
 */
function warnIfExposed(file: string): void {
  const mode = statSync(file).mode & 0o777;
  if (process.platform === "win32" || (mode & 0o077) === 0) return;
  printWarning(
    `private key ${file} is open to other users of this machine (mode ${mode.toString(8).padStart(4, "0")}); run "chmod 600 ${file}"`,
  );
}

export interface Credential {
  /** Leaf first, then what the file holds behind it. */
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly key: PrivateKey;
}

/** Reads a certificate file and the key that must belong to its first certificate. @throws {CliError} exit code 2 */
export async function readCredential(
  files: { cert: string; key: string; who: string },
  args: Arguments,
): Promise<Credential> {
  const hint = 'make one with "securechat issue"';
  const chain = readCertificates(files.cert, `${files.who} certificate`, hint);
  const key = await readPrivateKey(files.key, `${files.who} private key`, args, hint);
  if (!keyMatchesCertificate(key, chain[0]))
    throw usageError(`private key ${files.key} does not belong to certificate ${files.cert}`);
  return { chain, key };
}

function unusable<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw usageError(`${what}: ${error.message}`, error);
  }
}
