import { type ConnectionOptions, type Parameter, PostgresConnection } from "./postgresConnection.ts";
import { sqlStateOf, unavailable } from "./postgresError.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

/** Statements inside one transaction. Those that are asked for without waiting go out together and run in order. */
export interface Transaction {
  /** @throws {StoreError}; the transaction can't be committed then */
  query<Row extends object>(text: string, parameters?: readonly Parameter[]): Promise<readonly Row[]>;
}

export interface DatabaseOptions {
  readonly connection: ConnectionOptions;
  readonly maxConnections: number;
  /** Calls that may wait for a connection; one more is refused. */
  readonly maxWaiting: number;
  /** How long a call may wait for a connection, and then for everything that it does on it. */
  readonly waitMs: number;
  readonly useMs: number;
}

/** How often a transaction begins again that PostgreSQL has ended in favour of another. */
const maxAttempts = 4;
/** After a failed attempt to connect the next one waits so long, doubled each time. */
const minPauseMs = 50;
const maxPauseMs = 1_000;

interface Waiter {
  readonly resolve: (connection: PostgresConnection | undefined) => void;
  readonly reject: (error: StoreError) => void;
}

/**
 * A bounded pool of connections. What can't be had in time rejects with `UNAVAILABLE`: nobody waits for ever, and nothing
 * piles up without limit while the database is slow or away. Connections are made when needed, so it comes back by itself.
 */
export class PostgresDatabase {
  readonly #options: DatabaseOptions;
  readonly #idle: PostgresConnection[] = [];
  readonly #waiters = new Set<Waiter>();
  #open = 0;
  #calls = 0;
  #pauseMs = 0;
  #retryAtMs = 0;
  #lastFailure = unavailable("the database can't be reached");
  #whenQuiet: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  /** Runs one statement in a transaction of its own. */
  query<Row extends object>(text: string, parameters: readonly Parameter[] = []): Promise<readonly Row[]> {
    return this.accept(() => this.#repeated((connection) => connection.query<Row>(text, parameters)));
  }

  /** Runs `work` in a transaction: durable when it resolves, undone when it rejects, unless with `UNAVAILABLE`. May run `work`
   *  again from the beginning. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.accept(() => this.acceptedTransaction(work));
  }

  /** Takes a call that `close` then waits for. @throws {StoreError} `CLOSED` */
  async accept<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new StoreError("CLOSED", "the store is closed");
    this.#calls += 1;
    try {
      return await call();
    } finally {
      this.#calls -= 1;
      if (this.#calls === 0) this.#whenQuiet?.();
    }
  }

  /** As `transaction`, for a part of a call that was accepted before. */
  acceptedTransaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#repeated((connection) => runTransaction(connection, work));
  }

  /** A transaction of several statements or of one. */
  async #repeated<T>(transaction: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#use(transaction);
      } catch (error) {
        // Serialization failure and deadlock: PostgreSQL has undone this one so that another can go on.
        const state = sqlStateOf(error);
        if ((state !== "40001" && state !== "40P01") || attempt === maxAttempts) throw error;
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#calls > 0)
      await new Promise<void>((resolve) => {
        this.#whenQuiet = resolve;
      });
    await Promise.all(this.#idle.splice(0).map((connection) => connection.end()));
  }

  async #use<T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const connection = await this.#acquire();
    // Beyond the server's own time limits: a network that swallows everything.
    const watchdog = setTimeout(
      () => connection.destroy(unavailable("the database does not answer")),
      this.#options.useMs,
    );
    try {
      return await work(connection);
    } finally {
      clearTimeout(watchdog);
      this.#release(connection);
    }
  }

  async #acquire(): Promise<PostgresConnection> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle !== undefined) return idle;
      if (this.#open < this.#options.maxConnections && performance.now() >= this.#retryAtMs)
        return await this.#connect();
      if (this.#open === 0) {
        this.#refuseWaiters();
        throw this.#lastFailure;
      }
      const handed = await this.#wait();
      if (handed?.isOpen) return handed;
    }
  }

  async #connect(): Promise<PostgresConnection> {
    this.#open += 1;
    let counted = true;
    const forget = () => {
      if (!counted) return;
      counted = false;
      this.#open -= 1;
      const [next] = this.#waiters;
      next?.resolve(undefined);
    };
    let connection: PostgresConnection | undefined;
    try {
      connection = await PostgresConnection.open({
        ...this.#options.connection,
        onClosed: () => {
          const at = connection === undefined ? -1 : this.#idle.indexOf(connection);
          if (at !== -1) this.#idle.splice(at, 1);
          forget();
        },
      });
      this.#pauseMs = 0;
      return connection;
    } catch (error) {
      this.#pauseMs = Math.min(maxPauseMs, Math.max(minPauseMs, 2 * this.#pauseMs));
      this.#retryAtMs = performance.now() + this.#pauseMs;
      if (error instanceof StoreError) this.#lastFailure = error;
      forget();
      if (this.#open === 0) this.#refuseWaiters();
      throw error;
    }
  }

  #refuseWaiters(): void {
    for (const waiter of [...this.#waiters]) waiter.reject(this.#lastFailure);
  }

  /** @returns a connection, or `undefined` when a place for one may be free */
  #wait(): Promise<PostgresConnection | undefined> {
    if (this.#waiters.size >= this.#options.maxWaiting)
      return Promise.reject(unavailable("too much is waiting for the database"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => waiter.reject(unavailable("the database is too busy")),
        this.#options.waitMs,
      );
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        act();
      };
      const waiter: Waiter = {
        resolve: (connection) => settle(() => resolve(connection)),
        reject: (error) => settle(() => reject(error)),
      };
      this.#waiters.add(waiter);
    });
  }

  #release(connection: PostgresConnection): void {
    if (!connection.isOpen) return;
    const [next] = this.#waiters;
    if (next === undefined) this.#idle.push(connection);
    else next.resolve(connection);
  }
}

export async function runTransaction<T>(
  connection: PostgresConnection,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const asked: Promise<unknown>[] = [connection.command("BEGIN")];
  // A statement that nobody waits for must not end the process; its error is found below.
  asked[0]?.catch(() => undefined);
  const query = <Row extends object>(text: string, parameters: readonly Parameter[] = []) => {
    const rows = connection.query<Row>(text, parameters);
    rows.catch(() => undefined);
    asked.push(rows);
    return rows;
  };
  let value: T;
  try {
    value = await work({ query });
    for (const one of asked) await one;
  } catch (error) {
    // What failed first says why; what came after it only that the transaction has failed.
    const failed = (await Promise.allSettled(asked)).find((one) => one.status === "rejected");
    try {
      await connection.command("ROLLBACK");
    } catch {
      // Without the connection the transaction is gone too.
      connection.destroy(unavailable("the connection is of no use"));
    }
    if (error instanceof Undo) return error.outcome as T;
    throw failed === undefined ? error : failed.reason;
  }
  // PostgreSQL answers ROLLBACK to the COMMIT of a transaction in which something had failed.
  if ((await connection.command("COMMIT")) !== "COMMIT") throw unavailable("the database has not committed");
  return value;
}
