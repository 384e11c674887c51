import { decodeBase64, encodeBase64 } from "../base/base64.ts";
import { PkiError } from "./pkiError.ts";

const maxPemChars = 8 * 1024 * 1024;
const maxBlocks = 1024;
const begin = /^-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,62}[A-Z0-9])-----$/;

/**
 * Reads the blocks with this label (RFC 7468 §3, lax form: text between blocks is skipped, lines end in LF or CRLF,
 * trailing blanks are dropped, base64 lines have any length). Blocks with other labels are skipped, but must be whole.
 * The text comes from files and from people; headers inside of a block (RFC 1421 encryption) are refused.
 *
 * @returns the content of each block, in order; none is not an error
 * @throws {PkiError} `PEM_MALFORMED`, `TOO_LARGE` (over 8 Mi characters or 1024 blocks)
 */
export function parsePem(text: string, label: string): Uint8Array[] {
  return pemBlocks(text)
    .filter((block) => block.label === label)
    .map((block) => block.der);
}

/** As `parsePem`, all blocks with their labels. */
export function pemBlocks(text: string): { label: string; der: Uint8Array }[] {
  if (text.length > maxPemChars) throw new PkiError("TOO_LARGE", `PEM text of ${text.length} characters`);
  const blocks: { label: string; der: Uint8Array }[] = [];
  let label: string | undefined;
  let base64: string[] = [];
  for (const rawLine of text.split("\n")) {
    const line = rawLine.trimEnd();
    if (label === undefined) {
      label = begin.exec(line)?.[1];
      // A damaged marker must not make a block vanish in the text around it.
      if (label === undefined && line.includes("-----BEGIN"))
        throw malformed("a BEGIN line with something else in it");
      if (label === undefined && line.includes("-----END")) throw malformed("END without BEGIN");
      base64 = [];
    } else if (line === `-----END ${label}-----`) {
      const der = decodeBase64(base64.join(""));
      if (der === undefined || der.length === 0) throw malformed(`${label}: the content is not base64`);
      if (blocks.length === maxBlocks) throw new PkiError("TOO_LARGE", `more than ${maxBlocks} PEM blocks`);
      blocks.push({ label, der });
      label = undefined;
    } else if (line.startsWith("-----") || line.includes(":")) {
      throw malformed(`${label}: a marker or header inside of the block`);
    } else base64.push(line);
  }
  if (label !== undefined) throw malformed(`${label}: no END line`);
  return blocks;
}

/** @returns the block in the strict form of RFC 7468: 64 columns, LF */
export function formatPem(label: string, der: Uint8Array): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.map((line) => `${line}\n`).join("")}-----END ${label}-----\n`;
}

function malformed(what: string): PkiError {
  return new PkiError("PEM_MALFORMED", `not PEM: ${what}`);
}
