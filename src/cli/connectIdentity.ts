import { dirname, join } from "node:path";
import { personOf } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import type { Credential } from "./credentialFiles.ts";
import { promptLine } from "./prompt.ts";

export interface Person {
  readonly username: string;
  readonly email: string;
}

/** Where the own certificate and key are: told by flags, or asked for on a terminal. */
export async function ownFiles(args: Arguments, isTerminal: boolean): Promise<{ cert: string; key: string }> {
  const name = args.text("as");
  const cert = args.text("cert");
  const key = args.text("key");
  if (name !== undefined) {
    if (cert !== undefined || key !== undefined)
      throw usageError("--as stands for --cert and --key, use one or the other");
    return { cert: `certs/${name}_cert.pem`, key: `certs/${name}_key.pem` };
  }
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (!isTerminal) throw usageError("name your certificate: --as NAME, or --cert FILE and --key FILE");
  const certificate =
    cert ??
    (await promptLine("Certificate path (default: certs/client_cert.pem): ", "certs/client_cert.pem"));
  const likely = certificate.replace(/_cert\.pem$/, "_key.pem");
  const fallback = likely === certificate ? "certs/client_key.pem" : likely;
  return { cert: certificate, key: key ?? (await promptLine(`Key path (default: ${fallback}): `, fallback)) };
}

/** The certificate says who somebody is; flags that say otherwise are a mistake that the server would refuse. */
export function ownPerson({ chain }: Credential, file: string, args: Arguments): Person {
  try {
    const person = personOf(chain[0]);
    const username = args.text("username") ?? person.username;
    const email = args.text("email") ?? person.email;
    if (username !== person.username || email !== person.email)
      throw usageError(
        `certificate ${file} is that of ${person.username} <${person.email}>, not of ${username} <${email}>`,
      );
    return { username, email };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw usageError(`certificate ${file}: ${error.message}`, error);
  }
}

export function vaultBeside(keyFile: string): string {
  const name = keyFile.replace(/^.*[\\/]/, "").replace(/(?:_key)?\.pem$/, "");
  return join(dirname(keyFile), `${name}_vault.db`);
}
