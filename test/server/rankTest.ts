/**
 * Mann and Whitney's statistic as a probability: how likely a random one of `a` is greater than a random one of `b`, ties
 * counting half. Samples of one distribution give 0.5 with a standard deviation of √((n+m+1)/12nm), whatever it is.
 */
export function rankProbability(a: readonly number[], b: readonly number[]): number {
  let wins = 0;
  for (const x of a) for (const y of b) wins += x > y ? 1 : x === y ? 0.5 : 0;
  return wins / (a.length * b.length);
}

export function rankDeviation(a: readonly number[], b: readonly number[]): number {
  return Math.sqrt((a.length + b.length + 1) / (12 * a.length * b.length));
}

/** @returns quartiles, for people */
export function quartiles(samples: readonly number[]): string {
  const sorted = [...samples].sort((x, y) => x - y);
  return [0.25, 0.5, 0.75]
    .map((part) => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(1))
    .join(" / ");
}
