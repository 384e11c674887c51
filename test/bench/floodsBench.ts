import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { PopulatedServer } from "../scenario/populatedServer.ts";
import { SteadyPair } from "../scenario/steadyPair.ts";

/**
 * What two people who talk notice while others flood the server: a message from its post to its push, with a flood and
 * without, in turns of the same run. The server is the compiled executable under its default limits; each flood is a
 * process of its own (flooder.ts) of the lowest priority, as if it came from another machine. Prints figures, judges nothing:
 * `bun test/bench/floodsBench.ts [messages] [flood…]`
 */
useCryptoProvider(native);
const messages = Number(process.argv[2] ?? 200);
const all = ["silence", "hellos", "churn", "logins", "packages", "posts", "requests", "pages", "blobs"];
const floods = process.argv.length > 3 ? process.argv.slice(3) : all;
const rounds = 3;
/** Between two messages of the pair. */
const paceMs = 5;

const server = await PopulatedServer.start(2 + 2 * rounds * floods.length);
let nextAccount = 2;
const pair = await SteadyPair.of(server, [0, 1]);

async function latencies(count: number): Promise<number[]> {
  const taken: number[] = [];
  for (let i = 0; i < count; i++) {
    taken.push(await pair.exchange());
    await Bun.sleep(paceMs);
  }
  return taken;
}

const percentile = (values: readonly number[], part: number) =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)] ?? 0;

await latencies(messages);
for (const flood of floods) {
  const [quiet, flooded]: [number[], number[]] = [[], []];
  let peak = 0;
  const { cpu: cpuBefore } = server.footprint();
  const startedMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    quiet.push(...(await latencies(messages)));
    const script = new URL("./flooder.ts", import.meta.url).pathname;
    const child = Bun.spawn(["nice", "-n", "19", process.execPath, script, flood], {
      stdin: new TextEncoder().encode(server.toJson([nextAccount++, nextAccount++])),
      stdout: "pipe",
      stderr: "inherit",
    });
    // It says when the flood has begun.
    await child.stdout.getReader().read();
    flooded.push(...(await latencies(messages)));
    peak = Math.max(peak, server.footprint().rss);
    child.kill("SIGKILL");
    await child.exited;
  }
  const busy = (server.footprint().cpu - cpuBefore) / ((performance.now() - startedMs) / 1000);
  const figures = [0.5, 0.99].map((part) => {
    const [without, with_] = [percentile(quiet, part), percentile(flooded, part)];
    return `p${part * 100} ${without.toFixed(1)} -> ${with_.toFixed(1)} ms (x ${(with_ / without).toFixed(2)})`;
  });
  process.stdout.write(
    `${flood.padEnd(9)} ${figures.join("   ")}   server ${Math.round(busy * 100)} % CPU, ${Math.round(peak / 2 ** 20)} MiB\n`,
  );
}
await server.dispose();
process.exit(0);
