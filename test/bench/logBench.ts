import { encodeUtf8 } from "../../src/base/bytes.ts";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { type LogState, verifyEntry } from "../../src/log/conversationLog.ts";
import { formatEntry, parseEntry, signedBytes } from "../../src/log/entry.ts";
import { RootHistory } from "../../src/log/rootHistory.ts";
import { formatTranscriptLine, readLines, verifyTranscript } from "../../src/log/transcript.ts";
import { Conversation, roster } from "../log/conversation.ts";
import { certificatesOf, Organisation } from "../log/organisation.ts";

/**
 * What a reader's work per entry is beside the one signature verification that it can't do without. Prints figures,
 * judges nothing: `bun test/bench/logBench.ts [entries] [members]`, `SECURECHAT_CRYPTO` as everywhere.
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const entries = Number(process.argv[2] ?? (provider === noble ? 500 : 5000));
const members = Number(process.argv[3] ?? 2);

const organisation = await Organisation.create();
const server = await organisation.server("chat.example.org");
const devices = await Promise.all(Array.from({ length: members }, (_, i) => organisation.user(`user${i}`)));
const [creator] = devices;
if (creator === undefined) throw new Error("no members");
const certificateAt = certificatesOf(organisation);
const log = new Conversation(certificateAt);
log.post(
  log.create(creator, server, {
    kind: "group",
    title: "Bench",
    roster: roster(...devices.map((device) => device.row())),
  }),
);
for (let i = 1; i < entries; i++) log.post(log.message(devices[i % members] ?? creator));

const wireLines = log.lines.map(({ entry, at }) => ({ line: formatEntry(entry), at }));
const file = encodeUtf8(log.lines.map((line) => `${formatTranscriptLine(line)}\n`).join(""));

function report(what: string, startedMs: number): void {
  const micros = ((performance.now() - startedMs) * 1000) / entries;
  process.stdout.write(
    `${what.padEnd(44)} ${micros.toFixed(1).padStart(8)} µs  ${Math.round(1e6 / micros)}/s\n`,
  );
}

/** Alternating, so that a machine that gets busy slows both; the first round warms up. */
process.stdout.write(`${provider.name}, ${entries} entries, ${members} members, ${file.length} bytes\n`);
for (let round = 0; round < 3; round++) {
  let started = performance.now();
  for (const { entry, at } of log.lines) {
    const { publicKey } = certificateAt(entry.sender, at).certificate;
    if (!publicKey.verify("ecdsa-p256-sha256", signedBytes(entry, entry.ct), entry.sig))
      throw new Error("bad signature");
  }
  report("bare verification (with path and bytes)", started);

  started = performance.now();
  for (const { line } of wireLines) parseEntry(line);
  report("parseEntry", started);

  started = performance.now();
  const roots = new RootHistory();
  let state: LogState | undefined;
  for (const { line, at } of wireLines) {
    state = verifyEntry(state, parseEntry(line), at, { certificateAt, rootAt: (size) => roots.at(size) });
    roots.append(state.root);
  }
  report("parseEntry and verifyEntry", started);

  started = performance.now();
  await verifyTranscript(readLines([file]), { certificateAt });
  report("verifyTranscript", started);
}
