import { concatBytes, encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { crypto, type PrivateKey, sha256 } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";
import { isSignedBy } from "../log/signature.ts";
import { decodeCertificate } from "../pki/certificate.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { type DeviceIdentity, decodeDeviceIdentity, encodeCredential } from "./deviceIdentity.ts";
import { GroupError } from "./groupError.ts";
import { deviceSeedBytes, maxCertificateBytes, maxChainCertificates } from "./profile.ts";

export type { DeviceIdentity } from "./deviceIdentity.ts";

/** The own device: its identity and the secret half of the device key. */
export interface Device {
  readonly identity: DeviceIdentity;
  /** Ed25519 seed (RFC 8032 §5.1.5), 32 bytes. Secret. */
  readonly seed: Uint8Array;
}

/**
 * Binds a new device key to a certificate.
 *
 * @param chain the certificate of `key` first
 * @param seed32 fresh randomness, or the seed of an earlier device whose key stays (a renewal)
 * @throws {GroupError} `DEVICE_CERTIFICATE` when the key is not the one of the certificate, `TOO_LARGE`
 */
export function createDevice({
  chain,
  key,
  seed32,
  expiresMs,
}: {
  chain: readonly Uint8Array[];
  key: PrivateKey;
  seed32: Uint8Array;
  expiresMs: number;
}): Device {
  const [leaf] = chain;
  if (leaf === undefined || chain.length > maxChainCertificates)
    throw new GroupError("TOO_LARGE", `a device has 1 to ${maxChainCertificates} certificates`);
  if (chain.some((der) => der.length === 0))
    throw new GroupError("MALFORMED", "a certificate without a byte");
  if (chain.some((der) => der.length > maxCertificateBytes))
    throw new GroupError("TOO_LARGE", `a certificate has at most ${maxCertificateBytes} bytes`);
  if (!Number.isSafeInteger(expiresMs) || expiresMs < 0)
    throw new GroupError("MALFORMED", "the expiry of a device is not a time in ms");
  if (seed32.length !== deviceSeedBytes)
    throw new GroupError("MALFORMED", "the seed of a device does not have 32 bytes");
  const certificate = decodeCertificate(leaf);
  if (encodeHex(certificate.publicKey.spki) !== encodeHex(key.spki))
    throw new GroupError("DEVICE_CERTIFICATE", "the key is not the one of the device's certificate");
  const devicePublicKey = crypto().ed25519PublicKey(seed32);
  const { fingerprint } = certificate;
  const signature = key.sign(deviceKeyText(fingerprint, devicePublicKey, expiresMs));
  return {
    identity: { chain: [...chain], fingerprint, devicePublicKey, expiresMs, signature },
    seed: seed32.slice(),
  };
}

/**
 * Whether the certificate's key vouches for the device key, and still does at `atMs`.
 *
 * @param certificate the verified path of `identity.chain`, judged at the same time by the caller
 * @throws {GroupError} `DEVICE_CERTIFICATE`, `DEVICE_EXPIRED`, `DEVICE_SIGNATURE`
 */
export function verifyDeviceIdentity(
  identity: DeviceIdentity,
  certificate: VerifiedCertificate,
  atMs: number,
): void {
  const { fingerprint } = certificate.certificate;
  if (fingerprint !== identity.fingerprint)
    throw new GroupError("DEVICE_CERTIFICATE", "the device belongs to another certificate");
  if (!(atMs <= identity.expiresMs)) throw new GroupError("DEVICE_EXPIRED", "the device key has expired");
  const text = deviceKeyText(identity.fingerprint, identity.devicePublicKey, identity.expiresMs);
  if (!isSignedBy(certificate, text, identity.signature))
    throw new GroupError("DEVICE_SIGNATURE", "the certificate's key did not sign this device key");
}

/**
 * When to judge a device that has been in a group for a while: at `atMs`, or when it was last good. It was judged when it came
 * in, and what has expired since keeps nobody from joining.
 */
export function standingTime({ chain, expiresMs }: DeviceIdentity, atMs: number): number {
  const [leaf] = chain;
  if (leaf === undefined) throw new GroupError("DEVICE_CERTIFICATE", "a device without a certificate");
  return Math.min(atMs, expiresMs, decodeCertificate(leaf).notAfterMs);
}

/** How a roster names a device. @returns SHA-256 of the device key */
export function deviceId(devicePublicKey: Uint8Array): Hex {
  return encodeHex(sha256(devicePublicKey));
}

const storedVersion = 1;

/** @returns version 1 || seed (32 bytes) || identity as in a credential. Secret: it goes into the vault only. */
export function encodeDevice(device: Device): Uint8Array {
  return concatBytes(Uint8Array.of(storedVersion), device.seed, encodeCredential(device.identity).identity);
}

/** @throws {GroupError} `STATE_UNREADABLE` */
export function decodeDevice(bytes: Uint8Array): Device {
  if (bytes[0] !== storedVersion || bytes.length < 1 + deviceSeedBytes)
    throw new GroupError("STATE_UNREADABLE", "stored device is not of this version");
  const seed = bytes.slice(1, 1 + deviceSeedBytes);
  const identity = bytes.slice(1 + deviceSeedBytes);
  try {
    const signaturePublicKey = crypto().ed25519PublicKey(seed);
    const credential = { credentialType: "basic", identity } as const;
    return { identity: decodeDeviceIdentity({ credential, signaturePublicKey }), seed };
  } catch (cause) {
    throw new GroupError("STATE_UNREADABLE", "stored device is damaged", { cause });
  }
}

/** What the certificate's key signs. The leaf key makes it good for one device, the expiry for a limited time. */
function deviceKeyText(fingerprint: Hex, devicePublicKey: Uint8Array, expiresMs: number): Uint8Array {
  return encodeUtf8(`${labels.deviceKey}\n${fingerprint}\n${encodeHex(devicePublicKey)}\n${expiresMs}\n`);
}
