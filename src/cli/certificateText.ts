import { visible } from "../base/visible.ts";
import type { PublicKey } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import { isoTime } from "./authorityFiles.ts";

/** Prints lines of a name and a value, indented below what they belong to. */
export function printFields(fields: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of fields) process.stdout.write(`    ${`${name}:`.padEnd(13)}${visible(value)}\n`);
}

/** The lines that follow every certificate which was made or asked for. */
export function printCertificate(
  certificate: Certificate,
  certFile: string,
  keyFile: string | undefined,
): void {
  printFields([
    ["Certificate", certFile],
    ...(keyFile === undefined ? [] : [["Private key", keyFile] as const]),
    ["Subject", certificate.subjectText],
    ["Serial", certificate.serial],
    ["Fingerprint", `sha256:${certificate.fingerprint}`],
    ["Valid from", isoTime(certificate.notBeforeMs)],
    ["Valid until", isoTime(certificate.notAfterMs)],
  ]);
}

export function keyTypeText({ type, bits }: PublicKey): string {
  return type === "rsa" ? `rsa${bits}` : type;
}
