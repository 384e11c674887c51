import { CodedError } from "../../src/base/codedError.ts";
import type { Fixture } from "./fixture.ts";
import type { Form } from "./mutate.ts";
import type { Prng } from "./prng.ts";

/** How an input ended: `accepted`, or the code and message of the refusal. Inputs that end in a new way are kept. */
export type Outcome = string;

/** One boundary where bytes from outside come in. */
export interface Target {
  readonly name: string;
  readonly form: Form;
  /** No input may take longer, ms. */
  readonly limitMs: number;
  /** Longer inputs are cut. */
  readonly maxBytes: number;
  /** Inputs of a run in the test suite. */
  readonly iterations: number;
  /** Resident memory may grow by so much over a run, MiB; default 256. */
  readonly maxGrowthMiB?: number;
  /** Makes seeds and what they are judged by. */
  makeFixture(): Promise<Fixture>;
  /** @returns the judgement of one input. It throws what the boundary must never throw, or `Violation`. */
  open(fixture: Fixture): Promise<(input: Uint8Array) => Outcome | Promise<Outcome>>;
  /** In place of the edits for `form`. */
  mutate?(prng: Prng, input: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array;
}

/** Something was accepted that must not be, or not as it was. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export function demand(holds: boolean, what: string): void {
  if (!holds) throw new Violation(what);
}

type ErrorClass = abstract new (...args: never[]) => CodedError<string>;

/**
 * Runs the code of a boundary.
 *
 * @param classes of errors that the boundary may refuse with; every other error is a failure
 */
export async function attempt<T>(
  classes: readonly ErrorClass[],
  call: () => T | Promise<T>,
): Promise<{ readonly value: T } | { readonly refused: Outcome }> {
  try {
    return { value: await call() };
  } catch (error) {
    return { refused: refusalOf(error, classes) };
  }
}

/** As `attempt`, for code that returns at once. */
export function attemptSync<T>(
  classes: readonly ErrorClass[],
  call: () => T,
): { readonly value: T } | { readonly refused: Outcome } {
  try {
    return { value: call() };
  } catch (error) {
    return { refused: refusalOf(error, classes) };
  }
}

function refusalOf(error: unknown, classes: readonly ErrorClass[]): Outcome {
  if (!(error instanceof CodedError) || !classes.some((one) => error instanceof one)) throw error;
  // The cause says which check it was where a boundary has one code and one sentence for many.
  const cause = error.cause instanceof Error ? ` < ${error.cause.message}` : "";
  return `${error.code}: ${error.message}${cause}`;
}
