import { visible } from "../base/visible.ts";
import type { RunningServer } from "../server/server.ts";
import type { ServerLog } from "../server/serverLog.ts";
import { readFile } from "./files.ts";
import type { ServerCredential } from "./serverCredential.ts";
import { watchFile } from "./watchFile.ts";

/**
 * Takes over what the operator renews while the server runs: a changed CRL file by itself, certificate, key and CRL on
 * SIGHUP. What can't be used is logged, and what was in use stays.
 *
 * @param crlFile `undefined`: the server runs without one
 * @returns ends it
 */
export function takeRenewals(
  server: Pick<RunningServer, "replaceCrl" | "replaceIdentity">,
  { credential, crlFile, log }: { credential: ServerCredential; crlFile: string | undefined; log: ServerLog },
): () => void {
  const takeCrl = () => {
    if (crlFile === undefined) return;
    try {
      server.replaceCrl(readFile(crlFile, "revocation list"));
    } catch (error) {
      log("ERROR", `CRL ${visible(crlFile)} not taken: ${reasonOf(error)}; the one in use stays`);
    }
  };
  const takeCredential = async () => {
    try {
      const { chain, key } = await credential.read();
      await server.replaceIdentity({ chain: chain.map(({ der }) => der), key });
    } catch (error) {
      log(
        "ERROR",
        `Certificate ${visible(credential.certFile)} not taken: ${reasonOf(error)}; the one in use stays`,
      );
    }
  };
  // One after the other: the last signal is obeyed last.
  let reloading = Promise.resolve();
  const onHangUp = () => {
    reloading = reloading.then(async () => {
      log("INFO", "SIGHUP: reading certificate, key and CRL again");
      takeCrl();
      await takeCredential();
    });
  };
  process.on("SIGHUP", onHangUp);
  const endWatch = crlFile === undefined ? () => {} : watchFile(crlFile, takeCrl);
  // It may have been replaced since it was read at the start.
  takeCrl();
  return () => {
    process.off("SIGHUP", onHangUp);
    endWatch();
  };
}

function reasonOf(error: unknown): string {
  return visible(error instanceof Error ? error.message : String(error));
}
