import { describe, expect, test } from "bun:test";
import { equalBytes } from "../../src/base/bytes.ts";
import { CryptoError } from "../../src/crypto/cryptoError.ts";
import { encodeEcdsaSignature } from "../../src/crypto/ecdsaSignature.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import type { CryptoProvider, SignatureScheme } from "../../src/crypto/provider.ts";
import {
  bytesOf,
  haveWycheproof,
  numberOf,
  readWycheproof,
  type WycheproofVector,
  wycheproofFiles,
} from "./wycheproofFile.ts";

/** With a code: by an error, before any arithmetic. */
type Verdict = "accepted" | "refused" | `refused ${CryptoError["code"]}`;
type Judge = (provider: CryptoProvider, vector: WycheproofVector) => Promise<boolean> | boolean;

interface FileRun {
  readonly judge: Judge;
  /** How many vectors have this verdict, from both providers: a file that is not read, or half of it, is noticed. */
  readonly counts: Partial<Record<Verdict, number>>;
  /** What the "acceptable" vectors and those for parameters that are not offered must come to. */
  readonly expected?: (vector: WycheproofVector) => boolean;
}

const runs: Record<string, FileRun> = {
  "aes_gcm_test.json": {
    counts: { accepted: 39, refused: 27, "refused WRONG_LENGTH": 250 },
    // Other key and nonce lengths than 32 and 12 bytes are no parameters of this project.
    expected: ({ result, group }) =>
      result === "valid" && numberOf(group, "keySize") === 256 && numberOf(group, "ivSize") === 96,
    judge(provider, { fields }) {
      const [key, iv, aad] = [bytesOf(fields, "key"), bytesOf(fields, "iv"), bytesOf(fields, "aad")];
      const [message, ct, tag] = [bytesOf(fields, "msg"), bytesOf(fields, "ct"), bytesOf(fields, "tag")];
      const sealed = Uint8Array.from([...ct, ...tag]);
      const opened = provider.aesGcmOpen(key, iv, sealed, aad);
      if (opened === undefined) return false;
      return equalBytes(opened, message) && equalBytes(provider.aesGcmSeal(key, iv, message, aad), sealed);
    },
  },
  "ecdsa_secp256r1_sha256_test.json": {
    counts: { accepted: 174, refused: 310 },
    judge: (provider, vector) =>
      verifies(provider, "ecdsa-p256-sha256", vector, bytesOf(vector.fields, "sig")),
  },
  "ecdsa_secp256r1_sha256_p1363_test.json": {
    counts: { accepted: 173, refused: 89 },
    judge(provider, vector) {
      const raw = bytesOf(vector.fields, "sig");
      // The fixed-length form is not ours: what has no DER form goes in as it is, and must be refused.
      const der =
        raw.length === 64 ? encodeEcdsaSignature({ r: raw.subarray(0, 32), s: raw.subarray(32) }) : raw;
      return verifies(provider, "ecdsa-p256-sha256", vector, der);
    },
  },
  "ed25519_test.json": {
    counts: { accepted: 88, refused: 63 },
    judge(provider, vector) {
      const signature = bytesOf(vector.fields, "sig");
      const imported = verifies(provider, "ed25519", vector, signature);
      const spki = bytesOf(vector.group, "publicKeyDer");
      const raw = provider.ed25519Verify(spki.subarray(12), bytesOf(vector.fields, "msg"), signature);
      expect(raw).toBe(imported);
      return imported;
    },
  },
  "hkdf_sha256_test.json": {
    counts: { accepted: 83, "refused WRONG_LENGTH": 3 },
    judge(provider, { fields }) {
      const prk = provider.hkdfExtract("sha256", bytesOf(fields, "salt"), bytesOf(fields, "ikm"));
      const out = provider.hkdfExpand("sha256", prk, bytesOf(fields, "info"), numberOf(fields, "size"));
      return equalBytes(out, bytesOf(fields, "okm"));
    },
  },
  "hmac_sha256_test.json": {
    counts: { accepted: 66, refused: 108 },
    judge(provider, { fields, group }) {
      const mac = provider.hmac("sha256", bytesOf(fields, "key"), bytesOf(fields, "msg"));
      return equalBytes(mac.subarray(0, numberOf(group, "tagSize") / 8), bytesOf(fields, "tag"));
    },
  },
  "mlkem_768_encaps_test.json": {
    counts: { accepted: 133, refused: 112, "refused WRONG_LENGTH": 20 },
    // The coins are the provider's own here, so this is about which keys it takes.
    async judge(provider, { fields }) {
      const made = await provider.mlKem768Encapsulate(bytesOf(fields, "ek"));
      return made !== undefined && made.ciphertext.length === 1088 && made.sharedSecret.length === 32;
    },
  },
  "mlkem_768_keygen_seed_test.json": {
    counts: { accepted: 100 },
    async judge(provider, { fields }) {
      const { publicKey } = await provider.mlKem768Generate(bytesOf(fields, "seed"));
      return equalBytes(publicKey, bytesOf(fields, "ek"));
    },
  },
  "mlkem_768_test.json": {
    counts: { accepted: 153, "refused WRONG_LENGTH": 40 },
    async judge(provider, { fields }) {
      const { publicKey, secretKey } = await provider.mlKem768Generate(bytesOf(fields, "seed"));
      const secret = await provider.mlKem768Decapsulate(secretKey, bytesOf(fields, "c"));
      return equalBytes(publicKey, bytesOf(fields, "ek")) && equalBytes(secret, bytesOf(fields, "K"));
    },
  },
  "rsa_signature_2048_sha256_test.json": {
    counts: { accepted: 7, refused: 250, "refused UNSUPPORTED_KEY": 2 },
    expected: acceptsRsa,
    judge: (provider, vector) =>
      verifies(provider, "rsa-pkcs1-sha256", vector, bytesOf(vector.fields, "sig")),
  },
  "rsa_signature_3072_sha256_test.json": {
    counts: { accepted: 7, refused: 251, "refused UNSUPPORTED_KEY": 1 },
    expected: acceptsRsa,
    judge: (provider, vector) =>
      verifies(provider, "rsa-pkcs1-sha256", vector, bytesOf(vector.fields, "sig")),
  },
  "x25519_test.json": {
    counts: { accepted: 487, refused: 31 },
    // Twist points and non-canonical coordinates are taken (RFC 7748 §5), an all-zero result is not (§6.1).
    expected: ({ fields }) => bytesOf(fields, "shared").some((octet) => octet !== 0),
    judge(provider, { fields }) {
      const shared = provider.x25519(bytesOf(fields, "private"), bytesOf(fields, "public"));
      return shared !== undefined && equalBytes(shared, bytesOf(fields, "shared"));
    },
  },
};

/** Files that say nothing about this project, and why. */
const leftOut: Record<string, string> = {
  "mlkem_768_semi_expanded_decaps_test.json":
    "decapsulation keys exist as seeds only here; there is no way to import the expanded form",
};

describe.skipIf(!haveWycheproof)("Wycheproof, both providers", () => {
  test("runs every file of the folder or says why not", () => {
    expect(wycheproofFiles()).toEqual([...Object.keys(runs), ...Object.keys(leftOut)].sort());
  });

  for (const [name, { judge, counts, expected }] of Object.entries(runs)) {
    test(`${name}: accepts the valid, refuses the invalid, and the providers agree on each`, async () => {
      const seen: Partial<Record<Verdict, number>> = {};
      const wrong: unknown[] = [];
      for (const vector of readWycheproof(name)) {
        const [reference, other] = [
          await verdictOf(judge, noble, vector),
          await verdictOf(judge, native, vector),
        ];
        seen[reference] = (seen[reference] ?? 0) + 1;
        const accept = expected?.(vector) ?? vector.result === "valid";
        if (reference !== other || accept !== (reference === "accepted"))
          wrong.push({ tcId: vector.tcId, result: vector.result, noble: reference, native: other });
      }
      expect(wrong).toEqual([]);
      expect(seen).toEqual(counts);
    });
  }
});

/** The "acceptable" one is DigestInfo without NULL, which is refused here; so are exponents below 65537. */
function acceptsRsa({ result, group }: WycheproofVector): boolean {
  const { publicKey } = group as { publicKey?: { publicExponent?: string } };
  const publicExponent = publicKey?.publicExponent ?? "";
  return result === "valid" && Number.parseInt(publicExponent, 16) >= 65_537;
}

async function verdictOf(judge: Judge, provider: CryptoProvider, vector: WycheproofVector): Promise<Verdict> {
  try {
    return (await judge(provider, vector)) ? "accepted" : "refused";
  } catch (error) {
    if (error instanceof CryptoError) return `refused ${error.code}`;
    throw error;
  }
}

function verifies(
  provider: CryptoProvider,
  scheme: SignatureScheme,
  { fields, group }: WycheproofVector,
  signature: Uint8Array,
): boolean {
  const key = provider.importPublicKey(bytesOf(group, "publicKeyDer"));
  return key.verify(scheme, bytesOf(fields, "msg"), signature);
}
