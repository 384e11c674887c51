import { encodeHex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { crypto, type KeyType, keyTypes, sha256 } from "../crypto/crypto.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { createRootCertificate } from "../pki/issue.ts";
import { encodePrivateKey } from "../pki/keyFile.ts";
import { formatPem } from "../pki/pem.ts";
import { caIndexFile, updateCaIndex } from "./caIndex.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import { writeNewFiles } from "./files.ts";
import { readSecret } from "./secrets.ts";

export const dayMs = 86_400_000;

/** `securechat ca ACTION` */
export async function ca(args: Arguments): Promise<number> {
  const [action, ...rest] = args.positionals;
  if (rest.length > 0) throw usageError(`unexpected argument "${rest[0]}"`);
  switch (action) {
    case "init":
      return await init(args);
    case "show":
      return show(args);
    default:
      throw usageError(
        `"ca" needs an action, init or show${action === undefined ? "" : `, not "${action}"`}`,
      );
  }
}

async function init(args: Arguments): Promise<number> {
  const certFile = args.text("cert") ?? "certs/ca_cert.pem";
  const keyFile = args.text("key") ?? "certs/ca_key.pem";
  const keyType = keyTypeFlag(args);
  const days = integerFlag(args, "days", { min: 1, max: 36_500, fallback: 3650 });
  const passphrase = args.has("encrypt")
    ? await readSecret({
        args,
        flag: "passphrase-file",
        variable: "SECURECHAT_PASSPHRASE",
        prompt: "New passphrase for the CA key",
        confirm: true,
      })
    : undefined;

  process.stdout.write(`[*] Generating ${keyType} private key...\n`);
  const pkcs8 = await crypto().generatePrivateKey(keyType);
  process.stdout.write("[*] Generating self-signed root certificate...\n");
  const notBeforeMs = Math.floor(Date.now() / 1000) * 1000;
  const certificate = decodeCertificate(
    createRootCertificate({
      name: args.text("name") ?? "SecureChat Root CA",
      keyPkcs8: pkcs8,
      notBeforeMs,
      notAfterMs: notBeforeMs + days * dayMs,
      random: systemRandom,
      intermediates: args.has("intermediates"),
    }),
  );
  const keyPem = await encodePrivateKey(pkcs8, {
    random: systemRandom,
    ...(passphrase === undefined ? {} : { passphrase }),
  });
  writeNewFiles(
    [
      { path: keyFile, content: keyPem, mode: 0o600 },
      { path: certFile, content: formatPem("CERTIFICATE", certificate.der), mode: 0o644 },
    ],
    args.has("force"),
  );
  // A new CA starts a new index: what another key issued is not this CA's business.
  await updateCaIndex(caIndexFile(keyFile), async () => [
    {
      serial: certificate.serial,
      fingerprint: certificate.fingerprint,
      kind: "ca" as const,
      name: certificate.commonName ?? "",
      email: "",
      key: encodeHex(sha256(certificate.publicKey.spki)),
      not_before: certificate.notBeforeMs,
      not_after: certificate.notAfterMs,
      issued_at: Date.now(),
      revoked: null,
    },
  ]);
  process.stdout.write("[+] Root CA created successfully!\n");
  printCertificate(certificate, certFile, keyFile);
  return exitCodes.done;
}

function show(args: Arguments): number {
  const certFile = args.text("cert") ?? "certs/ca_cert.pem";
  const [certificate] = readCertificates(certFile, "CA certificate", 'make one with "securechat ca init"');
  printCertificate(certificate, certFile, undefined);
  return exitCodes.done;
}

/** @throws {CliError} exit code 2 */
export function keyTypeFlag(args: Arguments): KeyType {
  const name = args.text("key-type") ?? "p256";
  const type = keyTypes.find((known) => known === name);
  if (type === undefined) throw usageError(`--key-type must be one of ${keyTypes.join(", ")}, not "${name}"`);
  return type;
}

/** The lines that follow every certificate which was made or asked for. */
export function printCertificate(
  certificate: Certificate,
  certFile: string,
  keyFile: string | undefined,
): void {
  const iso = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");
  const lines = [
    ["Certificate", certFile],
    ...(keyFile === undefined ? [] : [["Private key", keyFile]]),
    ["Subject", visible(certificate.subjectText)],
    ["Serial", certificate.serial],
    ["Fingerprint", `sha256:${certificate.fingerprint}`],
    ["Valid from", iso(certificate.notBeforeMs)],
    ["Valid until", iso(certificate.notAfterMs)],
  ];
  for (const [name, value] of lines) process.stdout.write(`    ${`${name}:`.padEnd(13)}${value}\n`);
}
