import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { compareEvidence } from "../../src/evidence/compareEvidence.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { signedBytes } from "../../src/log/entry.ts";
import { forkAt } from "../evidence/forkedEvidence.ts";
import { folderOf, inputOf, makeEvidence } from "../evidence/madeEvidence.ts";

/**
 * What `verify` costs per entry beside the one signature verification that it can't do without, and what it keeps in
 * memory. Prints figures, judges nothing: `bun test/bench/evidenceBench.ts [entries]`, `SECURECHAT_CRYPTO` as everywhere.
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const entries = Number(process.argv[2] ?? (provider === noble ? 300 : 5000));

const made = await makeEvidence();
const { conversation, alice, bob, organisation } = made;
while (conversation.lines.length < entries)
  conversation.post(conversation.message(conversation.lines.length % 2 === 0 ? alice : bob));
const files = await folderOf(made);
const other = forkAt(made, Math.floor(entries / 2));
while (other.lines.length < entries) other.post(other.message(bob, { ts: other.now + 1 }));
const otherFiles = await folderOf({ ...made, conversation: other });
const keys = new Map(
  [alice, bob].map(({ fingerprint, certificate }) => [fingerprint, certificate.publicKey]),
);

function report(what: string, startedMs: number, count: number, bareMs?: number): number {
  const took = performance.now() - startedMs;
  const ratio = bareMs === undefined ? "" : `  ${(took / count / (bareMs / entries)).toFixed(2)} × bare`;
  const perSecond = Math.round((1000 * count) / took);
  process.stdout.write(
    `${what.padEnd(44)} ${((took * 1000) / count).toFixed(1).padStart(8)} µs  ${perSecond}/s${ratio}\n`,
  );
  return took;
}

process.stdout.write(`${provider.name}, ${entries} entries, ${files["transcript.jsonl"]?.length} bytes\n`);
for (let round = 0; round < 3; round++) {
  let started = performance.now();
  for (const { entry } of conversation.lines)
    if (!keys.get(entry.sender)?.verify("ecdsa-p256-sha256", signedBytes(entry, entry.ct), entry.sig))
      throw new Error("bad signature");
  const bareMs = report("bare verification of the signed bytes", started, entries);

  started = performance.now();
  const { verdict } = await verifyEvidence(inputOf(files, [organisation.ca]));
  if (verdict !== "valid") throw new Error(verdict);
  report("verifyEvidence", started, entries, bareMs);

  started = performance.now();
  const compared = await compareEvidence(
    { name: "a", input: inputOf(files, [organisation.ca]) },
    { name: "b", input: inputOf(otherFiles, [organisation.ca]) },
  );
  if (compared.report.verdict !== "fork") throw new Error(compared.report.verdict);
  report("compareEvidence, entries of both", started, 2 * entries, bareMs);
}
process.stdout.write(`resident at the end: ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB\n`);
