import { noble } from "./noble.ts";
import type { CryptoProvider } from "./provider.ts";

export { CryptoError } from "./cryptoError.ts";
export {
  type CryptoProvider,
  type KeyType,
  keyTypes,
  type MlKemSecretKey,
  type PrivateKey,
  type PublicKey,
  type Sha256Stream,
  type SignatureScheme,
} from "./provider.ts";

let active: CryptoProvider = noble;

/**
 * Chooses the provider for the whole process. The entry point does it once, before any key is imported; keys remember
 * the provider that made them. The default is the reference, which runs everywhere.
 */
export function useCryptoProvider(provider: CryptoProvider): void {
  active = provider;
}

/** The provider in use: `crypto().sha256(data)`. */
export function crypto(): CryptoProvider {
  return active;
}

/** Shorthand for the hash that the whole design rests on. @returns 32 bytes */
export function sha256(data: Uint8Array): Uint8Array {
  return active.sha256(data);
}
