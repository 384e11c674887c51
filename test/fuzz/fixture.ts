import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * All that a target needs to run, in bytes: whatever was made with fresh keys or by another program. Written beside an
 * input that failed, it makes the failure repeatable.
 */
export interface Fixture {
  /** Good inputs, what the mutations start from. */
  readonly seeds: readonly Uint8Array[];
  /** What the target judges by: anchors, keys, states. */
  readonly parts: Readonly<Record<string, Uint8Array>>;
}

const seedName = (index: number) => `seed-${String(index).padStart(4, "0")}`;

export function saveFixture(folder: string, { seeds, parts }: Fixture): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [index, seed] of seeds.entries()) writeFileSync(join(folder, seedName(index)), seed);
  for (const [name, bytes] of Object.entries(parts)) writeFileSync(join(folder, `part-${name}`), bytes);
}

export function loadFixture(folder: string): Fixture {
  const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
  const names = readdirSync(folder).sort();
  return {
    seeds: names.filter((name) => name.startsWith("seed-")).map(read),
    parts: Object.fromEntries(
      names.filter((name) => name.startsWith("part-")).map((name) => [name.slice(5), read(name)]),
    ),
  };
}

/** @throws when the fixture has no such part */
export function partOf({ parts }: Fixture, name: string): Uint8Array {
  const part = parts[name];
  if (part === undefined) throw new Error(`the fixture has no ${name}`);
  return part;
}

/** Parts `NAME.0`, `NAME.1`, … */
export function partsOf({ parts }: Fixture, name: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let part = parts[`${name}.0`]; part !== undefined; part = parts[`${name}.${found.length}`])
    found.push(part);
  return found;
}

export function numbered(name: string, parts: readonly Uint8Array[]): Record<string, Uint8Array> {
  return Object.fromEntries(parts.map((part, index) => [`${name}.${index}`, part]));
}
