import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { announceMissingVectors, vectorsFolder } from "./vectorsFolder.ts";

/** One vector with the fields of its group under `group`. Bytes are hex texts; `bytesOf` reads them. */
export interface WycheproofVector {
  readonly tcId: number;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly group: Readonly<Record<string, unknown>>;
}

interface WycheproofFile {
  readonly numberOfTests: number;
  readonly testGroups: readonly ({ readonly tests: readonly WycheproofTest[] } & Record<string, unknown>)[];
}

type WycheproofTest = Omit<WycheproofVector, "fields" | "group"> & Record<string, unknown>;

const folder = vectorsFolder === undefined ? undefined : join(vectorsFolder, "wycheproof");
if (folder === undefined) announceMissingVectors("Wycheproof vectors for both crypto providers");

export const haveWycheproof: boolean = folder !== undefined;

/** @returns the names of all vector files that are there */
export function wycheproofFiles(): string[] {
  if (folder === undefined) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort();
}

/** @returns the vectors of a file, as many as it says it has */
export function readWycheproof(name: string): readonly WycheproofVector[] {
  if (folder === undefined) throw new Error("no Wycheproof folder");
  const file: WycheproofFile = JSON.parse(readFileSync(join(folder, name), "utf8"));
  const vectors = file.testGroups.flatMap((group) =>
    group.tests.map((fields) => ({ tcId: fields.tcId, result: fields.result, fields, group })),
  );
  if (vectors.length !== file.numberOfTests) throw new Error(`${name} has not ${file.numberOfTests} vectors`);
  return vectors;
}

/** @returns the bytes of a hex field */
export function bytesOf(fields: Readonly<Record<string, unknown>>, name: string): Uint8Array {
  const value = fields[name];
  if (typeof value !== "string") throw new Error(`vector without ${name}`);
  return Uint8Array.fromHex(value);
}

/** @returns a number field */
export function numberOf(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name];
  if (typeof value !== "number") throw new Error(`vector without ${name}`);
  return value;
}
