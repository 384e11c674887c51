import { CryptoError } from "./cryptoError.ts";
import { mlKem768, passesModulusCheck } from "./parameterChecks.ts";
import type { CryptoProvider, MlKemSecretKey } from "./provider.ts";
import { requireLength } from "./requireLength.ts";

/**
 * What "Modern Algorithms in the Web Cryptography API" (WICG) adds for ML-KEM, as far as it is used here; the types of
 * the runtime don't have it yet.
 */
interface SubtleMlKem {
  importKey(
    format: "raw-seed" | "raw-public",
    key: Uint8Array,
    algorithm: "ML-KEM-768",
    extractable: boolean,
    usages: readonly ("encapsulateBits" | "decapsulateBits")[],
  ): Promise<CryptoKey>;
  getPublicKey(key: CryptoKey, usages: readonly ["encapsulateBits"]): Promise<CryptoKey>;
  exportKey(format: "raw-public", key: CryptoKey): Promise<ArrayBuffer>;
  encapsulateBits(
    algorithm: "ML-KEM-768",
    key: CryptoKey,
  ): Promise<{ sharedKey: ArrayBuffer; ciphertext: ArrayBuffer }>;
  decapsulateBits(algorithm: "ML-KEM-768", key: CryptoKey, ciphertext: Uint8Array): Promise<ArrayBuffer>;
}

// The one place where the runtime is known better than its types.
const subtle = globalThis.crypto.subtle as unknown as SubtleMlKem;

const secretKeys = new WeakMap<MlKemSecretKey, CryptoKey>();

export const nativeMlKem: Pick<
  CryptoProvider,
  "mlKem768Generate" | "mlKem768Encapsulate" | "mlKem768Decapsulate"
> = {
  async mlKem768Generate(seed) {
    requireLength("ML-KEM-768 seed", seed, mlKem768.seed);
    const key = await subtle.importKey("raw-seed", seed, "ML-KEM-768", false, ["decapsulateBits"]);
    const publicKey = await subtle.exportKey(
      "raw-public",
      await subtle.getPublicKey(key, ["encapsulateBits"]),
    );
    const secretKey = Object.freeze({}) as MlKemSecretKey;
    secretKeys.set(secretKey, key);
    return { publicKey: new Uint8Array(publicKey), secretKey };
  },
  async mlKem768Encapsulate(publicKey) {
    requireLength("ML-KEM-768 encapsulation key", publicKey, mlKem768.publicKey);
    if (!passesModulusCheck(publicKey)) return undefined;
    const key = await subtle.importKey("raw-public", publicKey, "ML-KEM-768", false, ["encapsulateBits"]);
    const { ciphertext, sharedKey } = await subtle.encapsulateBits("ML-KEM-768", key);
    return { ciphertext: new Uint8Array(ciphertext), sharedSecret: new Uint8Array(sharedKey) };
  },
  async mlKem768Decapsulate(secretKey, ciphertext) {
    requireLength("ML-KEM-768 ciphertext", ciphertext, mlKem768.ciphertext);
    const key = secretKeys.get(secretKey);
    if (key === undefined) throw new CryptoError("UNSUPPORTED_KEY", "ML-KEM-768 key of another provider");
    return new Uint8Array(await subtle.decapsulateBits("ML-KEM-768", key, ciphertext));
  },
};
