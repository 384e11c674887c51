import { encodeHex } from "../base/hex.ts";
import { type CertificateRequest, parseRequestFile } from "../pki/csr.ts";
import { formatIpAddress } from "../pki/hostName.ts";
import { PkiError } from "../pki/pkiError.ts";
import { keyTypeText, printFields } from "./certificateText.ts";
import { usageError } from "./cliError.ts";
import { readFile } from "./files.ts";

/**
 * Reads a PKCS#10 request, checks that whoever made it has the key, and prints what it asks for.
 *
 * @throws {CliError} exit code 2 when it is no request; {PkiError} when its signature is not good
 */
export function readRequest(file: string): CertificateRequest {
  const bytes = readFile(file, "certificate request");
  let request: CertificateRequest;
  try {
    request = parseRequestFile(bytes);
  } catch (error) {
    if (!(error instanceof PkiError) || error.code === "REQUEST_SIGNATURE_INVALID") throw error;
    throw usageError(`certificate request ${file}: ${error.message}`, error);
  }
  process.stdout.write("[*] The request is signed by the key that it is for. It asks for:\n");
  printFields(wishes(request));
  process.stdout.write("    Only the key is taken from it.\n");
  return request;
}

function wishes(request: CertificateRequest): readonly (readonly [string, string])[] {
  const { publicKey, keyDigest, subjectText, names, otherExtensions } = request;
  const alternative = [...names.emails, ...names.dnsNames, ...names.ipAddresses.map(formatIpAddress)];
  return [
    ["Key", `${keyTypeText(publicKey)} sha256:${encodeHex(keyDigest)}`],
    ["Subject", subjectText === "" ? "(none)" : subjectText],
    ...(alternative.length === 0 ? [] : [["Names", alternative.join(", ")] as const]),
    ...(otherExtensions.length === 0 ? [] : [["Extensions", otherExtensions.join(", ")] as const]),
  ];
}
