import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { parseEntry, signedBytes } from "../../src/log/entry.ts";
import { emptyRoot } from "../../src/log/merkle.ts";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { spawnServer } from "../server/childServer.ts";
import { TestConversation } from "../server/testConversation.ts";
import { personOf } from "../server/testServer.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { cpuSeconds } from "./cpuSeconds.ts";
import { RelayLoad } from "./relayLoad.ts";

/**
 * Durable posts a second through real servers in processes of their own, each pushed to the other member: one server on SQLite,
 * one on PostgreSQL, and two on PostgreSQL where nobody is at the server of the other; beside it the one signature verification
 * that no server can do without. Prints figures, judges nothing:
 * `bun test/bench/relayBench.ts [posts] [conversations] [window] [folder]`, `SECURECHAT_CRYPTO` as everywhere.
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const total = Number(process.argv[2] ?? (provider === noble ? 1_000 : 20_000));
const pairs = Number(process.argv[3] ?? 4);
const window = Number(process.argv[4] ?? 64);
const each = Math.ceil(total / pairs);
const posts = each * pairs;

const authority = await createTestAuthority();
const identity = await authority.issueServer(["localhost", "127.0.0.1"]);

/** @returns CPU of all servers, µs a post */
async function measure(name: string, servers: number, address?: PostgresAddress): Promise<number> {
  const folder = mkdtempSync(join(process.argv[5] ?? tmpdir(), "securechat-bench-"));
  const database = address === undefined ? {} : { address };
  const running: Awaited<ReturnType<typeof spawnServer>>[] = [];
  for (let i = 0; i < servers; i++)
    running.push(await spawnServer(folder, { authority, identity, ...database }));
  const load = await RelayLoad.begin(
    { authority, identity },
    { ports: running.map(({ port }) => port), pairs, each },
  );
  const cpu = () => running.reduce((sum, { child }) => sum + cpuSeconds(child.pid), 0);
  const cpuBefore = cpu();
  const startedMs = performance.now();
  const latencies = await load.send(window);
  const seconds = (performance.now() - startedMs) / 1000;
  const cpuMicros = ((cpu() - cpuBefore) * 1e6) / posts;
  latencies.sort((a, b) => a - b);
  const percentile = (part: number) => (latencies[Math.floor(latencies.length * part)] ?? 0).toFixed(1);
  process.stdout.write(
    `${name.padEnd(24)} ${Math.round(posts / seconds)} posts/s, p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, server CPU a post ${cpuMicros.toFixed(0)} µs\n`,
  );
  load.close();
  for (const { child } of running) {
    child.kill();
    await child.exited;
  }
  rmSync(folder, { recursive: true });
  return cpuMicros;
}

async function verifyMicros(): Promise<number> {
  const people = ["one", "other"].map(async (name) =>
    personOf(await authority.issueUser(name), name, `${name}@example.org`),
  );
  const [person, other] = await Promise.all(people);
  if (person === undefined || other === undefined) throw new Error("nobody");
  const conversation = new TestConversation({ authority, identity }, person, other);
  const view = { size: 1, root: emptyRoot };
  const entries = Array.from({ length: 2_000 }, () =>
    parseEntry(conversation.message(person, { seqno: 2, view })),
  );
  const { publicKey } = person.certificate;
  const startedMs = performance.now();
  for (const entry of entries)
    if (!publicKey.verify("ecdsa-p256-sha256", signedBytes(entry, entry.ct), entry.sig))
      throw new Error("bad signature");
  return ((performance.now() - startedMs) * 1000) / entries.length;
}

process.stdout.write(
  `${crypto().name}, ${posts} posts in ${pairs} conversations, ${window} in flight each, each pushed to the other member\n`,
);
const onSqlite = await measure("SQLite", 1);
const bare = await verifyMicros();
process.stdout.write(
  `bare verification        ${bare.toFixed(0)} µs; server CPU on SQLite ${(onSqlite / bare).toFixed(2)} times that\n`,
);
if (hasPostgres) {
  const postgres = await PostgresServer.start();
  await measure("PostgreSQL", 1, postgres.createDatabase());
  await measure("PostgreSQL, two nodes", 2, postgres.createDatabase());
  await postgres.dispose();
}
process.exit(0);
