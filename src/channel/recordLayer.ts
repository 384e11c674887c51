import { encodeJson } from "../base/schema.ts";
import { maxSessionFrameBytes } from "../wire/frame.ts";
import { type AlertCode, keyUpdateSchema } from "../wire/handshakeMessages.ts";
import { encodeAlert } from "./alerts.ts";
import { ChannelError } from "./channelError.ts";
import { decodeControlMessage, parseAlert } from "./controlMessage.ts";
import { contentTypes, recordOverheadBytes } from "./recordProtection.ts";
import type { Secret } from "./secret.ts";
import { type KeyLimits, keyLimits, TrafficDirection } from "./trafficDirection.ts";

/** Longest message of an established channel, inclusive; the shortest has one byte. */
export const maxMessageBytes = maxSessionFrameBytes - recordOverheadBytes;

/** What a record of the peer was. */
export type Received =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  /** The peer has closed behind it; `close_notify` is the orderly end. */
  | { readonly kind: "alert"; readonly code: AlertCode }
  /** Done already: nothing is left to do. */
  | { readonly kind: "key_update" };

/** One end of one direction, as the handshake leaves it. */
export interface DirectionStart {
  readonly secret: Secret;
  /** Length of `ready`, in the direction that it went. */
  readonly used?: number;
}

const keyUpdateMessage = encodeJson(keyUpdateSchema, { type: "key_update" });
/** Kept free under every key for the record that ends its use: a key_update or an alert. */
const reserveBytes = 64;

/**
 * The records of an established channel, one frame payload each, in both directions. What is handed to `open` must be
 * every payload of the peer in the order of arrival. The first failure ends the receiving direction for good; the sending
 * one stays for an alert until `close`.
 */
export class RecordLayer {
  readonly #send: TrafficDirection;
  readonly #receive: TrafficDirection;
  #sendClosed = false;
  #receiveClosed = false;

  /** @param limits those of the specification; others only show what happens at the limit */
  constructor(send: DirectionStart, receive: DirectionStart, limits: KeyLimits = keyLimits) {
    this.#send = new TrafficDirection(send.secret, limits, send.used);
    this.#receive = new TrafficDirection(receive.secret, limits, receive.used);
  }

  /**
   * @param message 1 to `maxMessageBytes` bytes
   * @returns the payloads to send, in this order: one, or a key_update before it
   * @throws {ChannelError} `MESSAGE_TOO_LONG` (also for an empty one; nothing has changed), `CLOSED`
   */
  seal(message: Uint8Array): readonly Uint8Array[] {
    this.#requireSending();
    if (message.length === 0 || message.length > maxMessageBytes)
      throw new ChannelError(
        "MESSAGE_TOO_LONG",
        `message of ${message.length} bytes, 1 to ${maxMessageBytes} are allowed`,
      );
    if (this.#send.hasRoomFor(message.length, reserveBytes))
      return [this.#send.seal({ contentType: contentTypes.message, content: message })];
    const update = this.sealKeyUpdate();
    return [update, this.#send.seal({ contentType: contentTypes.message, content: message })];
  }

  /** Changes the own sending key now; `seal` does so by itself where it must. @throws {ChannelError} `CLOSED` */
  sealKeyUpdate(): Uint8Array {
    this.#requireSending();
    const record = this.#send.seal({ contentType: contentTypes.control, content: keyUpdateMessage });
    this.#send.update();
    return record;
  }

  /** Ends the sending direction. @returns the last payload to send. @throws {ChannelError} `CLOSED` */
  sealAlert(code: AlertCode): Uint8Array {
    this.#requireSending();
    const record = this.#send.seal({ contentType: contentTypes.control, content: encodeAlert(code) });
    this.#closeSending();
    return record;
  }

  /**
   * @param record a frame payload, whose every byte the network controls
   * @throws {ChannelError} `BAD_RECORD`, `RECORD_OVERFLOW`, `KEY_EXHAUSTED`, `MALFORMED`, `UNEXPECTED_MESSAGE`; `CLOSED`
   *   after one of them or an alert
   */
  open(record: Uint8Array): Received {
    if (this.#receiveClosed) throw closed();
    try {
      const received = this.#interpret(record);
      if (received.kind === "alert") this.#closeReceiving();
      return received;
    } catch (error) {
      this.#closeReceiving();
      throw error;
    }
  }

  /** Wipes what is left of the keys; nothing can be sealed or opened any more. May be called again. */
  close(): void {
    this.#closeSending();
    this.#closeReceiving();
  }

  #interpret(record: Uint8Array): Received {
    const { contentType, content } = this.#receive.open(record);
    switch (contentType) {
      case contentTypes.message:
        if (content.length === 0) throw new ChannelError("MALFORMED", "the peer sent an empty message");
        return { kind: "message", bytes: content };
      case contentTypes.control: {
        const code = parseAlert(content);
        if (code !== undefined) return { kind: "alert", code };
        decodeControlMessage("key_update", keyUpdateSchema, content);
        this.#receive.update();
        return { kind: "key_update" };
      }
      default:
        throw new ChannelError(
          "UNEXPECTED_MESSAGE",
          `the peer sent a record of the unknown content type ${contentType}`,
        );
    }
  }

  #requireSending(): void {
    if (this.#sendClosed) throw closed();
  }

  #closeSending(): void {
    this.#sendClosed = true;
    this.#send.wipe();
  }

  #closeReceiving(): void {
    this.#receiveClosed = true;
    this.#receive.wipe();
  }
}

function closed(): ChannelError {
  return new ChannelError("CLOSED", "the channel has ended");
}
