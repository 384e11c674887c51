import type { Hex } from "../base/hex.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { createDevice, type Device, decodeDevice, deviceId, encodeDevice } from "../group/device.ts";
import type { RosterRow } from "../log/bodies.ts";
import { isSamePerson } from "../log/roster.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Vault, VaultBatch } from "./vault.ts";

const current = "current";

/** Who this client is: the certificate, its chain as it is sent (leaf first, DER), and its key. */
export interface Self {
  /** Good for a client when this one was opened. */
  readonly verified: VerifiedCertificate;
  readonly certificate: Certificate;
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  readonly username: string;
  readonly email: string;
}

/**
 * The device keys of this client: one that its key packages carry, and those of conversations that it has rejoined, which
 * need a key of their own.
 */
export class Devices {
  readonly #vault: Vault;
  readonly #self: Self;
  readonly #random: (length: number) => Uint8Array;
  #current: Device;

  constructor(options: {
    vault: Vault;
    self: Self;
    random: (length: number) => Uint8Array;
  }) {
    this.#vault = options.vault;
    this.#self = options.self;
    this.#random = options.random;
    const stored = this.#vault.read("device", current);
    const device = stored === undefined ? undefined : decodeDevice(stored);
    const belongs = device?.identity.fingerprint === this.#self.certificate.fingerprint;
    this.#current = device !== undefined && belongs ? device : this.#replaceCurrent();
  }

  /** The device that new conversations get. */
  current(): Device {
    return this.#current;
  }

  /** @returns the own device of that id, or `undefined` when its key is not here */
  find(id: Hex): Device | undefined {
    if (idOf(this.#current) === id) return this.#current;
    const stored = this.#vault.read("device", id);
    return stored === undefined ? undefined : decodeDevice(stored);
  }

  /**
   * The own row: under the certificate in use or, until this client has come back under that, under an earlier one with a
   * device of this vault, which reads on meanwhile.
   */
  rowOf(roster: readonly RosterRow[]): RosterRow | undefined {
    return (
      roster.find(({ fingerprint }) => fingerprint === this.#self.certificate.fingerprint) ??
      roster.find((row) => isSamePerson(row, this.#self) && this.find(row.device) !== undefined)
    );
  }

  /** A device for one conversation. */
  create(batch: VaultBatch): Device {
    const device = this.#create();
    batch.write("device", idOf(device), encodeDevice(device));
    return device;
  }

  /** The private halves of its key packages stay until they end: somebody may have used one that this client has not heard of. */
  #replaceCurrent(): Device {
    const device = this.#create();
    const batch = this.#vault.batch();
    batch.write("device", current, encodeDevice(device));
    batch.write("device", idOf(device), encodeDevice(device));
    this.#vault.commit(batch);
    return device;
  }

  #create(): Device {
    const { chain, key, certificate } = this.#self;
    const expiresMs = certificate.notAfterMs;
    return createDevice({ chain, key, seed32: this.#random(32), expiresMs });
  }
}

export function idOf(device: Device): Hex {
  return deviceId(device.identity.devicePublicKey);
}
