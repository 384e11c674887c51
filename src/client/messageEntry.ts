import type { PrivateKey } from "../crypto/crypto.ts";
import { sealMessage } from "../group/ratchet.ts";
import {
  associatedData,
  computeCommitment,
  type Entry,
  formatEntry,
  signEntry,
  type UnsignedEntry,
} from "../log/entry.ts";
import type { EpochKeys } from "./epochKeys.ts";

/** What a message entry turned out to be for this client. */
export type Received =
  | { readonly kind: "opened"; readonly opening: Uint8Array; readonly plaintext: Uint8Array }
  | { readonly kind: "outside" | "disputed" };

/**
 * Everything that makes words an entry of the log: commitment, ciphertext, signature.
 *
 * @param unsigned without its commitment
 * @param words.key the message key of the entry's place in the sender's chain
 * @param words.opening32 drawn once for these words; `nonce12` for every call
 * @returns the line to post
 */
export function sealEntry(
  unsigned: Omit<UnsignedEntry, "commitment">,
  words: { plaintext: Uint8Array; opening32: Uint8Array; nonce12: Uint8Array; key: Uint8Array },
  signer: PrivateKey,
): string {
  const { plaintext, opening32, nonce12, key } = words;
  const { conversation, sender, seqno } = unsigned;
  const commitment = computeCommitment({ opening: opening32, conversation, sender, seqno, plaintext });
  const committed = { ...unsigned, commitment };
  const ct = sealMessage({ key, nonce12, associatedData: associatedData(committed), opening32, plaintext });
  return formatEntry(signEntry(committed, ct, signer));
}

/**
 * Opens an entry that stands in the log and moves its sender's chain on, whatever came of it.
 *
 * @returns `disputed` when it doesn't open to what was committed to
 */
export function openEntry(keys: EpochKeys, entry: Entry): Received {
  const opened = keys.open(entry.sender, { associatedData: associatedData(entry), ct: entry.ct });
  keys.advance(entry.sender);
  if (opened === undefined) return { kind: "disputed" };
  const { conversation, sender, seqno } = entry;
  const commitment = computeCommitment({ ...opened, conversation, sender, seqno });
  return commitment === entry.commitment ? { kind: "opened", ...opened } : { kind: "disputed" };
}
