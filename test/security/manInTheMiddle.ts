import { RawSocket } from "../server/rawClient.ts";

type Direction = "toServer" | "toClient";

/** Stands between clients and a server, reads what crosses frame by frame and hands on what it makes of it. */
export class ManInTheMiddle implements Disposable {
  readonly #listener;
  /** Every frame as it came, before it was changed. */
  readonly seen: { readonly direction: Direction; readonly payload: Uint8Array }[] = [];

  /** @param change of the n-th frame (from 0) of a connection and direction; `undefined`: it is dropped */
  constructor(
    port: number,
    change: (direction: Direction, number: number, payload: Uint8Array) => Uint8Array | undefined,
  ) {
    const pump = async (direction: Direction, from: RawSocket, to: RawSocket) => {
      for (let number = 0; ; number++) {
        const payload = await from.read().catch(() => undefined);
        if (payload === undefined) break;
        this.seen.push({ direction, payload });
        const changed = change(direction, number, payload);
        if (changed !== undefined) to.write(changed);
      }
      to.end();
    };
    this.#listener = RawSocket.listen((client) => {
      void RawSocket.dial(port).then((server) => {
        void pump("toServer", client, server);
        void pump("toClient", server, client);
      });
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Everything that crossed, as bytes. */
  get bytes(): Buffer {
    return Buffer.concat(this.seen.map(({ payload }) => payload));
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}
