import type { Hex } from "../base/hex.ts";

export interface KeyPackageRecord {
  /** SHA-256 of the key package: publishing it again changes nothing. */
  readonly digest: Hex;
  readonly package: Uint8Array;
  readonly expiresAtMs: number;
}

export interface KeyPackageCount {
  readonly oneTime: number;
  /** Whether there is a last-resort package that was not handed out yet. */
  readonly lastResort: boolean;
}

/** Key packages wait here for whoever adds their owner. Writes are durable and atomic when their promise resolves. */
export interface KeyPackageStore {
  /** Adds one-time packages and replaces the last-resort one if one is given. All packages of the certificate's other
   *  devices are deleted: their private keys are gone. `too_many`: more than `maxOneTime` would wait; nothing changes. */
  publish(packages: {
    readonly fingerprint: Hex;
    /** SHA-256 of the device's public key; one for all. */
    readonly device: Hex;
    readonly oneTime: readonly KeyPackageRecord[];
    readonly lastResort: KeyPackageRecord | undefined;
    readonly maxOneTime: number;
    readonly nowMs: number;
  }): Promise<KeyPackageCount | "too_many">;

  count(fingerprint: Hex, nowMs: number): Promise<KeyPackageCount>;

  /** Takes the oldest one-time package, which nobody gets again, or else the last-resort one, which stays. Expired ones
   *  are not handed out. */
  take(
    fingerprint: Hex,
    nowMs: number,
  ): Promise<{ readonly package: Uint8Array; readonly lastResort: boolean } | undefined>;

  /** @returns whether `take` would hand one out now */
  canTake(fingerprint: Hex, nowMs: number): Promise<boolean>;
}
