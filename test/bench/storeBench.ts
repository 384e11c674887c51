import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { LogAppend } from "../../src/store/logStore.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import { certificateRecord } from "../store/certificateRecord.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";

/**
 * Durable entries a second through the store alone, both backends in one run: every log has one append under way at a time, as the
 * relay does, of one or several entries of some 900 bytes. Prints figures, judges nothing:
 * `bun test/bench/storeBench.ts [seconds] [logs]`.
 */
useCryptoProvider(native);
const seconds = Number(process.argv[2] ?? 4);
const logs = Number(process.argv[3] ?? 50);

function appendOf(sender: Hex, conversation: Hex, index: number, count: number): LogAppend {
  const entry = (seqno: number) => ({
    at: Date.now(),
    line: `{"v":2,"conversation":"${conversation}","ct":"${"x".repeat(800)}"}`,
    sender,
    seqno,
    root: systemRandom(32),
  });
  const rest = Array.from({ length: count - 1 }, (_, i) => entry(index + i + 2));
  return {
    conversation,
    expectedSize: index,
    create: index === 0 ? { kind: "group", pair: undefined } : undefined,
    entries: [entry(index + 1), ...rest],
    blobs: [],
    members: index === 0 ? [{ change: "joined", fingerprint: sender, index }] : [],
    closes: false,
    checkpoint: {
      size: index + count,
      root: encodeHex(systemRandom(32)),
      at: Date.now(),
      server: sender,
      sig: systemRandom(70),
    },
    state: undefined,
  };
}

async function measure(name: string, stores: readonly Store[], perAppend: number): Promise<void> {
  const record = certificateRecord();
  await stores[0]?.accounts.putCertificate(record, Date.now());
  const { fingerprint } = record;
  const endMs = performance.now() + seconds * 1_000;
  const waits: number[] = [];
  let entries = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: logs }, async (_, i) => {
      const store = stores[i % stores.length];
      const conversation = encodeHex(systemRandom(16));
      await store?.log.append(appendOf(fingerprint, conversation, 0, 1));
      for (let size = 1; performance.now() < endMs; size += perAppend) {
        const askedMs = performance.now();
        const outcome = await store?.log.append(appendOf(fingerprint, conversation, size, perAppend));
        if (outcome?.kind !== "appended") throw new Error(`not appended: ${outcome?.kind}`);
        waits.push(performance.now() - askedMs);
        entries += perAppend;
      }
    }),
  );
  const rate = (1_000 * entries) / (performance.now() - startedMs);
  waits.sort((a, b) => a - b);
  const at = (part: number) => (waits[Math.floor(part * (waits.length - 1))] ?? 0).toFixed(1).padStart(7);
  process.stdout.write(
    `${name.padEnd(22)} ${String(perAppend).padStart(3)} a time ${rate.toFixed(0).padStart(7)} entries/s   p50 ${at(0.5)} ms   p99 ${at(0.99)} ms\n`,
  );
}

const folder = mkdtempSync(join(tmpdir(), "securechat-bench-"));
const sqlite = await openSqliteStore({ file: join(folder, "securechat.db") });
for (const perAppend of [1, 16]) await measure("SQLite", [sqlite], perAppend);
await sqlite.close();
rmSync(folder, { recursive: true });
if (hasPostgres) {
  const server = await PostgresServer.start();
  const address = server.createDatabase();
  const stores = [await openPostgresStore({ address }), await openPostgresStore({ address })];
  for (const perAppend of [1, 16]) await measure("PostgreSQL", stores.slice(0, 1), perAppend);
  for (const perAppend of [1, 16]) await measure("PostgreSQL, two stores", stores, perAppend);
  for (const store of stores) await store.close();
  await server.dispose();
}
