import { concatBytes, encodeUtf8 } from "../base/bytes.ts";
import { crypto } from "./crypto.ts";
import { mlKem768 } from "./parameterChecks.ts";
import type { CryptoProvider, MlKemSecretKey } from "./provider.ts";
import { requireLength } from "./requireLength.ts";

/** Bytes (draft-connolly-cfrg-xwing-kem §5.1). */
export const xwing = { seed: 32, publicKey: 1216, ciphertext: 1120, sharedSecret: 32 } as const;

/** The art of the draft: a small X-wing. Six bytes that name the combiner. */
const xwingLabel = encodeUtf8("\\.//^\\");

/**
 * A decapsulation key expanded from its seed. Expansion costs a key generation: keep it for as long as the seed is
 * in use, and no longer. It belongs to the provider that expanded it.
 */
export interface XwingSecretKey {
  readonly mlKem: MlKemSecretKey;
  readonly x25519: Uint8Array;
  readonly x25519Public: Uint8Array;
}

/**
 * GenerateKeyPairDerand (§5.2.1): SHAKE256(seed, 96) = 64 bytes of ML-KEM-768 seed || 32 bytes of X25519 secret.
 *
 * @returns the public key, pk_M (1184 bytes) || pk_X (32), and the expanded secret key
 */
export async function xwingGenerate(
  seed: Uint8Array,
  provider: CryptoProvider = crypto(),
): Promise<{ publicKey: Uint8Array; secretKey: XwingSecretKey }> {
  requireLength("X-Wing seed", seed, xwing.seed);
  const expanded = provider.shake256(seed, mlKem768.seed + 32);
  const mlKem = await provider.mlKem768Generate(expanded.subarray(0, mlKem768.seed));
  const x25519 = expanded.slice(mlKem768.seed);
  expanded.fill(0);
  const x25519Public = provider.x25519PublicKey(x25519);
  return {
    publicKey: concatBytes(mlKem.publicKey, x25519Public),
    secretKey: { mlKem: mlKem.secretKey, x25519, x25519Public },
  };
}

/**
 * Encapsulate (§5.4) to the key of a peer.
 *
 * @param random makes the ephemeral X25519 secret, which is wiped; the provider draws the coins of ML-KEM itself
 * @returns ct_M (1088 bytes) || ct_X (32) and the 32-byte secret; `undefined` when the ML-KEM key fails its check
 * (FIPS 203 §7.2) or the X25519 key is of low order
 */
export async function xwingEncapsulate(
  publicKey: Uint8Array,
  random: (length: number) => Uint8Array,
  provider: CryptoProvider = crypto(),
): Promise<{ ciphertext: Uint8Array; sharedSecret: Uint8Array } | undefined> {
  requireLength("X-Wing public key", publicKey, xwing.publicKey);
  const peer = publicKey.slice(mlKem768.publicKey);
  const ephemeral = random(32);
  const x25519Secret = provider.x25519(ephemeral, peer);
  const x25519Ciphertext = provider.x25519PublicKey(ephemeral);
  ephemeral.fill(0);
  if (x25519Secret === undefined) return undefined;
  const mlKem = await provider.mlKem768Encapsulate(publicKey.subarray(0, mlKem768.publicKey));
  if (mlKem === undefined) {
    x25519Secret.fill(0);
    return undefined;
  }
  return {
    ciphertext: concatBytes(mlKem.ciphertext, x25519Ciphertext),
    sharedSecret: combine(provider, mlKem.sharedSecret, x25519Secret, concatBytes(x25519Ciphertext, peer)),
  };
}

/**
 * Decapsulate (§5.5).
 *
 * @param secretKey the seed, or what `xwingGenerate` made of it
 * @returns 32 bytes, for a ciphertext that nobody made for this key unrelated ones; `undefined` when its X25519 part is
 * of low order (the draft leaves that check out; nobody honest sends one)
 */
export async function xwingDecapsulate(
  secretKey: Uint8Array | XwingSecretKey,
  ciphertext: Uint8Array,
  provider: CryptoProvider = crypto(),
): Promise<Uint8Array | undefined> {
  requireLength("X-Wing ciphertext", ciphertext, xwing.ciphertext);
  const key =
    secretKey instanceof Uint8Array ? (await xwingGenerate(secretKey, provider)).secretKey : secretKey;
  const x25519Ciphertext = ciphertext.slice(mlKem768.ciphertext);
  const x25519Secret = provider.x25519(key.x25519, x25519Ciphertext);
  // What was expanded here is nobody else's.
  if (secretKey instanceof Uint8Array) key.x25519.fill(0);
  if (x25519Secret === undefined) return undefined;
  const mlKemSecret = await provider.mlKem768Decapsulate(
    key.mlKem,
    ciphertext.subarray(0, mlKem768.ciphertext),
  );
  return combine(provider, mlKemSecret, x25519Secret, concatBytes(x25519Ciphertext, key.x25519Public));
}

/**
 * Combiner (§5.3): SHA3-256(ss_M || ss_X || ct_X || pk_X || label). It wipes what it was given of secrets.
 *
 * @param context ct_X || pk_X
 */
function combine(
  provider: CryptoProvider,
  mlKemSecret: Uint8Array,
  x25519Secret: Uint8Array,
  context: Uint8Array,
): Uint8Array {
  const input = concatBytes(mlKemSecret, x25519Secret, context, xwingLabel);
  const sharedSecret = provider.sha3_256(input);
  for (const secret of [mlKemSecret, x25519Secret, input]) secret.fill(0);
  return sharedSecret;
}
