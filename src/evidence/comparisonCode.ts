import { encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";

const groups = 8;
const digitsPerGroup = 5;
const digits = groups * digitsPerGroup;

/** A prefix of a log, as its holder has verified it. */
export interface ComparedPrefix {
  readonly conversation: Hex;
  /** From 1. */
  readonly size: number;
  readonly root: Hex;
}

/**
 * What two members read to each other, over a telephone say, to find out whether they were shown the same log. Both take the
 * same size, the smaller of theirs: logs of different lengths have different codes although one continues the other.
 *
 * 40 digits are 132 bits. The server can vary both logs (it sets the times of receipt), so what counts is the work
 * to find two logs with one code: about 2^66 codes. Who can vary one log only needs about 2^132.
 *
 * @returns eight groups of five decimal digits with a space between:
 *  SHA-256(`securechat/2 compare\n<conversation>\n<size>\n<root>\n`) as a big-endian number modulo 10^40
 */
export function comparisonCode({ conversation, size, root }: ComparedPrefix): string {
  const hash = sha256(encodeUtf8(`${labels.comparison}\n${conversation}\n${size}\n${root}\n`));
  const number = BigInt(`0x${encodeHex(hash)}`) % 10n ** BigInt(digits);
  return (
    number
      .toString()
      .padStart(digits, "0")
      .match(/[0-9]{5}/g) ?? []
  ).join(" ");
}
