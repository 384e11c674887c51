import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { World } from "../scenario/world.ts";
import { PostgresServer } from "../store/postgresServer.ts";
import { cpuSeconds } from "./cpuSeconds.ts";

/**
 * Messages from client to client: the executable as server, durable, and whole clients (vault, transcript, MLS, verification) in
 * other processes, all on this machine. Pipelined as fast as it goes, then at half of that for the times that people see.
 * `bun test/bench/chatBench.ts [--store sqlite|postgres] [--nodes N] [--pairs N] [--messages N] [--window N] [--processes N]
 * [--clients FOLDER]`
 */
const { values } = parseArgs({
  options: {
    store: { type: "string", default: "sqlite" },
    nodes: { type: "string", default: "1" },
    pairs: { type: "string", default: "50" },
    messages: { type: "string", default: "30000" },
    window: { type: "string", default: "32" },
    processes: { type: "string", default: "1" },
    /** Where the clients' vaults and transcripts are: they share one disk here that everywhere else each has for itself. */
    clients: { type: "string", default: tmpdir() },
  },
});
useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
const [nodes, pairs, messages, window, processes] = [
  values.nodes,
  values.pairs,
  values.messages,
  values.window,
  values.processes,
].map(Number) as [number, number, number, number, number];

const names = Array.from({ length: pairs }, (_, i) => [`a${i}`, `b${i}`] as const);
const world = await World.create(names.flat());
const postgres = values.store === "postgres" ? await PostgresServer.start() : undefined;
const vaults = mkdtempSync(join(values.clients, "securechat-bench-"));
const clients: Bun.Subprocess<"pipe", "pipe", "inherit">[] = [];
try {
  const env = postgres === undefined ? {} : databaseOf(postgres);
  const servers = [];
  for (let i = 0; i < nodes; i++) servers.push(await world.startServer([], env));
  const ports = servers.map(({ port }) => port);

  const answers: AsyncGenerator<string>[] = [];
  for (let i = 0; i < processes; i++) {
    const child = Bun.spawn([process.execPath, new URL("./chatClients.ts", import.meta.url).pathname], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, SECURECHAT_CRYPTO: crypto().name },
    });
    clients.push(child);
    answers.push(linesOf(child.stdout));
    const mine = names.filter((_, n) => n % processes === i);
    child.stdin.write(`${JSON.stringify({ folder: world.root, vaults, ports, pairs: mine })}\n`);
    child.stdin.flush();
  }
  const ask = async (request: { messages: number; window: number; perSecond: number }) => {
    const share = {
      ...request,
      messages: request.messages / processes,
      perSecond: request.perSecond / processes,
    };
    for (const { stdin } of clients) {
      stdin.write(`${JSON.stringify(share)}\n`);
      stdin.flush();
    }
    return await Promise.all(answers.map(async (lines) => JSON.parse((await lines.next()).value ?? "")));
  };
  for (const lines of answers) await lines.next();

  await ask({ messages: pairs * 20, window: 4, perSecond: 0 });
  const pids = [...servers.map(({ server }) => server.pid), ...clients.map(({ pid }) => pid)];
  const cpu = () => pids.map(cpuSeconds);
  const before = cpu();
  const fast = await ask({ messages, window, perSecond: 0 });
  const used = cpu().map((seconds, i) => ((seconds - (before[i] ?? 0)) * 1e6) / messages);
  const rate = messages / Math.max(...fast.map(({ seconds }) => seconds));
  const half = await ask({ messages: messages / 2, window, perSecond: rate / 2 });
  const latencies = half.flatMap((one) => one.latencies as number[]).sort((a, b) => a - b);
  const percentile = (part: number) => (latencies[Math.floor(latencies.length * part)] ?? 0).toFixed(1);
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0).toFixed(0);
  process.stdout.write(
    `${crypto().name}, ${values.store}, ${nodes} node(s), ${2 * pairs} clients in ${pairs} conversations (${processes} process(es)), ${messages} messages of 256 bytes
client to client, durable               ${Math.round(rate)}/s
server CPU a message                    ${sum(used.slice(0, nodes))} µs
CPU of both clients a message           ${sum(used.slice(nodes))} µs
at half of that rate                    p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms
`,
  );
} finally {
  for (const child of clients) child.stdin.end();
  await Promise.all(clients.map(({ exited }) => exited));
  await world.dispose();
  await postgres?.dispose();
  rmSync(vaults, { recursive: true });
}
process.exit(0);

function databaseOf(postgres: PostgresServer): Record<string, string> {
  const { host, port, database, user, password } = postgres.createDatabase();
  return {
    DB_HOST: host,
    DB_PORT: String(port),
    DB_NAME: database,
    DB_USER: user,
    DB_PASSWORD: password ?? "",
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
