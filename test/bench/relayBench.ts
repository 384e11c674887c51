import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { parseEntry, signedBytes } from "../../src/log/entry.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { spawnServer } from "../server/childServer.ts";
import { RawClient } from "../server/rawClient.ts";
import { TestConversation } from "../server/testConversation.ts";
import { personOf } from "../server/testServer.ts";
import { cpuSeconds } from "./cpuSeconds.ts";

/**
 * Durable posts a second through a real server in a process of its own, on SQLite, each pushed to the other member;
 * beside it the one signature verification that no server can do without. Prints figures, judges nothing:
 * `bun test/bench/relayBench.ts [posts] [conversations] [window] [folder]`, `SECURECHAT_CRYPTO` as everywhere.
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const total = Number(process.argv[2] ?? (provider === noble ? 1_000 : 20_000));
const pairs = Number(process.argv[3] ?? 4);
const window = Number(process.argv[4] ?? 64);
const folder = mkdtempSync(join(process.argv[5] ?? tmpdir(), "securechat-bench-"));

const authority = await createTestAuthority();
const identity = await authority.issueServer(["localhost", "127.0.0.1"]);
const { child, port } = await spawnServer(folder, { authority, identity });

async function connected(username: string) {
  const person = personOf(await authority.issueUser(username), username, `${username}@example.org`);
  const client = await RawClient.connect(port, person, { ca: authority.ca });
  const { email, password } = person;
  await client.expect("authenticated", { type: "register", email, username, password });
  return { person, client };
}

const each = Math.ceil(total / pairs);
interface Work {
  readonly author: Awaited<ReturnType<typeof connected>>;
  readonly reader: Awaited<ReturnType<typeof connected>>;
  readonly lines: readonly string[];
}
const conversations: Work[] = [];
for (let i = 0; i < pairs; i++) {
  const [author, reader] = [await connected(`author${i}`), await connected(`reader${i}`)];
  const conversation = new TestConversation({ authority, identity }, author.person, reader.person);
  await conversation.post(
    author.client,
    await conversation.create(author.client, author.person, [reader.person]),
  );
  await reader.client.push("pushed");
  const view = { size: 1, root: conversation.rootAt(1) };
  const lines = Array.from({ length: each }, (_, n) =>
    conversation.message(author.person, { seqno: n + 2, view }),
  );
  conversations.push({ author, reader, lines });
}

const latencies: number[] = [];
async function send({ author, reader, lines }: Work): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let line = lines[next++]; line !== undefined; line = lines[next++]) {
      const startedMs = performance.now();
      await author.client.expect("accepted", { type: "post", line });
      latencies.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: window }, lane));
  for (let read = 0; read < lines.length; ) read += (await reader.client.push("pushed")).entries.length;
}

const cpuBefore = cpuSeconds(child.pid);
let startedMs = performance.now();
await Promise.all(conversations.map(send));
const seconds = (performance.now() - startedMs) / 1000;
const serverCpu = cpuSeconds(child.pid) - cpuBefore;
const posts = each * pairs;

const [sample] = conversations;
if (sample === undefined) throw new Error("no conversations");
const entries = sample.lines.slice(0, 2_000).map((line) => parseEntry(line));
const { publicKey } = sample.author.person.certificate;
startedMs = performance.now();
for (const entry of entries)
  if (!publicKey.verify("ecdsa-p256-sha256", signedBytes(entry, entry.ct), entry.sig))
    throw new Error("bad signature");
const verifyMicros = ((performance.now() - startedMs) * 1000) / entries.length;

latencies.sort((a, b) => a - b);
const percentile = (part: number) => (latencies[Math.floor(latencies.length * part)] ?? 0).toFixed(1);
const cpuMicros = (serverCpu * 1e6) / posts;
process.stdout.write(
  `${crypto().name}, ${posts} posts in ${pairs} conversations, ${window} in flight each, ${sample.lines[0]?.length} bytes a line
durable posts, pushed to the other      ${Math.round(posts / seconds)}/s, p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms
server CPU a post                       ${cpuMicros.toFixed(0)} µs
bare verification of a post             ${verifyMicros.toFixed(0)} µs
ratio server CPU / bare verification    ${(cpuMicros / verifyMicros).toFixed(2)}
`,
);
child.kill();
await child.exited;
rmSync(folder, { recursive: true });
process.exit(0);
