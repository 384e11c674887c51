import { readFileSync } from "node:fs";
import { decodeBase64 } from "../../src/base/base64.ts";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import type { Hex } from "../../src/base/hex.ts";
import { type Collection, collections, Vault } from "../../src/client/vault.ts";
import { decodeRecord, keyPackageSchema } from "../../src/client/vaultRecords.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { deriveChain, messageKey, nextChain, openMessage } from "../../src/group/ratchet.ts";
import { associatedData, computeCommitment, type Entry } from "../../src/log/entry.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import { decodePrivateKey } from "../../src/pki/keyFile.ts";

/** A message of the transcript, and the words that were said in it, which the searcher is told. */
export interface Sought {
  readonly index: number;
  readonly entry: Entry;
  readonly words: string;
}

/** What stands somewhere in the bytes that were searched: indexes of entries. */
export interface Loot {
  /** A key that opens the message. */
  readonly keys: readonly number[];
  /** The opening of its commitment. */
  readonly openings: readonly number[];
  /** The words themselves. */
  readonly words: readonly number[];
}

/** `keys`: the bytes are taken for message keys only. `secrets`: also for chains, seeds of an epoch and openings. */
type Depth = "keys" | "secrets";

const secretBytes = 32;

/** @returns every value of a vault in clear, as its owner reads it; of key packages the private half */
export async function dumpVault(file: string, keyFile: string): Promise<Uint8Array[]> {
  const key = await decodePrivateKey(readFileSync(keyFile, "utf8"));
  const vault = Vault.open({ file, key, random: systemRandom });
  try {
    return collections.flatMap((collection) =>
      vault.list(collection).map(({ value }) => clear(collection, value)),
    );
  } finally {
    vault.close();
  }
}

/** The public half of a key package is no secret: the server has it, and what the server has is searched as well. */
function clear(collection: Collection, value: Uint8Array): Uint8Array {
  return collection === "keyPackage" ? decodeRecord(keyPackageSchema, value, collection).private : value;
}

/** @param words of the messages in their order */
export function messagesOf(transcriptFile: string, words: readonly string[]): readonly Sought[] {
  return readFileSync(transcriptFile, "utf8")
    .trimEnd()
    .split("\n")
    .map(parseTranscriptLine)
    .filter(({ entry }) => entry.kind === "message")
    .map(({ index, entry }, position) => ({ index, entry, words: words[position] ?? "" }));
}

/**
 * Takes every 32 bytes that stand anywhere in `values`, or in what the strings in there decode to, for a secret of every
 * kind that there is, and tries it on every message.
 */
export function search(values: readonly Uint8Array[], messages: readonly Sought[], depth: Depth): Loot {
  const loot = { keys: new Set<number>(), openings: new Set<number>(), words: new Set<number>() };
  const sealed = messages.map(({ index, entry }) => ({
    index,
    parts: { associatedData: associatedData(entry), ct: entry.ct },
  }));
  const senders = [...new Set(messages.map(({ entry }) => entry.sender))];

  const tryKey = (key: Uint8Array) => {
    for (const { index, parts } of sealed)
      if (openMessage({ key, ...parts }) !== undefined) loot.keys.add(index);
  };
  const tryChain = (start: Uint8Array) => {
    // No sender has more messages than there are.
    for (let step = 0, chain = start; step < messages.length; step++, chain = nextChain(chain))
      tryKey(messageKey(chain));
  };
  const tryOpening = (opening: Uint8Array) => {
    for (const sought of messages) if (opens(sought, opening)) loot.openings.add(sought.index);
  };

  const seen = new Set<string>();
  for (const bytes of values.flatMap(formsOf)) {
    const buffer = Buffer.from(bytes);
    for (const { index, words } of messages) if (buffer.includes(words)) loot.words.add(index);
    for (const window of windowsOf(bytes)) {
      const name = Buffer.from(window).toString("latin1");
      if (seen.has(name)) continue;
      seen.add(name);
      tryKey(window);
      if (depth === "keys") continue;
      tryChain(window);
      for (const sender of senders) tryChain(deriveChain(window, sender as Hex));
      tryOpening(window);
    }
  }
  const sorted = (indexes: Set<number>) => [...indexes].sort((a, b) => a - b);
  return { keys: sorted(loot.keys), openings: sorted(loot.openings), words: sorted(loot.words) };
}

function opens({ entry, words }: Sought, opening: Uint8Array): boolean {
  const { conversation, sender, seqno, commitment } = entry;
  const plaintext = encodeUtf8(words);
  return computeCommitment({ opening, conversation, sender, seqno, plaintext }) === commitment;
}

/** Text is left out: what it encodes is another form, and 32 random bytes are not all printable ASCII. */
function* windowsOf(bytes: Uint8Array): Generator<Uint8Array> {
  let printable = 0;
  for (const [at, byte] of bytes.entries()) {
    printable = byte >= 0x20 && byte < 0x7f ? printable + 1 : 0;
    const start = at + 1 - secretBytes;
    if (start >= 0 && printable < secretBytes) yield bytes.subarray(start, at + 1);
  }
}

/** The bytes themselves, and what the strings in them stand for. */
function formsOf(bytes: Uint8Array): Uint8Array[] {
  const strings =
    Buffer.from(bytes)
      .toString("latin1")
      .match(/[A-Za-z0-9+/]{43,}={0,2}/g) ?? [];
  const decoded = strings.flatMap((string) => [decodeHex(string), decodeBase64(string)]);
  return [bytes, ...decoded.filter((form) => form !== undefined)];
}

function decodeHex(text: string): Uint8Array | undefined {
  return /^(?:[0-9a-f]{2})+$/.test(text) ? Uint8Array.fromHex(text) : undefined;
}
