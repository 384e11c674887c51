import { maxSessionFrameBytes } from "../wire/frame.ts";
import { ChannelError } from "./channelError.ts";
import { deriveTrafficKeys, nextTrafficSecret, type TrafficKeys, wipeTrafficKeys } from "./keySchedule.ts";
import { openRecord, type RecordContent, recordOverheadBytes, sealRecord } from "./recordProtection.ts";
import type { Secret } from "./secret.ts";

/** How much one key protects, both inclusive, the `key_update` that ends it included. */
export interface KeyLimits {
  readonly records: number;
  /** Bytes of whole records. */
  readonly bytes: number;
}

/** Far below where AES-GCM's margins shrink; a thief of a key gets no more than this. */
export const keyLimits: KeyLimits = { records: 2 ** 20, bytes: 2 ** 30 };

/** One direction of an established channel: the key in use, and how much it has protected. */
export class TrafficDirection {
  readonly #limits: KeyLimits;
  #secret: Secret;
  #keys: TrafficKeys;
  #records = 0;
  #bytes = 0;

  /**
   * @param secret taken over
   * @param used length of the one record that has gone under this secret already, if any
   */
  constructor(secret: Secret, limits: KeyLimits, used?: number) {
    this.#limits = limits;
    this.#secret = secret;
    this.#keys = deriveTrafficKeys(secret);
    if (used !== undefined) this.#count(used);
  }

  /** @returns whether a record with `contentBytes` may go under this key, with `reserveBytes` for a last one after it */
  hasRoomFor(contentBytes: number, reserveBytes: number): boolean {
    const bytes = this.#bytes + contentBytes + recordOverheadBytes + reserveBytes;
    return this.#records + 2 <= this.#limits.records && bytes <= this.#limits.bytes;
  }

  seal(content: RecordContent): Uint8Array {
    const record = sealRecord(this.#keys, this.#records, content);
    this.#count(record.length);
    return record;
  }

  /** @throws {ChannelError} `RECORD_OVERFLOW`, `KEY_EXHAUSTED`, `BAD_RECORD` */
  open(record: Uint8Array): RecordContent {
    if (record.length > maxSessionFrameBytes)
      throw new ChannelError(
        "RECORD_OVERFLOW",
        `record of ${record.length} bytes, at most ${maxSessionFrameBytes} are allowed`,
      );
    if (this.#records >= this.#limits.records || this.#bytes + record.length > this.#limits.bytes)
      throw new ChannelError("KEY_EXHAUSTED", "the peer did not update its key in time");
    const opened = openRecord(this.#keys, this.#records, record);
    if (opened === undefined)
      throw new ChannelError("BAD_RECORD", "a record is not the next one of this channel, or was altered");
    this.#count(record.length);
    return opened;
  }

  /** The next key takes over, from record 0; the old one is wiped. */
  update(): void {
    wipeTrafficKeys(this.#keys);
    this.#secret = nextTrafficSecret(this.#secret);
    this.#keys = deriveTrafficKeys(this.#secret);
    this.#records = 0;
    this.#bytes = 0;
  }

  wipe(): void {
    wipeTrafficKeys(this.#keys);
    this.#secret.wipe();
  }

  #count(recordBytes: number): void {
    this.#records++;
    this.#bytes += recordBytes;
  }
}
