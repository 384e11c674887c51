import type { Socket } from "node:net";
import postgres from "postgres";
import type { PostgresAddress } from "./postgresAddress.ts";
import { PostgresFailure, storeErrorOf, unavailable } from "./postgresError.ts";
import { openSocket } from "./postgresSocket.ts";
import { StoreError } from "./storeError.ts";

/** What a statement takes; an array goes as the text that `arrayLiteral` makes of it. */
export type Parameter = string | number | boolean | null | Uint8Array;

export interface ConnectionOptions {
  readonly address: PostgresAddress;
  /** PEM; `undefined`: the well-known CAs. */
  readonly rootCertificates: string | undefined;
  readonly connectTimeoutMs: number;
  /** The server gives up a statement after this; 0: never. */
  readonly statementTimeoutMs: number;
  /** How long a statement waits for a row that another transaction has locked, and how long that one may idle; 0: for ever. */
  readonly lockTimeoutMs: number;
  readonly onNotification?: (channel: string, payload: string) => void;
  /** Called once, when the connection is of no more use. */
  readonly onClosed?: () => void;
}

const types = {
  bytes: {
    to: 17,
    from: [17],
    serialize: (bytes: Uint8Array) => `\\x${bytes.toHex()}`,
    parse: (text: string) => Uint8Array.fromHex(text.slice(2)),
  },
  int8: { to: 20, from: [20], serialize: String, parse: safeInteger },
};

/**
 * One connection to PostgreSQL: one client of postgres.js with one socket, that is thrown away when the socket is lost. The
 * library's own pool reconnects under a running transaction and can hang on what was half written; here nothing is sent
 * after a failure. Statements that are asked for without waiting go out together and run in order.
 */
export class PostgresConnection {
  readonly #sql: postgres.Sql;
  readonly #socket: Socket;
  readonly #onClosed: () => void;
  readonly #waiting = new Set<(error: StoreError) => void>();
  #failure: StoreError | undefined;

  private constructor(socket: Socket, options: ConnectionOptions) {
    const { address, statementTimeoutMs, lockTimeoutMs, onNotification, onClosed } = options;
    this.#socket = socket;
    this.#onClosed = onClosed ?? (() => undefined);
    let taken = false;
    // Whatever the library would otherwise take from PG… variables is given. It asks for a socket again only after the first
    // was lost; its types don't know that it asks, hence the cast below.
    const settings = {
      host: "the socket below",
      database: address.database,
      user: address.user,
      pass: () => address.password ?? "",
      max: 1,
      ssl: false,
      sslnegotiation: null,
      idle_timeout: 0,
      connect_timeout: 0,
      max_lifetime: null,
      max_pipeline: 1_000,
      keep_alive: 30,
      prepare: true,
      debug: false,
      fetch_types: false,
      types,
      connection: {
        application_name: "securechat",
        default_transaction_isolation: "read committed",
        // The operator's database may be set to PostgreSQL's older form, which `types` does not read.
        bytea_output: "hex",
        statement_timeout: String(statementTimeoutMs),
        lock_timeout: String(lockTimeoutMs),
        idle_in_transaction_session_timeout: String(lockTimeoutMs),
      },
      onnotice: () => undefined,
      onnotify: onNotification,
      onclose: () => this.#fail(unavailable("the connection to the database was lost")),
      socket: () => {
        if (taken) throw new Error("the connection is closed");
        taken = true;
        return socket;
      },
    } as const;
    this.#sql = postgres(settings as unknown as postgres.Options<Record<string, never>>);
  }

  /** @throws {StoreError} `UNAVAILABLE`; its cause says why */
  static async open(options: ConnectionOptions): Promise<PostgresConnection> {
    const { address, rootCertificates, connectTimeoutMs } = options;
    let socket: Socket;
    try {
      const signal = AbortSignal.timeout(connectTimeoutMs);
      socket = await openSocket(address, { rootCertificates, signal });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw unavailable("the database can't be reached", new PostgresFailure("", text));
    }
    const connection = new PostgresConnection(socket, options);
    const timer = setTimeout(
      () => connection.destroy(unavailable("the database does not answer")),
      connectTimeoutMs,
    );
    try {
      // The operator may have switched off for a role what "stored" promises.
      await connection.query(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
      );
      return connection;
    } catch (error) {
      connection.destroy(storeErrorOf(error));
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /** Runs one statement, prepared at its first use. @throws {StoreError} */
  query<Row extends object>(text: string, parameters: readonly Parameter[] = []): Promise<readonly Row[]> {
    return this.#run(async () => {
      const options = { prepare: true, simple: false };
      return [...(await this.#sql.unsafe<Row[]>(text, [...parameters], options))];
    });
  }

  /** Runs one or more statements without parameters. @returns what the last one was, e.g. `COMMIT` @throws {StoreError} */
  command(text: string): Promise<string> {
    return this.#run(async () => {
      const result = await this.#sql.unsafe(text).simple();
      return result.command ?? "";
    });
  }

  /** Gives up the connection and everything that runs on it. */
  destroy(reason: StoreError): void {
    this.#fail(reason);
  }

  /** Says good-bye. Nothing may be running. */
  async end(): Promise<void> {
    await this.#sql.end({ timeout: 1 });
    this.destroy(new StoreError("CLOSED", "the store is closed"));
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      work().then(
        (value) => {
          this.#waiting.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiting.delete(reject);
          const failure = storeErrorOf(error);
          reject(failure);
          if (!(error instanceof postgres.PostgresError) || /FATAL|PANIC/.test(error.severity))
            this.#fail(failure);
        },
      );
    });
  }

  /** The socket is destroyed with it, so nothing that was sent later can reach the server half. */
  #fail(failure: StoreError): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    for (const reject of [...this.#waiting]) reject(failure);
    this.#waiting.clear();
    this.#socket.destroy();
    this.#onClosed();
  }
}

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new StoreError("CORRUPT", "a number in the store is out of range");
  return value;
}
