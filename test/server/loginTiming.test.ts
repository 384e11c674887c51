import { afterAll, beforeAll, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import type { Store } from "../../src/store/store.ts";
import { type Guesser, type LoginKind, makeGuessers } from "./loginKinds.ts";
import { quartiles, rankDeviation, rankProbability } from "./rankTest.ts";
import { TestServer } from "./testServer.ts";

setDefaultTimeout(60_000);

/** Longer than any delay, so that no guess has to wait for the one before. */
const calmMs = 16 * 60_000;

let server: TestServer;
let guessers: readonly Guesser[];
/** Calls of the store's accounts, in their order. */
const calls: string[] = [];
beforeAll(async () => {
  server = await TestServer.create();
  await server.stop();
  server.wrapStore = recording;
  await server.start();
  server.freezeClock();
  guessers = await makeGuessers(server);
});
afterAll(() => server.dispose());

function recording(store: Store): Store {
  const accounts = new Proxy(store.accounts, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        calls.push(String(name));
        return Reflect.apply(value, target, args);
      };
    },
  });
  return { ...store, accounts };
}

async function guess({ person, client }: Guesser) {
  server.skewMs += calmMs;
  return await client.refusal({ type: "login", email: person.email, password: "a wrong password" });
}

test("a wrong password costs one verification of the same parameters and the same calls of the store, whatever the account is", async () => {
  const verify = spyOn(Bun.password, "verify");
  const hash = spyOn(Bun.password, "hash");
  try {
    for (const guesser of guessers) {
      calls.length = 0;
      verify.mockClear();
      hash.mockClear();
      const refusal = await guess(guesser);
      const parameters = verify.mock.calls.map(
        ([, phc]) => /^\$[^$]*\$[^$]*\$[^$]*\$/.exec(String(phc))?.[0],
      );
      expect({ kind: guesser.kind, refusal, parameters, hashes: hash.mock.calls.length, calls }).toEqual({
        kind: guesser.kind,
        refusal: {
          code: "AUTHENTICATION_FAILED",
          detail: "",
          message: "no account with this email and password",
        },
        parameters: ["$argon2id$v=19$m=19456,t=2,p=1$"],
        hashes: 0,
        calls: ["byEmail", "reserveAttempt", "settleAttempt"],
      });
    }
  } finally {
    verify.mockRestore();
    hash.mockRestore();
  }
});

test("a wrong password takes as long whatever the account is, by the ranks of interleaved samples", async () => {
  const rounds = 20;
  const timed = guessers.filter(({ kind }) => kind !== "added" && kind !== "taken over and disabled");
  const samples = new Map<LoginKind, number[]>(timed.map(({ kind }) => [kind, []]));
  for (let round = 0; round < rounds; round++)
    // In another order each time: what comes first has no advantage.
    for (let i = 0; i < timed.length; i++) {
      const guesser = timed[(i * (1 + (round % (timed.length - 1))) + round) % timed.length];
      if (guesser === undefined) throw new Error("no such guesser");
      const startedMs = performance.now();
      await guess(guesser);
      samples.get(guesser.kind)?.push(performance.now() - startedMs);
    }
  const unknown = samples.get("unknown") ?? [];
  const report = [...samples].map(([kind, taken]) => {
    expect(taken).toHaveLength(rounds);
    const deviations = (rankProbability(taken, unknown) - 0.5) / rankDeviation(taken, unknown);
    return { kind, deviations, text: `${kind}: ${quartiles(taken)} ms, ${deviations.toFixed(1)} σ` };
  });
  // A missing or a second hash separates the samples altogether: 5.4 σ. By chance 5 σ happens once in millions of runs.
  const conspicuous = report.filter(({ deviations }) => Math.abs(deviations) > 5);
  expect(conspicuous.length === 0 ? [] : report.map(({ text }) => text)).toEqual([]);
});
