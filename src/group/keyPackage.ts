import {
  generateKeyPackageWithKey,
  type KeyPackage,
  makeKeyPackageRef,
  type PrivateKeyPackage,
  verifyKeyPackage,
} from "ts-mls/keyPackage.js";
import { type LeafNodeKeyPackage, verifyLeafNodeSignatureKeyPackage } from "ts-mls/leafNode.js";
import type { Lifetime } from "ts-mls/lifetime.js";
import { encodeMlsMessage } from "ts-mls/message.js";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { maxKeyPackageBytes } from "../wire/keyPackageForm.ts";
import { ciphersuite } from "./ciphersuite.ts";
import type { Device } from "./device.ts";
import { type DeviceIdentity, decodeDeviceIdentity, encodeCredential } from "./deviceIdentity.ts";
import { GroupError, guard } from "./groupError.ts";
import { isHpkePublicKey, type Random } from "./hpke.ts";
import { checkKeyPackageProfile, decodeKeyPackageMessage } from "./mlsMessage.ts";
import { hpkeSeedBytes, lastResortExtension, leafCapabilities } from "./profile.ts";

/*
 * A key package (RFC 9420 §10) lets others add a device while it is away. The stored private half is
 * `version = 1 || init seed (32 bytes) || leaf seed (32 bytes)`, two X-Wing seeds.
 */
const version = 1;

export interface KeyPackagePair {
  /** MLSMessage of type mls_key_package: what the server keeps. */
  readonly publicPackage: Uint8Array;
  /** Secret: for the vault, until the device has joined by it (a last resort: until it is replaced). */
  readonly privatePackage: Uint8Array;
  /** KeyPackageRef (§5.2), 64 bytes: how a welcome names the package. */
  readonly reference: Hex;
}

/**
 * @param notBeforeMs choose it some time back, for the clocks of others; the lifetime is kept in whole seconds
 * @param lastResort may be used several times, when the one-time packages have run out; whoever joins by it commits a
 * fresh path at once
 * @throws {GroupError} `TOO_LARGE` when the certificates don't fit, `MALFORMED`
 */
export async function createKeyPackage({
  device,
  notBeforeMs,
  notAfterMs,
  lastResort,
  random,
}: {
  device: Device;
  notBeforeMs: number;
  notAfterMs: number;
  lastResort: boolean;
  random: Random;
}): Promise<KeyPackagePair> {
  const lifetime = { notBefore: seconds(notBeforeMs), notAfter: seconds(notAfterMs) };
  const { publicPackage: keyPackage, privatePackage } = await generate(device, lifetime, lastResort, random);
  const publicPackage = encodeMlsMessage({ version: "mls10", wireformat: "mls_key_package", keyPackage });
  if (publicPackage.length > maxKeyPackageBytes)
    throw new GroupError("TOO_LARGE", `key package of more than ${maxKeyPackageBytes} bytes`);
  return {
    publicPackage,
    privatePackage: concatBytes(
      Uint8Array.of(version),
      privatePackage.initPrivateKey,
      privatePackage.hpkePrivateKey,
    ),
    reference: await referenceOf(keyPackage),
  };
}

export interface KeyPackageSummary {
  readonly identity: DeviceIdentity;
  readonly reference: Hex;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly lastResort: boolean;
}

/**
 * Checks a key package that a peer made and the server chose: profile, keys, both signatures, one canonical encoding.
 * Whose it is remains a claim: `judge` the identity, and its lifetime against the clock.
 *
 * @throws {GroupError} `TOO_LARGE`, `MALFORMED`, `UNSUPPORTED`, `INVALID`
 */
export async function inspectKeyPackage(bytes: Uint8Array): Promise<KeyPackageSummary> {
  const keyPackage = decodeKeyPackageMessage(bytes);
  const { leafNode, initKey } = keyPackage;
  const { signature } = ciphersuite();
  if (!isHpkePublicKey(initKey) || !isHpkePublicKey(leafNode.hpkePublicKey))
    throw new GroupError("INVALID", "key package has a key that nobody can encrypt to");
  if (equalBytes(initKey, leafNode.hpkePublicKey))
    throw new GroupError("DUPLICATE", "key package has the same key twice");
  const signed = await guard(
    "key package",
    async () =>
      (await verifyLeafNodeSignatureKeyPackage(leafNode, signature)) &&
      (await verifyKeyPackage(keyPackage, signature)),
  );
  if (!signed) throw new GroupError("INVALID", "key package is not signed by its device key");
  return {
    identity: decodeDeviceIdentity(leafNode),
    reference: await referenceOf(keyPackage),
    ...lifetimeOf(leafNode),
    lastResort: checkKeyPackageProfile(keyPackage),
  };
}

/** Reads a key package to be added by `nowMs`. @throws {GroupError} as above, and `KEY_PACKAGE_EXPIRED` */
export async function chooseKeyPackage(bytes: Uint8Array, nowMs: number): Promise<KeyPackage> {
  const { notBeforeMs, notAfterMs } = await inspectKeyPackage(bytes);
  if (!(notBeforeMs <= nowMs && nowMs <= notAfterMs))
    throw new GroupError("KEY_PACKAGE_EXPIRED", "key package is outside of its lifetime");
  return decodeKeyPackageMessage(bytes);
}

/** The leaf and keys of a device that starts a group or comes back into one: nobody else gets to see the package. */
export function ownKeyPackage(device: Device, nowMs: number, random: Random) {
  const lifetime = { notBefore: seconds(nowMs), notAfter: seconds(device.identity.expiresMs) };
  return generate(device, lifetime, false, random);
}

/** @throws {GroupError} `STATE_UNREADABLE` */
export function decodePrivatePackage(bytes: Uint8Array, device: Device): PrivateKeyPackage {
  if (bytes[0] !== version || bytes.length !== 1 + 2 * hpkeSeedBytes)
    throw new GroupError("STATE_UNREADABLE", "stored key package is not of this version");
  return {
    initPrivateKey: new Uint8Array(bytes.subarray(1, 1 + hpkeSeedBytes)),
    hpkePrivateKey: new Uint8Array(bytes.subarray(1 + hpkeSeedBytes)),
    signaturePrivateKey: device.seed,
  };
}

function generate(device: Device, lifetime: Lifetime, lastResort: boolean, random: Random) {
  return generateKeyPackageWithKey(
    encodeCredential(device.identity),
    leafCapabilities,
    lifetime,
    lastResort ? [{ extensionType: lastResortExtension, extensionData: new Uint8Array(0) }] : [],
    { signKey: device.seed, publicKey: device.identity.devicePublicKey },
    ciphersuite(random),
  );
}

async function referenceOf(keyPackage: KeyPackage): Promise<Hex> {
  return encodeHex(await makeKeyPackageRef(keyPackage, ciphersuite().hash));
}

function lifetimeOf({ lifetime }: LeafNodeKeyPackage): { notBeforeMs: number; notAfterMs: number } {
  if (lifetime.notAfter > latestSecond || lifetime.notBefore > latestSecond)
    throw new GroupError("MALFORMED", "key package has a lifetime out of range");
  return {
    notBeforeMs: Number(lifetime.notBefore) * 1000,
    notAfterMs: Number(lifetime.notAfter) * 1000,
  };
}

const latestSecond = BigInt(Number.MAX_SAFE_INTEGER) / 1000n;

function seconds(ms: number): bigint {
  if (!Number.isSafeInteger(ms) || ms < 0)
    throw new GroupError("MALFORMED", "a lifetime is not a time in ms");
  return BigInt(Math.floor(ms / 1000));
}
