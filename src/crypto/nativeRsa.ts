import { constants, createPrivateKey, generateKeyPair, sign } from "node:crypto";
import { CryptoError } from "./cryptoError.ts";
import { plainBytes } from "./plainBytes.ts";
import type { RsaRuntime } from "./rsaRuntime.ts";

/** RSA with a private key by the runtime, off the main thread for key generation. */
export const nativeRsa: RsaRuntime = {
  generate(bits) {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    generateKeyPair("rsa", { modulusLength: bits, publicExponent: 65_537 }, (error, _, privateKey) => {
      if (error) reject(error);
      else resolve(plainBytes(privateKey.export({ format: "der", type: "pkcs8" })));
    });
    return promise;
  },
  signer(pkcs8) {
    let key: ReturnType<typeof createPrivateKey>;
    try {
      key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
    } catch (cause) {
      throw new CryptoError("MALFORMED_KEY", "the runtime refuses the RSA private key", { cause });
    }
    const options = { key, padding: constants.RSA_PKCS1_PADDING };
    return (message) => plainBytes(sign("sha256", message, options));
  },
};
