import { RawSocket } from "../server/rawClient.ts";

/** A frame that crosses, the n-th (from 0) of its connection and direction. */
export interface CrossingFrame {
  readonly direction: "toServer" | "toClient";
  readonly number: number;
  readonly payload: Uint8Array;
}

/** Writes what the other side is to get for a frame. When it resolves to `cut` the connection is ended. */
type HandOn = (to: RawSocket, frame: CrossingFrame) => unknown;

/** Stands between clients and a server, reads what crosses frame by frame and hands on what it makes of it. */
export class ManInTheMiddle implements Disposable {
  readonly #listener;
  /** Every frame as it came, before it was changed. */
  readonly seen: CrossingFrame[] = [];

  constructor(port: number, handOn: HandOn) {
    const pump = async (direction: CrossingFrame["direction"], from: RawSocket, to: RawSocket) => {
      for (let number = 0; ; number++) {
        const payload = await from.read().catch(() => undefined);
        if (payload === undefined) break;
        const frame = { direction, number, payload };
        this.seen.push(frame);
        if ((await handOn(to, frame)) === "cut") break;
      }
      from.end();
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
