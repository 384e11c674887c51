import { ChannelError } from "../channel/channelError.ts";
import type { MessageLink } from "../channel/messageLink.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { Store } from "../store/store.ts";
import { Accounts } from "./accounts.ts";
import { AccountWatch } from "./accountWatch.ts";
import { CertificateBook } from "./certificateBook.ts";
import { ChangeFollower } from "./changeFollower.ts";
import { clientVerifier } from "./clientVerifier.ts";
import { ConversationLogs } from "./conversationLogs.ts";
import { DeliveryMarks } from "./deliveryMarks.ts";
import { EndingWatch } from "./endingWatch.ts";
import { ExpiryWatch } from "./expiryWatch.ts";
import { Listener } from "./listener.ts";
import { OperatorSessions } from "./operatorSessions.ts";
import { OwnIdentity, type ServerIdentity } from "./ownIdentity.ts";
import { PasswordHasher } from "./passwordHasher.ts";
import { Readiness } from "./readiness.ts";
import { Relay } from "./relay.ts";
import { replaceCrl } from "./replaceCrl.ts";
import { replaceIdentity, storeIdentity } from "./replaceIdentity.ts";
import { Restoration } from "./restoration.ts";
import { type CrlPolicy, Revocation } from "./revocation.ts";
import { type ConnectionServices, runSession } from "./runSession.ts";
import type { ServerGauges } from "./serverGauges.ts";
import { serverIdentity } from "./serverIdentity.ts";
import { defaultLimits, retention, type ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import { noMeter, type ServerMeter } from "./serverMeter.ts";
import type { Services } from "./services.ts";
import { type Member, SessionRegistry } from "./sessionRegistry.ts";
import { SharedCrls } from "./sharedCrls.ts";
import { StorageQuota } from "./storageQuota.ts";
import { StoreWatch } from "./storeWatch.ts";
import { sweep } from "./sweep.ts";
import { Tickets } from "./tickets.ts";
import { TokenBuckets } from "./tokenBuckets.ts";
import { HandshakeTurns, WorkInProgress } from "./turns.ts";

export interface ServerOptions {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** Whether other processes of the same user may listen on the same port: Linux deals the connections out to them. */
  readonly reusePort?: boolean;
  /** The server's certificate, then its intermediates, DER. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  /** The CAs whose users may connect and whose server this is. */
  readonly anchors: readonly Certificate[];
  /** A CRL file as `parseCrlBundle` reads it. Without one nobody counts as revoked. */
  readonly crl?: Uint8Array;
  /** Default `defaultCrlPolicy`. */
  readonly crlPolicy?: CrlPolicy;
  /** Belongs to the server from the moment `startServer` resolves. */
  readonly store: Store;
  readonly registration: "open" | "closed";
  /** Conversations without an entry for so many days are deleted. Default: none ever is. */
  readonly retentionDays?: number;
  /** Whether members may reach the server's operator, as soon as there is one. Default: yes. */
  readonly offersOperator?: boolean;
  readonly random: (length: number) => Uint8Array;
  /** ms since the epoch */
  readonly now: () => number;
  readonly log: ServerLog;
  readonly limits?: Partial<ServerLimits>;
  /** Told what happens; without it nothing is counted. */
  readonly meter?: ServerMeter;
}

/** A client that has logged in. */
export type OnlineMember = Pick<Member, "username" | "email" | "address" | "sinceMs">;

export interface RunningServer extends ServerGauges {
  readonly host: string;
  readonly port: number;
  /** Whether the store works, as far as the requests since have shown. */
  readonly isStoreReachable: boolean;
  /** Who is logged in, the server's operator apart. */
  online(): readonly OnlineMember[];
  /**
   * A session of the server's operator, who is a member under the server's certificate and needs no login. It takes the
   * place of an earlier one. It stays under the certificate that is in use now, also when `replaceIdentity` brings another.
   */
  attachOperator(): MessageLink;
  /**
   * Takes the newer lists of a file: everybody is sent them, and whoever they name is cut off.
   *
   * @returns whether there was a newer one
   * @throws {ServerError} `CRL_REFUSED`; what was in use stays
   */
  replaceCrl(file: Uint8Array): boolean;
  /**
   * Goes on with another certificate of the same names: for handshakes, checkpoints and receipts from now on. Sessions
   * stay.
   *
   * @throws {ServerError} as at the start; what was in use stays
   */
  replaceIdentity(identity: Pick<ServerIdentity, "chain" | "key">): Promise<void>;
  /** @returns why nobody can be served at the moment, `undefined` when they can */
  unready(): Promise<string | undefined>;
  /** Answers what was posted, tells every client `shutting_down`, closes connections and store. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts a server. When it rejects nothing is listening and the store is still the caller's.
 *
 * @throws {ServerError} for certificate, key, CRL, host and port; {StoreError}
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { host, now, log, random, registration, anchors, offersOperator = true, meter = noMeter } = options;
  const watch = new StoreWatch({ store: options.store, meter, now, log });
  const { store } = watch;
  const limits: ServerLimits = { ...defaultLimits, ...options.limits };
  const revocation = new Revocation({
    anchors,
    authorities: decodedOrNone(options.chain.slice(1)),
    ...(options.crlPolicy === undefined ? {} : { policy: options.crlPolicy }),
  });
  if (options.crl !== undefined) {
    revocation.replace(options.crl, now());
    // Another server may have been given a newer one.
    const take = (file: Uint8Array) => void revocation.replace(file, now());
    await new SharedCrls({ store, revocation, log }, take).exchange();
  }
  revocation.requireCurrent(now());
  const identity = new OwnIdentity(serverIdentity(options, revocation));

  const certificates = new CertificateBook(store.accounts, anchors, revocation);
  const sessions = new SessionRegistry();
  const monotonic = () => performance.now();
  const shared: Services = {
    store,
    identity,
    anchors,
    revocation,
    certificates,
    sessions,
    deliveryMarks: new DeliveryMarks(),
    limits,
    work: new TokenBuckets(limits.work, monotonic),
    storageQuota: new StorageQuota({ store, limit: limits.storedBytes, now, log }),
    registration,
    retentionDays: options.retentionDays,
    offersOperator,
    now,
    log,
    meter,
  };
  const readiness = new Readiness({ ...shared, watch });
  const restoration = new Restoration(shared, (allWait) => {
    relay.forgetLogs();
    endings.putBack();
    if (allWait) logs.forget();
  });
  const logs = new ConversationLogs(store.log, certificates, (one) => restoration.lost(one));
  const relay = new Relay({ ...shared, logs, restoration });
  const accountWatch = new AccountWatch(shared);
  const passwords = new PasswordHasher(limits);
  const verifyClient = clientVerifier(shared);
  const tickets = new Tickets({ ...shared, random });
  await passwords.prepare();
  await storeIdentity(shared, identity);
  const endings = await EndingWatch.create(shared);
  const inProgress = new WorkInProgress();
  const services: ConnectionServices = {
    ...shared,
    ...{ logs, relay, restoration, tickets, endings, accountWatch },
    accounts: new Accounts({ ...shared, passwords, tickets }),
    handshakeTurns: new HandshakeTurns(inProgress),
    inProgress,
    handshake: () => ({ random, chain: identity.chain, key: identity.key, verifyClient }),
  };

  const sharedCrls =
    options.crl === undefined ? undefined : new SharedCrls(shared, (file) => void replaceCrl(shared, file));
  const follower = new ChangeFollower({ ...shared, relay, restoration, accountWatch, sharedCrls });
  const endFollowing = await store.changes?.follow(follower);
  await restoration.open();
  // One that came before this was not heard of.
  sharedCrls?.exchangeSoon();
  let running = 0;
  const allEnded = Promise.withResolvers<void>();
  let isStopping = false;
  const sessionEnded = () => {
    running -= 1;
    if (isStopping && running === 0) allEnded.resolve();
  };
  const operators = new OperatorSessions(services);
  const listener = new Listener({
    host,
    port: options.port,
    reusePort: options.reusePort === true,
    limits,
    log,
    meter,
    run(connection, network, onHandshakeEnd) {
      running += 1;
      void runSession(connection, network, services, onHandshakeEnd).then(sessionEnded);
    },
  });
  log("INFO", `Server running on ${host}:${listener.port}`);
  const expiry = new ExpiryWatch(shared);
  const look = () => {
    expiry.look(now());
    void sweep(shared, tickets);
  };
  look();
  endings.start();
  const sweeper = setInterval(look, retention.sweepEveryMs);

  const stop = async () => {
    log("INFO", "Server shutting down");
    readiness.stop();
    clearInterval(sweeper);
    await endings.stop();
    relay.refuseNewPosts();
    passwords.stop();
    follower.stop();
    await endFollowing?.();
    await sharedCrls?.stop();
    await relay.whenIdle();
    await Promise.all([
      operators.stop(new ChannelError("SHUTTING_DOWN", "the server is shutting down")),
      listener.stop(),
    ]);
    isStopping = true;
    if (running > 0) await allEnded.promise;
    watch.stop();
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
    get postsWaiting() {
      return relay.waiting;
    },
    get certificateEndsMs() {
      return identity.verified.certificate.notAfterMs;
    },
    get crlNextUpdateMs() {
      return revocation.nextDue?.nextUpdateMs;
    },
    get isStoreReachable() {
      return watch.isReachable;
    },
    unready: () => readiness.unready(),
    online: () =>
      [...sessions.all()].map(({ member }) => member).filter(({ account }) => account !== undefined),
    attachOperator: () => operators.attach(),
    replaceCrl(file) {
      const isNewer = replaceCrl(shared, file);
      if (isNewer) sharedCrls?.exchangeSoon();
      return isNewer;
    },
    async replaceIdentity(next) {
      await replaceIdentity(shared, next);
      expiry.look(now());
    },
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Candidates for issuers of lists; whether they are certificates at all is judged with the server's own path. */
function decodedOrNone(chain: readonly Uint8Array[]): readonly Certificate[] {
  try {
    return chain.map(decodeCertificate);
  } catch (error) {
    if (error instanceof PkiError) return [];
    throw error;
  }
}
