import type { PrivateKey } from "../crypto/crypto.ts";
import { decodePrivateKey, keyMatchesCertificate } from "../pki/keyFile.ts";
import { PkiError } from "../pki/pkiError.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { type Credential, readCertificates, readKeyFile } from "./credentialFiles.ts";
import { readText } from "./files.ts";

const hint = 'make one with "securechat issue"';

/** The certificate and key files of a server, which it reads again when it is told to. */
export class ServerCredential {
  readonly certFile: string;
  readonly keyFile: string;
  readonly first: Credential;
  /** Nobody is there to ask for it when the files are read again. */
  readonly #passphrase: string | undefined;

  private constructor(
    files: { cert: string; key: string },
    first: Credential,
    passphrase: string | undefined,
  ) {
    this.certFile = files.cert;
    this.keyFile = files.key;
    this.first = first;
    this.#passphrase = passphrase;
  }

  /** Asks for the passphrase of an encrypted key. @throws {CliError} exit code 2 */
  static async open(files: { cert: string; key: string }, args: Arguments): Promise<ServerCredential> {
    const chain = readCertificates(files.cert, "server certificate", hint);
    const { key, passphrase } = await readKeyFile(files.key, "server private key", args, hint);
    return new ServerCredential(files, matched({ chain, key }, files), passphrase);
  }

  /** What the files hold now; an encrypted key has the passphrase of the first. @throws {CliError} */
  async read(): Promise<Credential> {
    const { certFile: cert, keyFile: file } = this;
    const chain = readCertificates(cert, "server certificate", hint);
    const pem = readText(file, "server private key", hint);
    let key: PrivateKey;
    try {
      key = await decodePrivateKey(pem, this.#passphrase);
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      throw usageError(`server private key ${file}: ${error.message}`, error);
    }
    return matched({ chain, key }, { cert, key: file });
  }
}

function matched(credential: Credential, files: { cert: string; key: string }): Credential {
  if (!keyMatchesCertificate(credential.key, credential.chain[0]))
    throw usageError(`private key ${files.key} does not belong to certificate ${files.cert}`);
  return credential;
}
