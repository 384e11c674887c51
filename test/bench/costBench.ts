import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { spawnServer } from "../server/childServer.ts";
import { cpuSeconds } from "./cpuSeconds.ts";
import { RelayLoad } from "./relayLoad.ts";

/**
 * What the server's processor does for an accepted entry: profile of a real server on SQLite under load, samples told apart by
 * the functions that they stand in, shares of the processor time that the kernel counted.
 * `bun test/bench/costBench.ts [posts] [conversations] [window]`
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const total = Number(process.argv[2] ?? (provider === noble ? 2_000 : 20_000));
const pairs = Number(process.argv[3] ?? 4);
const window = Number(process.argv[4] ?? 64);
const each = Math.ceil(total / pairs);
const posts = each * pairs;

interface Frame {
  readonly functionName: string;
  readonly url: string;
}

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: Frame;
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A sample belongs to the first part that any function of its stack stands for. */
const parts: readonly (readonly [string, (frame: Frame) => boolean])[] = [
  ["fan-out (delivery, sealing for others)", ({ url }) => /server\/(delivery|foreignEntries)\.ts$/.test(url)],
  // Everything is called from the end of a turn, which is no work of the store.
  ["store", ({ url }) => /src\/store\/(?!endOfTurn)|bun:sqlite/.test(url)],
  ["signature of the checkpoint", ({ functionName }) => functionName === "signState"],
  ["check of the signature", ({ functionName }) => functionName === "checkSignature"],
  [
    "log (rules, tree, certificates)",
    ({ url }) =>
      /src\/log\/|server\/(entryJudge|conversationLogs|logWriter|relay|certificateBook|logAppend)\.ts$/.test(
        url,
      ),
  ],
  [
    "channel (records, frames, messages)",
    ({ url }) => /src\/(channel|wire)\/|server\/(connection|session|requests)\.ts$/.test(url),
  ],
];
const rest = "runtime, sockets, garbage collection";

const authority = await createTestAuthority();
const identity = await authority.issueServer(["localhost", "127.0.0.1"]);
const folder = mkdtempSync(join(tmpdir(), "securechat-bench-"));
const profileFolder = join(folder, "profile");
const { child, port } = await spawnServer(folder, { authority, identity, profileFolder });
const load = await RelayLoad.begin({ authority, identity }, { ports: [port], pairs, each });
const before = cpuSeconds(child.pid);
await load.send(window);
const cpuMicros = ((cpuSeconds(child.pid) - before) * 1e6) / posts;
load.close();
child.kill("SIGINT");
await child.exited;
const [file = ""] = readdirSync(profileFolder);
const shares = sharesOf(JSON.parse(readFileSync(join(profileFolder, file), "utf8")) as Profile);
rmSync(folder, { recursive: true });

process.stdout.write(
  `${crypto().name}, SQLite, ${posts} posts in ${pairs} conversations, ${window} in flight each, each pushed to the other member\n${"server CPU an entry".padEnd(42)} ${cpuMicros.toFixed(0).padStart(4)} µs\n`,
);
for (const [name, share] of shares)
  process.stdout.write(
    `  ${name.padEnd(40)} ${(share * cpuMicros).toFixed(0).padStart(4)} µs ${(share * 100).toFixed(0).padStart(3)} %\n`,
  );
process.exit(0);

/** Beginning and logins stand in the profile too, in none of the parts: they are small beside the posts, and in the rest. */
function sharesOf({ nodes, samples, timeDeltas }: Profile): [string, number][] {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const partOf = new Map<number, string | undefined>();
  for (const { id } of nodes) {
    const stack: Frame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = frames.get(at);
      if (frame !== undefined) stack.push(frame);
    }
    const isIdle = stack.some(({ functionName }) => functionName === "(idle)");
    const part = parts.find(([, stands]) => stack.some(stands))?.[0] ?? rest;
    partOf.set(id, isIdle ? undefined : part);
  }
  const times = new Map<string, number>([...parts.map(([name]) => name), rest].map((name) => [name, 0]));
  for (const [i, sample] of samples.entries()) {
    const part = partOf.get(sample);
    if (part !== undefined) times.set(part, (times.get(part) ?? 0) + (timeDeltas[i] ?? 0));
  }
  const sum = [...times.values()].reduce((a, b) => a + b, 0);
  return [...times].map(([name, time]) => [name, time / sum]);
}
