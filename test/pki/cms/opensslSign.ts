import { readFileSync } from "node:fs";
import { requireOpenssl } from "./openssl.ts";
import type { Parties, PartyFiles } from "./parties.ts";
import { content } from "./signing.ts";

let files = 0;

/** @returns what `openssl cms -sign` makes over `content`, detached unless told otherwise */
export function opensslSign(parties: Parties, party: PartyFiles, ...options: readonly string[]): Uint8Array {
  const input = parties.write(`openssl${files++}`, content);
  const output = `${input}.p7s`;
  requireOpenssl(
    ...["cms", "-sign", "-binary", "-md", "sha256", "-in", input, "-outform", "DER", "-out", output],
    ...["-signer", party.certificateFile, "-inkey", party.keyFile, ...options],
  );
  return new Uint8Array(readFileSync(output));
}
