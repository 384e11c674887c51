import { connect, createServer, type Server, type Socket } from "node:net";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";

/** Stands between a store and its database; what goes through can be held back, as by a network that has gone. */
export class FrozenNetwork {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #frozen = false;
  #cut = false;

  constructor(to: PostgresAddress) {
    this.#server = createServer((client) => {
      if (this.#cut) {
        client.destroy();
        return;
      }
      const database = connect({ host: to.host, port: to.port });
      for (const [from, into] of [
        [client, database],
        [database, client],
      ] as const) {
        this.#sockets.add(from);
        from.on("error", () => undefined);
        from.on("close", () => into.destroy());
        from.on("data", (data) => {
          if (!this.#frozen) into.write(data);
        });
      }
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve) =>
      this.#server.listen(0, "127.0.0.1", () => {
        const at = this.#server.address();
        resolve(typeof at === "object" && at !== null ? at.port : 0);
      }),
    );
  }

  /** From now on nothing arrives, and nobody is told. */
  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
  }

  /** From now on every connection ends at once. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
