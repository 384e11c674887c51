import { ClientError } from "./clientError.ts";
import type { Connection } from "./connection.ts";
import type { SessionOptions } from "./sessionOptions.ts";

/**
 * Takes a list of revoked certificates that the server has sent. A newer one the server itself has to stand up to, then the
 * members; a server that doesn't is cut off. A list that is refused is told, and changes nothing.
 *
 * @param der controlled by the server
 */
export function takeCrl(
  der: Uint8Array,
  { revocations, directory, route, onEvent }: SessionOptions,
  session: {
    /** The connection by the time that the list was taken. */
    readonly connection: () => Connection | undefined;
    readonly onServerStands: () => void;
  },
): void {
  const judgeAgain = () => {
    const connection = session.connection();
    if (connection === undefined) return;
    try {
      directory.verifyServer(connection.serverChain, route.host);
    } catch (cause) {
      const message = `the server's certificate is refused: ${cause instanceof Error ? cause.message : ""}`;
      connection.close(new ClientError("SERVER_CERTIFICATE", message, { cause }));
      return;
    }
    session.onServerStands();
  };
  try {
    if (revocations.take(der)) judgeAgain();
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    const message = `the server's list of revoked certificates was refused: ${why}`;
    onEvent({ event: "warning", code: "STALE_CRL", message });
  }
}
