import { ChannelError } from "../../src/channel/channelError.ts";
import type { Transport } from "../../src/channel/exchange.ts";
import { encodeFrame, FrameDecoder } from "../../src/wire/frame.ts";

/** One end of a connection in memory: what a side writes goes through frames to the other side's `read`. */
export class PipeEnd implements Transport {
  readonly #decoder = new FrameDecoder();
  /** Everything that this end has sent, as it was on the wire. */
  readonly sent: Uint8Array[] = [];
  #peer: PipeEnd | undefined;
  #end: Error | undefined;
  #wake: () => void = () => {};
  /** Stands in the network: what it returns is delivered instead. Default: the bytes as they are. */
  tamper: (bytes: Uint8Array, index: number) => Uint8Array | undefined = (bytes) => bytes;

  static pair(): { client: PipeEnd; server: PipeEnd } {
    const [client, server] = [new PipeEnd(), new PipeEnd()];
    client.#peer = server;
    server.#peer = client;
    return { client, server };
  }

  write(payload: Uint8Array): void {
    const frame = encodeFrame(payload);
    const delivered = this.tamper(frame, this.sent.length);
    this.sent.push(frame);
    if (delivered !== undefined) this.#peer?.arrive(delivered);
  }

  async read(): Promise<Uint8Array> {
    for (;;) {
      const payload = this.#decoder.next();
      if (payload !== undefined) return payload;
      if (this.#end !== undefined) throw this.#end;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Bytes from the network, in any pieces. */
  arrive(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    this.#wake();
  }

  /** Ends the wait in `read` once everything that has arrived is consumed. */
  end(error: Error = new ChannelError("CLOSED", "the connection is gone")): void {
    this.#end ??= error;
    this.#wake();
  }
}
