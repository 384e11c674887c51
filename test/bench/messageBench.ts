import { generateKeyPairSync, sign, verify } from "node:crypto";
import { EpochKeys } from "../../src/client/epochKeys.ts";
import { openEntry, sealEntry } from "../../src/client/messageEntry.ts";
import { VerifiedLog } from "../../src/client/verifiedLog.ts";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { formatEntry, parseEntry, signedBytes } from "../../src/log/entry.ts";
import { Conversation, roster } from "../log/conversation.ts";
import { certificatesOf, type Device, Organisation } from "../log/organisation.ts";

/**
 * What one message of 256 bytes costs its author and its reader, beside the one P-256 signature or verification (by
 * node:crypto, over the same bytes) that neither can do without. The functions are the client's own; left out are what is
 * done once in a batch or on a medium: vault, transcript file, network, MLS.
 *
 * Author: message key and next chain, view, opening and nonce drawn, commitment, seal, signed text, signature, line.
 * Reader: line parsed and compared with its canonical form, the rules of the log with path, signature and Merkle tree, the
 * line of the transcript, message key and next chain, open, commitment.
 *
 * `bun test/bench/messageBench.ts [messages] [members]`, `SECURECHAT_CRYPTO` as everywhere.
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const messages = Number(process.argv[2] ?? (provider === noble ? 200 : 2_000));
const members = Number(process.argv[3] ?? 2);
const plaintext = systemRandom(256);

const organisation = await Organisation.create();
const server = await organisation.server("chat.example.org");
const devices = await Promise.all(Array.from({ length: members }, (_, i) => organisation.user(`user${i}`)));
const [author, peer] = devices;
if (author === undefined || peer === undefined) throw new Error("no members");
const certificateAt = certificatesOf(organisation);
const founding = new Conversation(certificateAt);
const create = founding.create(author, server, {
  kind: members === 2 ? "direct" : "group",
  title: members === 2 ? "" : "Bench",
  roster: roster(...devices.map((device) => device.row())),
});
const { id, now: at } = founding;

/** A member's side: the log up to `create`, and the epoch's keys. */
const chains = devices.map(({ fingerprint }) => [fingerprint, systemRandom(32)] as const);
function sideOf({ fingerprint }: Device) {
  const log = new VerifiedLog({ certificateAt });
  log.append(parseEntry(formatEntry(create)), at);
  return {
    log,
    keys: new EpochKeys(1, fingerprint, new Map(chains.map(([of, chain]) => [of, chain.slice()]))),
  };
}

/** Entries that the author signs before the next of its own has come back. */
const window = 64;
const bareKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
/** µs a message, by batch. */
const micros = {
  sign: [] as number[],
  author: [] as number[],
  verify: [] as number[],
  reader: [] as number[],
};
type What = keyof typeof micros;

function timed<T>(what: What, run: () => T): T {
  const startedMs = performance.now();
  const result = run();
  micros[what].push(((performance.now() - startedMs) * 1000) / window);
  return result;
}

function exchange(count: number, from: Device, to: Device): void {
  const { fingerprint, key } = from;
  const [writer, reader] = [sideOf(from), sideOf(to)];
  for (let sent = 0; sent < count; sent += window) {
    const lines = timed("author", () =>
      Array.from({ length: window }, (_, ahead) => {
        const seqno = writer.log.nextSeqno(fingerprint) + ahead;
        const unsigned = {
          v: 2,
          conversation: id,
          sender: fingerprint,
          seqno,
          ts: at,
          kind: "message",
        } as const;
        const words = {
          plaintext,
          opening32: systemRandom(32),
          nonce12: systemRandom(12),
          key: writer.keys.sendKey(ahead),
        };
        return sealEntry({ ...unsigned, view: writer.log.view, epoch: 1 }, words, key);
      }),
    );
    timed("reader", () => {
      for (const line of lines) {
        const { entry } = reader.log.append(parseEntry(line), at);
        if (openEntry(reader.keys, entry).kind !== "opened") throw new Error("a message does not open");
      }
    });
    reader.log.takeUnwritten();
    for (const line of lines) openEntry(writer.keys, writer.log.append(parseEntry(line), at).entry);
    writer.log.takeUnwritten();

    const texts = lines.map(parseEntry).map((entry) => signedBytes(entry, entry.ct));
    const signatures = timed("sign", () => texts.map((text) => sign("sha256", text, bareKey.privateKey)));
    timed("verify", () => {
      for (const [i, text] of texts.entries())
        if (!verify("sha256", text, bareKey.publicKey, signatures[i] ?? text))
          throw new Error("bad signature");
    });
  }
}

process.stdout.write(`${provider.name}, 256 bytes, ${members} members, ${messages} messages a round\n`);
exchange(messages, author, peer);
for (let round = 0; round < 5; round++) {
  for (const batches of Object.values(micros)) batches.length = 0;
  exchange(messages, author, peer);
  // Others use the machine too: the median batch, and the best one.
  const at = (what: What, part: number) => {
    const sorted = micros[what].toSorted((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
  };
  const line = (what: What, bare: What, name: string) =>
    `${what} ${at(what, 0.5).toFixed(1)} µs, bare ${name} ${at(bare, 0.5).toFixed(1)} µs, ` +
    `ratio ${(at(what, 0.5) / at(bare, 0.5)).toFixed(2)} (best ${(at(what, 0) / at(bare, 0)).toFixed(2)})`;
  process.stdout.write(`${line("author", "sign", "sign")}   ${line("reader", "verify", "verify")}\n`);
}
