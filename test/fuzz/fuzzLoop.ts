import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import type { Fixture } from "./fixture.ts";
import { mutate } from "./mutate.ts";
import { Prng } from "./prng.ts";
import type { Outcome, Target } from "./target.ts";

export interface Budget {
  readonly seed: number;
  /** Inputs to try; the time decides when left out. */
  readonly iterations?: number;
  readonly seconds?: number;
}

export type FailureKind = "error" | "slow" | "growth" | "hang" | "crash";

export interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly input: Uint8Array;
}

export interface Statistics {
  readonly executed: number;
  readonly accepted: number;
  /** Different ways in which inputs ended. */
  readonly outcomes: number;
  /** Seeds and inputs that were kept because they ended in a new way. */
  readonly corpus: number;
  /** Of one input with cold caches, the best of several tries, ms. */
  readonly slowestMs: number;
  readonly slowest: Uint8Array;
  readonly seconds: number;
  /** Resident memory at the end, less that after the first tenth, MiB. */
  readonly growthMiB: number;
}

export interface Observer {
  begin(input: Uint8Array): void;
  end(): void;
  fail(failure: Failure): void;
}

const maxKept = 1500;
/** Different failures of one target, after which it is given up. */
const maxFailures = 10;
const defaultGrowthMiB = 256;
/** Below that nothing is looked at twice. */
const noticedMs = 2;

/** Tries mutated inputs on one target. Given the same fixture, seed and number of inputs, it does the same again. */
export async function fuzz(
  target: Target,
  fixture: Fixture,
  budget: Budget,
  observer: Observer,
): Promise<Statistics> {
  const prng = new Prng(budget.seed);
  const tooLong = fixture.seeds.find(({ length }) => length > target.maxBytes);
  if (tooLong !== undefined)
    throw new Error(`${target.name}: a seed of ${tooLong.length} bytes is over its limit`);
  const judge = await target.open(fixture);
  const corpus = [...fixture.seeds];
  const seen = new Set<string>();
  const failed = new Set<string>();
  const startedMs = performance.now();
  let executed = 0;
  let accepted = 0;
  let slowestMs = 0;
  let slowest: Uint8Array = new Uint8Array(0);
  let baseline: number | undefined;

  const fail = (kind: FailureKind, message: string, input: Uint8Array): void => {
    // What was thrown and where in our code, not the way that the engine got there.
    const [first = "", ...frames] = message.split("\n");
    const signature = signatureOf(
      `${kind} ${first} ${frames.find((frame) => frame.includes("/src/")) ?? ""}`,
    );
    if (failed.has(signature)) return;
    failed.add(signature);
    observer.fail({ kind, message, input });
  };
  const secondsSoFar = () => (performance.now() - startedMs) / 1000;
  /** Share of the budget that is used up. */
  const share = () =>
    budget.iterations === undefined
      ? secondsSoFar() / (budget.seconds ?? 1)
      : executed / Math.max(1, budget.iterations);

  const tryInput = async (input: Uint8Array): Promise<Outcome | undefined> => {
    observer.begin(input);
    const before = performance.now();
    let outcome: Outcome | undefined;
    try {
      // A copy: a boundary that changes its input must not spoil the corpus.
      const judged = judge(input.slice());
      outcome = judged instanceof Promise ? await judged : judged;
    } catch (error) {
      fail("error", describe(error), input);
    }
    const took = performance.now() - before;
    observer.end();
    executed++;
    if (took > Math.max(noticedMs, slowestMs)) {
      // The machine may have been busy, and caches warm: what counts is the best of three tries with cold ones.
      const alone = await coldMs(target, fixture, input, Math.max(noticedMs, slowestMs));
      if (alone > slowestMs) [slowestMs, slowest] = [alone, input];
      if (alone > target.limitMs) fail("slow", `${Math.round(alone)} ms, at most ${target.limitMs}`, input);
    }
    return outcome;
  };

  for (const seed of fixture.seeds) {
    const outcome = await tryInput(seed);
    if (outcome !== undefined) seen.add(signatureOf(outcome));
    if (outcome?.startsWith("accepted")) accepted++;
  }
  while (share() < 1 && failed.size < maxFailures) {
    const parent = pickParent(prng, prng.once(2) ? fixture.seeds : corpus);
    const input =
      target.mutate?.(prng, parent, corpus) ?? mutate(prng, target.form, parent, corpus, target.maxBytes);
    const outcome = await tryInput(input);
    if (outcome !== undefined) {
      if (outcome.startsWith("accepted")) accepted++;
      const signature = signatureOf(outcome);
      if (!seen.has(signature) && seen.size < maxKept) {
        seen.add(signature);
        corpus.push(input);
      }
    }
    if (baseline === undefined && share() > 0.1) baseline = residentMiB();
  }
  const growthMiB = baseline === undefined ? 0 : residentMiB() - baseline;
  if (growthMiB > (target.maxGrowthMiB ?? defaultGrowthMiB))
    fail("growth", `${Math.round(growthMiB)} MiB more than at the start`, new Uint8Array(0));
  return {
    executed,
    accepted,
    outcomes: seen.size,
    corpus: corpus.length,
    slowestMs,
    slowest,
    seconds: secondsSoFar(),
    growthMiB,
  };
}

/** Large inputs cost much and are worth little more, so they are taken seldom. */
function pickParent(prng: Prng, inputs: readonly Uint8Array[]): Uint8Array {
  let parent = prng.pick(inputs);
  for (let tries = 0; tries < 3 && parent.length > 16_384 && !prng.once(16); tries++)
    parent = prng.pick(inputs);
  return parent;
}

/** @returns the shortest of three tries, ms; a try that stays under `enough` is the last one */
async function coldMs(target: Target, fixture: Fixture, input: Uint8Array, enough: number): Promise<number> {
  const provider = crypto();
  let best = Number.POSITIVE_INFINITY;
  try {
    for (let tries = 0; tries < 3 && best > enough; tries++) {
      // Caches hang on the provider, so another object with the same functions begins with empty ones.
      useCryptoProvider({ ...provider });
      const judge = await target.open(fixture);
      const copy = input.slice();
      const before = performance.now();
      const used = process.cpuUsage();
      await Promise.resolve(judge(copy)).catch(() => undefined);
      const { user, system } = process.cpuUsage(used);
      // On a busy machine the clock also counts the work of others, and processor time that of the collector's threads.
      best = Math.min(best, performance.now() - before, (user + system) / 1000);
    }
  } catch {
    // It fails at once, which has been reported.
    return 0;
  } finally {
    useCryptoProvider(provider);
  }
  return best;
}

function residentMiB(): number {
  Bun.gc(true);
  return process.memoryUsage.rss() / 2 ** 20;
}

/** Without what differs between inputs that end alike: numbers, hex, quoted text, labels, names. */
function signatureOf(text: string): string {
  return text
    .slice(0, 400)
    .replace(/"(?:[^"\\]|\\.)*"?/g, "Q")
    .replace(/(?<=: )[A-Z][A-Z0-9 ]{2,}/g, "L")
    .replace(/\/tmp\/\S+/g, "P")
    .replace(/\b[0-9a-f]{6,}\b/g, "H")
    .replace(/[0-9]+/g, "N")
    .replace(/(CN|O|OU|C|L)=[^\n]*/g, "$1=…")
    .slice(0, 160);
}

/** The error with its first frames, and those of its causes. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const frames = (error.stack ?? "")
    .split("\n")
    .slice(1, 6)
    .map((frame) => frame.trim());
  const cause = error.cause === undefined ? [] : [`cause: ${describe(error.cause)}`];
  return [`${error.name}: ${error.message}`, ...frames, ...cause].join("\n    ");
}
