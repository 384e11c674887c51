import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { printWarning } from "./warning.ts";

const defaultCa = "certs/ca_cert.pem";

/**
 * The default is a path from where the verifier stands, which may be inside of a folder that somebody else made: then
 * `certs/ca_cert.pem` is theirs, and no anchor.
 *
 * @param places of the evidence: folders and files that others may have made
 * @returns `undefined` when there is none to be used
 */
export function findDefaultCa(places: readonly string[]): string | undefined {
  if (!existsSync(defaultCa)) return undefined;
  // Where it stands, and where a link there leads to.
  const found = [join(realpathSync("."), defaultCa), realpathSync(defaultCa)];
  const inside = places.find((place) => found.some((file) => isWithin(file, place)));
  if (inside === undefined) return defaultCa;
  printWarning(
    `${defaultCa} lies in the evidence itself (${inside}), so it is not used: name your own CA certificate with --ca`,
  );
  return undefined;
}

/** @returns whether `file` is in the folder at `place`, or in the one that holds the file at `place` */
function isWithin(file: string, place: string): boolean {
  if (!existsSync(place)) return false;
  const folder = statSync(place).isDirectory() ? place : dirname(place);
  const way = relative(realpathSync(folder), file);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
