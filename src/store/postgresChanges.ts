import { encodeHex } from "../base/hex.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import type { Change, ChangeFeed, ChangeListener, DeliveredChange } from "./changeFeed.ts";
import { formatChange, parseChange } from "./changePayload.ts";
import { type ConnectionOptions, PostgresConnection } from "./postgresConnection.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";
import { unavailable } from "./postgresError.ts";
import { StoreError } from "./storeError.ts";

export const changeChannel = "securechat";

/** A connection that only listens would not notice that the network is gone. */
const probeEveryMs = 10_000;
const minPauseMs = 100;
const maxPauseMs = 5_000;

/**
 * NOTIFY is part of the transaction that changes something: it is heard when that is committed and not otherwise, in the
 * order of the commits. Payload: `<origin> <change>`, where the origin is 8 random bytes in hex that stand for the store
 * object that wrote it.
 */
export class PostgresChanges implements ChangeFeed {
  readonly #options: ConnectionOptions;
  readonly #db: PostgresDatabase;
  readonly #origin = encodeHex(systemRandom(8));
  readonly #followers = new Set<() => Promise<void>>();
  #closed = false;

  constructor(options: ConnectionOptions, db: PostgresDatabase) {
    this.#options = options;
    this.#db = db;
  }

  /** @returns what a change is told with */
  payload(change: Change): string {
    return `${this.#origin} ${formatChange(change)}`;
  }

  async tell(changes: readonly DeliveredChange[]): Promise<void> {
    const payloads = arrayLiteral(changes.map((change) => this.payload(change)));
    await this.#db.query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS n (payload)", [
      changeChannel,
      payloads,
    ]);
  }

  async follow(listener: ChangeListener): Promise<() => Promise<void>> {
    if (this.#closed) throw new StoreError("CLOSED", "the store is closed");
    let wake = () => {};
    let stopped = false;
    const open = async () => {
      const connection = await PostgresConnection.open({
        ...this.#options,
        onNotification: (channel, payload) => {
          const change = channel === changeChannel ? this.#changeOf(payload) : undefined;
          if (change !== undefined && !stopped) listener.changed(change);
        },
        onClosed: () => wake(),
      });
      try {
        await connection.command(`LISTEN ${changeChannel}`);
        return connection;
      } catch (error) {
        connection.destroy(unavailable("the connection is of no use"));
        throw error;
      }
    };
    /** Resolves after `ms`, or earlier when something has happened. */
    const pause = (ms: number) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (stopped) wake();
      });
    const keepListening = async (first: PostgresConnection) => {
      let connection = first;
      let pauseMs = minPauseMs;
      while (!stopped) {
        if (connection.isOpen) {
          await pause(probeEveryMs);
          if (connection.isOpen && !stopped) await this.#probe(connection);
          continue;
        }
        try {
          connection = await open();
          pauseMs = minPauseMs;
          if (!stopped) listener.missed();
        } catch {
          await pause(pauseMs);
          pauseMs = Math.min(maxPauseMs, 2 * pauseMs);
        }
      }
      if (connection.isOpen) await connection.end();
    };
    const running = keepListening(await open());
    const stop = async () => {
      stopped = true;
      this.#followers.delete(stop);
      wake();
      await running;
    };
    this.#followers.add(stop);
    return stop;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#followers].map((stop) => stop()));
  }

  async #probe(connection: PostgresConnection): Promise<void> {
    const timer = setTimeout(
      () => connection.destroy(unavailable("the database does not answer")),
      this.#options.connectTimeoutMs,
    );
    await connection.query("SELECT 1").catch((error: unknown) => {
      connection.destroy(error instanceof StoreError ? error : unavailable("the probe failed"));
    });
    clearTimeout(timer);
  }

  /** @returns `undefined` for our own and for what nobody here writes */
  #changeOf(payload: string): Change | undefined {
    const space = payload.indexOf(" ");
    return payload.slice(0, space) === this.#origin ? undefined : parseChange(payload.slice(space + 1));
  }
}
