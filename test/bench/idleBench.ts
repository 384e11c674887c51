import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { PopulatedServer } from "../scenario/populatedServer.ts";

/**
 * What a client that is logged in and silent costs the server in memory: resident memory of the compiled executable,
 * after minus before, divided. The clients are in this process; handshake and login are real, from addresses of
 * 127.0.0.0/8 under the default limits. Prints figures, judges nothing: `bun test/bench/idleBench.ts [connections…]`
 */
useCryptoProvider(native);
const counts = process.argv.slice(2).map(Number);
const steps = (counts.length > 0 ? counts : [5_000, 10_000]).sort((a, b) => a - b);
const most = steps.at(-1) ?? 0;
/** Below the limit for one address. */
const perAddress = 200;
const atOnce = 16;

const server = await PopulatedServer.start(most + 1, ["--idle-timeout", "86400"]);
// One account again and again: the code that a login runs is compiled, and what is there once is there, before the first
// measurement.
for (let i = 0; i < 400; i++) {
  const client = await server.login(server.member(most));
  client.close();
  await client.ended;
}
const base = await settled();
process.stdout.write(`server without connections: ${(base / 2 ** 20).toFixed(0)} MiB\n`);
let connected = 0;
for (const count of steps) {
  const startedMs = performance.now();
  const cpu = server.footprint().cpu;
  await Promise.all(Array.from({ length: atOnce }, () => lane(count)));
  const seconds = (performance.now() - startedMs) / 1000;
  const peak = server.footprint().rss;
  const logins = ((server.footprint().cpu - cpu) * 1000) / count;
  const rss = await settled();
  process.stdout.write(
    `${count} connections, made in ${seconds.toFixed(1)} s (${logins.toFixed(2)} ms of server CPU each): ` +
      `${((rss - base) / count / 1000).toFixed(1)} kB each (${((peak - base) / count / 1000).toFixed(1)} before it settled)\n`,
  );
}
await server.dispose();
process.exit(0);

async function lane(count: number): Promise<void> {
  while (connected < count) {
    const number = connected++;
    const address = Math.floor(number / perAddress);
    await server.login(
      server.member(number),
      `127.0.${1 + Math.floor(address / 250)}.${1 + (address % 250)}`,
    );
  }
}

/** Resident memory once it no longer shrinks: collectors and allocators give back what they don't need with delay. */
async function settled(): Promise<number> {
  let least = server.footprint().rss;
  for (let still = 0; still < 16; still++) {
    await Bun.sleep(500);
    const { rss } = server.footprint();
    if (rss < least - 256 * 1024) still = 0;
    least = Math.min(least, rss);
  }
  return least;
}
