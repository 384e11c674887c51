import { createKeyPackage } from "../group/keyPackage.ts";
import { maxKeyPackagesPerMessage } from "../wire/sessionMessages.ts";
import type { AnswerTo, Connection } from "./connection.ts";
import type { Devices } from "./devices.ts";
import type { Vault, VaultBatch } from "./vault.ts";
import { decodeRecord, encodeRecord, keyPackageSchema } from "./vaultRecords.ts";

/** One-time key packages that wait on the server for whoever adds this device. */
export const oneTimeKeyPackages = 20;
/** How long a key package may be used: as long as the server keeps it. */
export const keyPackageLifetimeMs = 90 * 24 * 60 * 60 * 1000;
/**
 * Most private halves that are kept, the newest: packages are made whenever the server says that some are missing, and that is
 * its word alone. An honest one has 100 at most and has handed out some more, for which welcomes may be on their way.
 */
export const maxKeptKeyPackages = 1024;
/** A key package is good from before it was made, for peers whose clocks are behind. */
const clockToleranceMs = 60 * 60 * 1000;

/** A key package whose private half is here. */
export interface OwnKeyPackage {
  /** KeyPackageRef (RFC 9420 §5.2), hex. */
  readonly reference: string;
  readonly publicPackage: Uint8Array;
  readonly privatePackage: Uint8Array;
  readonly lastResort: boolean;
}

/** What the server has for whoever adds this device. */
export interface PackagesWaiting {
  readonly oneTime: number;
  /** Whether a last-resort package waits that nobody was given yet. */
  readonly lastResort: boolean;
}

/** The own key packages: public halves on the server, private halves in the vault until they are used or expire. */
export class KeyPackages {
  readonly #vault: Vault;
  readonly #devices: Devices;
  readonly #random: (length: number) => Uint8Array;
  readonly #now: () => number;

  constructor(options: {
    vault: Vault;
    devices: Devices;
    random: (length: number) => Uint8Array;
    now: () => number;
  }) {
    this.#vault = options.vault;
    this.#devices = options.devices;
    this.#random = options.random;
    this.#now = options.now;
  }

  /**
   * Makes up what is missing on the server. The private halves are durable before the public ones leave. What waits there and was
   * published from another vault counts for nothing, and goes when this one's arrive: nobody could come in by it here.
   *
   * @param waiting as the login has said; else it is asked for
   */
  async topUp(connection: Connection, waiting?: PackagesWaiting): Promise<void> {
    this.#dropExpired();
    const { oneTime, lastResort } = this.#hasPublished
      ? (waiting ?? (await askWaiting(connection)))
      : { oneTime: 0, lastResort: false };
    let missing = Math.max(0, oneTimeKeyPackages - oneTime);
    let needsLastResort = !lastResort;
    while (missing > 0 || needsLastResort) {
      const batch = this.#vault.batch();
      const packages: Uint8Array[] = [];
      for (; missing > 0 && packages.length < maxKeyPackagesPerMessage; missing--)
        packages.push(await this.#make(false, batch));
      const last_resort = needsLastResort ? await this.#make(true, batch) : null;
      needsLastResort = false;
      this.#vault.commit(batch);
      await connection.request({ type: "publish_key_packages", packages, last_resort });
    }
  }

  /** Those that a welcome may have been made for. */
  list(): OwnKeyPackage[] {
    return this.#vault.list("keyPackage").map(({ key, value }) => {
      const record = decodeRecord(keyPackageSchema, value, "key package");
      return {
        reference: key,
        publicPackage: record.public,
        privatePackage: record.private,
        lastResort: record.last_resort,
      };
    });
  }

  /** A key package was used: its private half goes with the batch that stores the group state made from it. */
  remove(used: OwnKeyPackage, batch: VaultBatch): void {
    batch.remove("keyPackage", used.reference);
    used.privatePackage.fill(0);
  }

  /** A last-resort package stays here for as long as it is good. */
  get #hasPublished(): boolean {
    return this.list().some(({ lastResort }) => lastResort);
  }

  async #make(lastResort: boolean, batch: VaultBatch): Promise<Uint8Array> {
    const now = this.#now();
    const device = this.#devices.current();
    const notAfterMs = Math.min(now + keyPackageLifetimeMs, device.identity.expiresMs);
    const made = await createKeyPackage({
      device,
      notBeforeMs: now - clockToleranceMs,
      notAfterMs,
      lastResort,
      random: this.#random,
    });
    const record = {
      public: made.publicPackage,
      private: made.privatePackage,
      last_resort: lastResort,
      not_after: notAfterMs,
    };
    batch.write("keyPackage", made.reference, encodeRecord(keyPackageSchema, record));
    made.privatePackage.fill(0);
    return made.publicPackage;
  }

  /** A welcome may arrive long after the package was handed out, but hardly after it expired. */
  #dropExpired(): void {
    const batch = this.#vault.batch();
    const kept: { key: string; not_after: number }[] = [];
    for (const { key, value } of this.#vault.list("keyPackage")) {
      const { not_after } = decodeRecord(keyPackageSchema, value, "key package");
      if (not_after < this.#now()) batch.remove("keyPackage", key);
      else kept.push({ key, not_after });
    }
    kept.sort((a, b) => b.not_after - a.not_after);
    for (const { key } of kept.slice(maxKeptKeyPackages)) batch.remove("keyPackage", key);
    this.#vault.commit(batch);
  }
}

/** @returns what the login has said */
export function waitingOf(answer: AnswerTo<"login">): PackagesWaiting {
  return { oneTime: answer.one_time_key_packages, lastResort: answer.last_resort_key_package };
}

async function askWaiting(connection: Connection): Promise<PackagesWaiting> {
  const request = { type: "publish_key_packages", packages: [], last_resort: null } as const;
  const { one_time: oneTime, last_resort: lastResort } = await connection.request(request);
  return { oneTime, lastResort };
}
