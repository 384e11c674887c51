import { concatBytes, encodeUtf8 } from "../base/bytes.ts";
import { crypto } from "../crypto/crypto.ts";
import { mlKem768, passesModulusCheck } from "../crypto/parameterChecks.ts";
import { xwing, xwingDecapsulate, xwingEncapsulate, xwingGenerate } from "../crypto/xwing.ts";
import { GroupError } from "./groupError.ts";
import { hashBytes, hpkePublicKeyBytes, hpkeSeedBytes } from "./profile.ts";

/*
 * HPKE (RFC 9180) in base mode with the KEM X-Wing (0x647a, draft-connolly-cfrg-xwing-kem §5.6), HKDF-SHA512 (0x0003)
 * and AES-256-GCM (0x0002). One message per context, so the sequence number is always 0 and the nonce the base nonce.
 */

export type Random = (length: number) => Uint8Array;

const keyBytes = 32;
const nonceBytes = 12;
const version = encodeUtf8("HPKE-v1");
/** "HPKE" || kem_id || kdf_id || aead_id (§5.1) */
const suiteId = concatBytes(encodeUtf8("HPKE"), Uint8Array.of(0x64, 0x7a, 0x00, 0x03, 0x00, 0x02));
const modeBase = 0x00;
const empty = new Uint8Array(0);

export interface HpkeKeyPair {
  /** The 32-byte X-Wing seed. */
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** DeriveKeyPair (§4): the seed is SHAKE256(ikm, 32), as the X-Wing draft has it, without labels. */
export async function deriveHpkeKeyPair(inputKey: Uint8Array): Promise<HpkeKeyPair> {
  return hpkeKeyPair(crypto().shake256(inputKey, hpkeSeedBytes));
}

/** @param seed 32 bytes, kept by reference as the private key */
export async function hpkeKeyPair(seed: Uint8Array): Promise<HpkeKeyPair> {
  const { publicKey } = await xwingGenerate(seed);
  return { privateKey: seed, publicKey };
}

/** SealBase (§6.1). @throws {GroupError} `INVALID` when the key, which comes from a peer, is not an X-Wing key */
export async function hpkeSeal(
  publicKey: Uint8Array,
  {
    info,
    aad,
    plaintext,
    random,
  }: { info: Uint8Array; aad: Uint8Array; plaintext: Uint8Array; random: Random },
): Promise<{ encapsulated: Uint8Array; ciphertext: Uint8Array }> {
  const { encapsulated, sharedSecret } = await encapsulate(publicKey, random);
  const { key, nonce } = keySchedule(sharedSecret, info);
  return { encapsulated, ciphertext: crypto().aesGcmSeal(key, nonce, plaintext, aad) };
}

/** OpenBase (§6.1). @throws {GroupError} `INVALID` */
export async function hpkeOpen(
  privateKey: Uint8Array,
  input: { encapsulated: Uint8Array; info: Uint8Array; aad: Uint8Array; ciphertext: Uint8Array },
): Promise<Uint8Array> {
  const { key, nonce } = keySchedule(await decapsulate(privateKey, input.encapsulated), input.info);
  const plaintext = crypto().aesGcmOpen(key, nonce, input.ciphertext, input.aad);
  if (plaintext === undefined) throw new GroupError("INVALID", "HPKE ciphertext does not open");
  return plaintext;
}

/** SendExportBase (§6.2). @throws {GroupError} `INVALID` when the key is not an X-Wing key */
export async function hpkeSendExport(
  publicKey: Uint8Array,
  {
    info,
    context,
    length,
    random,
  }: { info: Uint8Array; context: Uint8Array; length: number; random: Random },
): Promise<{ encapsulated: Uint8Array; secret: Uint8Array }> {
  const { encapsulated, sharedSecret } = await encapsulate(publicKey, random);
  const { exporterSecret } = keySchedule(sharedSecret, info);
  return { encapsulated, secret: labeledExpand(exporterSecret, "sec", context, length) };
}

/** ReceiveExportBase (§6.2). @throws {GroupError} `INVALID` */
export async function hpkeReceiveExport(
  privateKey: Uint8Array,
  input: { encapsulated: Uint8Array; info: Uint8Array; context: Uint8Array; length: number },
): Promise<Uint8Array> {
  const { exporterSecret } = keySchedule(await decapsulate(privateKey, input.encapsulated), input.info);
  return labeledExpand(exporterSecret, "sec", input.context, input.length);
}

/**
 * Whether everybody can encapsulate to a key: FIPS 203 §7.2 holds and its X25519 half is not of low order. A leaf with a
 * key that fails this would stop every later commit of the group, so it must not get into a tree.
 */
export function isHpkePublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== hpkePublicKeyBytes || !passesModulusCheck(publicKey)) return false;
  return crypto().x25519(anyScalar, publicKey.subarray(mlKem768.publicKey)) !== undefined;
}

/** Nothing secret: with any clamped scalar the result is zero for points of low order and for no others. */
const anyScalar = new Uint8Array(32).fill(0x42);

async function encapsulate(publicKey: Uint8Array, random: Random) {
  const result =
    publicKey.length === hpkePublicKeyBytes ? await xwingEncapsulate(publicKey, random) : undefined;
  if (result === undefined) throw new GroupError("INVALID", "not an X-Wing public key");
  return { encapsulated: result.ciphertext, sharedSecret: result.sharedSecret };
}

async function decapsulate(privateKey: Uint8Array, encapsulated: Uint8Array): Promise<Uint8Array> {
  const secret =
    encapsulated.length === xwing.ciphertext ? await xwingDecapsulate(privateKey, encapsulated) : undefined;
  if (secret === undefined) throw new GroupError("INVALID", "not an X-Wing ciphertext");
  return secret;
}

/** KeySchedule (§5.1) with psk and psk_id empty. */
function keySchedule(sharedSecret: Uint8Array, info: Uint8Array) {
  const context = concatBytes(
    Uint8Array.of(modeBase),
    labeledExtract(empty, "psk_id_hash", empty),
    labeledExtract(empty, "info_hash", info),
  );
  const secret = labeledExtract(sharedSecret, "secret", empty);
  return {
    key: labeledExpand(secret, "key", context, keyBytes),
    nonce: labeledExpand(secret, "base_nonce", context, nonceBytes),
    exporterSecret: labeledExpand(secret, "exp", context, hashBytes),
  };
}

function labeledExtract(salt: Uint8Array, label: string, inputKey: Uint8Array): Uint8Array {
  return crypto().hkdfExtract("sha512", salt, concatBytes(version, suiteId, encodeUtf8(label), inputKey));
}

function labeledExpand(prk: Uint8Array, label: string, info: Uint8Array, length: number): Uint8Array {
  const lengthBytes = Uint8Array.of(length >> 8, length & 0xff);
  return crypto().hkdfExpand(
    "sha512",
    prk,
    concatBytes(lengthBytes, version, suiteId, encodeUtf8(label), info),
    length,
  );
}
