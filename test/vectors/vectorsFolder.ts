import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const candidates = [process.env.SECURECHAT_VECTORS, resolve(import.meta.dir, "../../../shared/vectors")];

/**
 * The folder with the public conformance data, or `undefined` where the machine does not have it; whoever skips for
 * that reason says so by name (see `announceMissingVectors`).
 */
export const vectorsFolder: string | undefined = candidates.find(
  (folder) => folder !== undefined && folder !== "" && existsSync(join(folder, "wycheproof")),
);

export function announceMissingVectors(what: string): void {
  process.stderr.write(
    `LEFT OUT: ${what}: no conformance data (set SECURECHAT_VECTORS to a folder with wycheproof/, limbo/, merkle/)\n`,
  );
}
