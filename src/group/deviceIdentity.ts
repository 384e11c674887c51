import type { CredentialBasic } from "ts-mls/credential.js";
import type { LeafNode } from "ts-mls/leafNode.js";
import { concatBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { GroupError } from "./groupError.ts";
import {
  deviceKeyBytes,
  maxCertificateBytes,
  maxChainCertificates,
  maxDeviceSignatureBytes,
} from "./profile.ts";

/**
 * What a leaf says about its owner: a certificate and the signature of its key over the device key. As it comes out of a
 * key package or a tree it is a claim; `verifyDeviceIdentity` and the path of the certificate make it true.
 */
export interface DeviceIdentity {
  /** DER, the device's own certificate first, then its issuers. */
  readonly chain: readonly Uint8Array[];
  /** SHA-256 of the first certificate. */
  readonly fingerprint: Hex;
  /** Ed25519, 32 bytes: the signature key of the leaf. */
  readonly devicePublicKey: Uint8Array;
  /** The last millisecond at which the device key may be used. */
  readonly expiresMs: number;
  readonly signature: Uint8Array;
}

/*
 * The identity of a `basic` credential (RFC 9420 §5.3). Not `x509`: there the leaf key would have to be the key of the
 * certificate, which is of any type, may sit in a token, and is one for several devices.
 *
 *   uint8  version = 1
 *   uint8  number of certificates, 1 ... 4
 *     uint16 length, 1 ... 4096 || certificate in DER     the device's own first, then its issuers
 *   uint64 expiry of the device key, ms since the epoch, at most 2^53 - 1
 *   uint16 length, 1 ... 1024 || signature of the first certificate's key
 *
 * The device key itself is the signature key of the leaf, so that the two can't differ.
 */
const version = 1;

/** @returns the credential of an identity whose limits were checked when it was made or read */
export function encodeCredential(identity: DeviceIdentity): CredentialBasic {
  const expiry = new Uint8Array(8);
  new DataView(expiry.buffer).setBigUint64(0, BigInt(identity.expiresMs));
  return {
    credentialType: "basic",
    identity: concatBytes(
      Uint8Array.of(version, identity.chain.length),
      ...identity.chain.flatMap((der) => [encodeUint16(der.length), der]),
      expiry,
      encodeUint16(identity.signature.length),
      identity.signature,
    ),
  };
}

/**
 * Reads whose leaf it is, as whoever made the leaf says. Nothing in it is verified here. There is one encoding for each
 * identity.
 *
 * @throws {GroupError} `UNSUPPORTED`, `MALFORMED`
 */
export function decodeDeviceIdentity({
  credential,
  signaturePublicKey,
}: Pick<LeafNode, "credential" | "signaturePublicKey">): DeviceIdentity {
  if (credential.credentialType !== "basic")
    throw new GroupError("UNSUPPORTED", "leaf with a credential that is not of the type basic");
  if (signaturePublicKey.length !== deviceKeyBytes)
    throw new GroupError("MALFORMED", "leaf with a device key that does not have 32 bytes");
  const reader = new Reader(credential.identity);
  if (reader.uint8() !== version) throw new GroupError("UNSUPPORTED", "credential of another version");
  const count = reader.uint8();
  if (count < 1 || count > maxChainCertificates) throw malformed();
  const chain: Uint8Array[] = [];
  for (let i = 0; i < count; i++) chain.push(reader.vector(maxCertificateBytes));
  const expiresMs = reader.uint64();
  const signature = reader.vector(maxDeviceSignatureBytes);
  reader.end();
  const [leaf] = chain;
  if (leaf === undefined || expiresMs > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed();
  return {
    chain,
    fingerprint: encodeHex(sha256(leaf)),
    devicePublicKey: copy(signaturePublicKey),
    expiresMs: Number(expiresMs),
    signature,
  };
}

class Reader {
  #bytes: Uint8Array;
  #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  /** uint16 length, 1 ... max || bytes, copied */
  vector(max: number): Uint8Array {
    const length = this.#view.getUint16(this.#take(2));
    if (length < 1 || length > max) throw malformed();
    const start = this.#take(length);
    return copy(this.#bytes.subarray(start, start + length));
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw malformed();
  }

  #take(length: number): number {
    const start = this.#offset;
    if (start + length > this.#bytes.length) throw malformed();
    this.#offset += length;
    return start;
  }
}

/** A plain copy also of a `Buffer`, whose own `slice` would share memory with what came from the peer. */
function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function encodeUint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function malformed(): GroupError {
  return new GroupError("MALFORMED", "credential is not a device identity");
}
