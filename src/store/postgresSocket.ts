import { connect as connectTcp, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import type { PostgresAddress } from "./postgresAddress.ts";

/** PostgreSQL, "SSLRequest": uint32 length 8 || uint32 80877103. */
const sslRequest = Uint8Array.of(0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f);

export interface SocketOptions {
  /** PEM; `undefined`: the well-known CAs. */
  readonly rootCertificates: string | undefined;
  /** Aborts the attempt. */
  readonly signal: AbortSignal;
}

/**
 * Connects to PostgreSQL, in TLS where the address says so. Ours and not the library's, because it has to fail rather than go on
 * unprotected, must read nothing that came before TLS, and because a connection that is lost must not come back by itself in
 * the middle of a transaction.
 *
 * @throws {Error} of the system, or one that says what is wrong with the server's TLS
 */
export async function openSocket(address: PostgresAddress, options: SocketOptions): Promise<Socket> {
  const { host, port, sslMode } = address;
  const path = `${host}/.s.PGSQL.${port}`;
  const tcp = host.startsWith("/") ? connectTcp({ path }) : connectTcp({ host, port });
  // An error after the attempt has ended one way or the other is nobody's business.
  tcp.on("error", () => undefined);
  const abort = () => tcp.destroy(new Error("no answer in time"));
  options.signal.addEventListener("abort", abort);
  try {
    await event(tcp, "connect");
    if (sslMode === "disable") return tcp;
    tcp.write(sslRequest);
    const answer = await event(tcp, "data");
    tcp.pause();
    if (!(answer instanceof Uint8Array) || answer.length !== 1 || answer[0] !== 0x53)
      throw new Error("the server offers no TLS; say sslmode=disable if its network is safe");
    return await secure(tcp, address, options);
  } catch (error) {
    tcp.destroy();
    throw error;
  } finally {
    options.signal.removeEventListener("abort", abort);
  }
}

async function secure(tcp: Socket, address: PostgresAddress, options: SocketOptions): Promise<Socket> {
  const { host, sslMode } = address;
  const { rootCertificates } = options;
  const tls = connectTls({
    socket: tcp,
    host,
    minVersion: "TLSv1.2",
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(rootCertificates === undefined ? {} : { ca: rootCertificates }),
    rejectUnauthorized: sslMode !== "require",
    checkServerIdentity: (_, certificate) =>
      sslMode === "verify-full" ? checkServerIdentity(host, certificate) : undefined,
  });
  tls.on("error", () => undefined);
  await event(tls, "secureConnect");
  if (sslMode !== "require" && !tls.authorized) {
    tls.destroy();
    throw new Error(`the server's certificate is not good: ${String(tls.authorizationError)}`);
  }
  return tls;
}

/** Waits for an event; rejects when the socket fails or ends instead. */
function event(socket: Socket, name: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      socket.off(name, happened);
      socket.off("error", failed);
      socket.off("close", ended);
      act();
    };
    const happened = (value: unknown) => settle(() => resolve(value));
    const failed = (error: Error) => settle(() => reject(error));
    const ended = () => settle(() => reject(new Error("the server closed the connection")));
    socket.on(name, happened);
    socket.on("error", failed);
    socket.on("close", ended);
  });
}
