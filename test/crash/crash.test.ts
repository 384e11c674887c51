import { expect, setDefaultTimeout, test } from "bun:test";
import { crashRun } from "./crashRun.ts";

/** All worlds run at once, as many as keep two cores busy: a client that has lost its server waits before it connects again. */
const patienceMs = 240_000;
setDefaultTimeout(patienceMs + 10_000);

const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
/** With the world below, more than 200 kills; most of what one costs is the login that follows, whose password is hashed. */
const worlds = 7;
const killsPerWorld = 26;

test.concurrent(`client and server killed ${worlds * killsPerWorld} times under load lose and double nothing (seed ${seed})`, async () => {
  const reports = await Promise.all(
    Array.from({ length: worlds }, (_, i) => crashRun({ seed: seed + i, kills: killsPerWorld, patienceMs })),
  );
  for (const { kept, entries } of reports) expect(entries).toBeGreaterThan(kept / 2);
});

test.concurrent(`clients that lose their vaults too come back as new devices (seed ${seed + worlds})`, async () => {
  const { kills, entries } = await crashRun({
    seed: seed + worlds,
    kills: killsPerWorld,
    losesVaults: true,
    patienceMs,
  });
  expect(Object.values(kills).reduce((sum, one) => sum + one, 0)).toBe(killsPerWorld);
  expect(entries).toBeGreaterThan(0);
});
