import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { maxPlaintextBytes } from "../log/entry.ts";
import { ClientError } from "./clientError.ts";

/** @returns the bytes that are signed for @throws {ClientError} `TEXT_REFUSED` too long, or a lone surrogate, which has no UTF-8 */
export function encodePlaintext(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new ClientError("TEXT_REFUSED", "the text is not well-formed Unicode");
  const bytes = encodeUtf8(text);
  if (bytes.length > maxPlaintextBytes)
    throw new ClientError(
      "TEXT_REFUSED",
      `a message has at most ${maxPlaintextBytes} bytes, this has ${bytes.length}`,
    );
  return bytes;
}

/** @param content as `encodePlaintext` gave it @returns the text, to the character: a byte order mark in front is one */
export function decodePlaintext(content: Uint8Array): string {
  return decodeUtf8(content) ?? "";
}
