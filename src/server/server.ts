import { ChannelError } from "../channel/channelError.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { personOf } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import type { Store } from "../store/store.ts";
import { Accounts } from "./accounts.ts";
import { CertificateBook } from "./certificateBook.ts";
import { ConversationLogs } from "./conversationLogs.ts";
import { describeError } from "./describeError.ts";
import { Listener } from "./listener.ts";
import { PasswordHasher } from "./passwordHasher.ts";
import { certificateRecord } from "./person.ts";
import { Relay } from "./relay.ts";
import { Revocation } from "./revocation.ts";
import { ServerError } from "./serverError.ts";
import { serverIdentity } from "./serverIdentity.ts";
import { defaultLimits, retention, type ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import type { Services } from "./services.ts";
import { runSession, type SessionServices } from "./session.ts";
import { SessionRegistry } from "./sessionRegistry.ts";

export interface ServerOptions {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** The server's certificate, then its intermediates, DER. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  /** The CAs whose users may connect and whose server this is. */
  readonly anchors: readonly Certificate[];
  /** A CRL file, PEM or DER. Without one nobody counts as revoked. */
  readonly crl?: Uint8Array;
  /** Belongs to the server from the moment `startServer` resolves. */
  readonly store: Store;
  readonly registration: "open" | "closed";
  readonly random: (length: number) => Uint8Array;
  /** ms since the epoch */
  readonly now: () => number;
  readonly log: ServerLog;
  readonly limits?: Partial<ServerLimits>;
}

export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** Connections, and those among them that are logged in. */
  readonly connections: number;
  readonly sessions: number;
  /** Takes a newer CRL: everybody is sent it, and whoever it names is cut off. @throws {ServerError} `CRL_REFUSED` */
  replaceCrl(file: Uint8Array): void;
  /** Answers what was posted, tells every client `shutting_down`, closes connections and store. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts a server. When it rejects nothing is listening and the store is still the caller's.
 *
 * @throws {ServerError} for certificate, key, CRL, host and port; {StoreError}
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { host, store, now, log, random, registration, anchors } = options;
  const limits: ServerLimits = { ...defaultLimits, ...options.limits };
  const revocation = new Revocation(anchors);
  if (options.crl !== undefined) revocation.replace(options.crl, now());
  const identity = serverIdentity(options, revocation);

  const certificates = new CertificateBook(store.accounts, anchors, revocation);
  const sessions = new SessionRegistry();
  const shared: Services = {
    store,
    identity,
    anchors,
    revocation,
    certificates,
    sessions,
    limits,
    registration,
    now,
    log,
  };
  const logs = new ConversationLogs(store.log, certificates);
  const relay = new Relay({ ...shared, logs });
  const passwords = new PasswordHasher(limits);
  const { chain, key } = identity;
  const services: SessionServices = {
    ...shared,
    logs,
    relay,
    accounts: new Accounts({ ...shared, passwords }),
    handshake: { random, chain, key, verifyClient: clientVerifier(shared) },
  };

  await passwords.prepare();
  if (
    (await store.accounts.putCertificate(certificateRecord(identity.verified, "server"), now())) !== "stored"
  )
    throw new ServerError(
      "CERTIFICATE_REFUSED",
      "the store knows another certificate with this issuer and serial number, issue a new one",
    );
  const running = new Set<Promise<void>>();
  const listener = new Listener({
    host,
    port: options.port,
    limits,
    log,
    run: async (connection, network, onHandshakeEnd) => {
      const session = runSession(connection, network, services, onHandshakeEnd);
      running.add(session);
      await session;
      running.delete(session);
    },
  });
  log("INFO", `Server running on ${host}:${listener.port}`);
  sweep(shared);
  const sweeper = setInterval(() => sweep(shared), retention.sweepEveryMs);

  const stop = async () => {
    log("INFO", "Server shutting down");
    clearInterval(sweeper);
    relay.refuseNewPosts();
    await relay.whenIdle();
    await listener.stop();
    await Promise.all(running);
    await store.close();
    log("INFO", "Server stopped");
  };
  let stopping: Promise<void> | undefined;
  return {
    host,
    port: listener.port,
    get connections() {
      return listener.connections;
    },
    get sessions() {
      return sessions.size;
    },
    replaceCrl: (file) => replaceCrl(shared, file),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Judges a client's chain: path, purpose, names, revocation. */
function clientVerifier({ anchors, revocation, now }: Services) {
  return (chain: readonly Uint8Array[]): VerifiedCertificate => {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new PkiError("NO_PATH", "the client has sent no certificate");
    const crls = revocation.crl === undefined ? [] : [revocation.crl];
    const verified = verifyPath({
      leaf,
      intermediates,
      anchors,
      crls,
      // A list that is overdue still says who is revoked.
      crlGraceMs: Number.POSITIVE_INFINITY,
      purpose: "client",
      atMs: now(),
    });
    personOf(leaf);
    return verified;
  };
}

function replaceCrl(services: Services, file: Uint8Array): void {
  const { revocation, sessions, log, now } = services;
  const crl = revocation.replace(file, now());
  log("INFO", `CRL number ${crl.number} in use`);
  for (const session of [...sessions.all()]) {
    if (revocation.isRevoked(session.member.certificate))
      session.end(new ChannelError("CERTIFICATE_REVOKED", "the certificate of this client is revoked"));
    else session.send({ type: "crl", crl: crl.der });
  }
}

/** What has to be done now and then. */
function sweep({ store, revocation, now, log }: Services): void {
  const { crl } = revocation;
  if (crl !== undefined && now() > crl.nextUpdateMs)
    log("WARNING", `The CRL was due for renewal at ${new Date(crl.nextUpdateMs).toISOString()}`);
  store.sweep({ nowMs: now(), ...retention }).catch((error: unknown) => {
    log("WARNING", `Expired data could not be deleted: ${describeError(error)}`);
  });
}
