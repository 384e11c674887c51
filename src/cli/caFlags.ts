import { existsSync } from "node:fs";
import { type Hex, isHex } from "../base/hex.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type AuthorityFiles, existingAuthorityFiles } from "./authorityFiles.ts";
import type { Arguments } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";

/** The authority that `ca` works on: `--cert` and `--key`. */
export function caFiles(args: Arguments): AuthorityFiles {
  return existingAuthorityFiles(args.text("cert"), args.text("key"));
}

/**
 * What the operator means by CERT: a file, or where there is none of that name, a serial number as `ca list` prints it or
 * as OpenSSL does (capitals, colons).
 *
 * @throws {CliError} exit code 2
 */
export function readTarget(operand: string): Certificate | Hex {
  const serial = operand.replaceAll(":", "").toLowerCase();
  const magnitude = serial.replace(/^(?:00)+(?=..)/, "");
  if (!existsSync(operand) && serial.length >= 2 && isHex(serial) && isHex(magnitude)) return magnitude;
  return readCertificates(operand, "certificate")[0];
}
