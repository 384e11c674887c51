import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { concatBytes } from "../../src/base/bytes.ts";
import { CryptoError } from "../../src/crypto/cryptoError.ts";
import { derTag, encodeDer } from "../../src/crypto/der.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { type CryptoProvider, keyTypes } from "../../src/crypto/provider.ts";
import { encodePublicKeyInfo } from "../../src/crypto/subjectPublicKeyInfo.ts";

// RSA keys take seconds on a busy machine.
setDefaultTimeout(60_000);

const bytes = (max: number, min = 0) => fc.uint8Array({ minLength: min, maxLength: max });
const hash = fc.constantFrom("sha256" as const, "sha512" as const);

/** Keys of each type, and a signature by each over the message. */
const message = Uint8Array.from({ length: 100 }, (_, i) => i);
const material = await Promise.all(
  keyTypes.map(async (type) => {
    const pkcs8 = await native.generatePrivateKey(type);
    const key = native.importPrivateKey(pkcs8);
    return { type, pkcs8, spki: key.spki, scheme: key.scheme, signature: key.sign(message) };
  }),
);

/** Changes that fuzzers know to matter: bits, lengths, pieces left out, doubled or exchanged. */
type Mutation =
  | { readonly kind: "flip"; readonly at: number; readonly mask: number }
  | { readonly kind: "set"; readonly at: number; readonly value: number }
  | { readonly kind: "insert"; readonly at: number; readonly value: Uint8Array }
  | { readonly kind: "remove"; readonly at: number; readonly count: number }
  | { readonly kind: "truncate"; readonly at: number };

const position = fc.nat(0xffff);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({
    kind: fc.constant("flip" as const),
    at: position,
    mask: fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128),
  }),
  fc.record({
    kind: fc.constant("set" as const),
    at: position,
    value: fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0x82, 0xff),
  }),
  fc.record({ kind: fc.constant("insert" as const), at: position, value: bytes(3, 1) }),
  fc.record({ kind: fc.constant("remove" as const), at: position, count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant("truncate" as const), at: position }),
);
const mutations = fc.array(mutation, { minLength: 1, maxLength: 3 });

describe("noble and native", () => {
  test("hash, derive and authenticate alike, whatever the input", () => {
    fc.assert(
      fc.property(bytes(300), bytes(200), hash, fc.nat(600), (data, key, name, length) => {
        agree((p) => p.sha256(data));
        agree((p) => p.sha512(data));
        agree((p) => p.sha3_256(data));
        agree((p) => p.shake256(data, length));
        agree((p) => p.hmac(name, key, data));
        agree((p) => p.hkdfExtract(name, key, data));
        agree((p) => p.hkdfExpand(name, key, data, 30 * length));
        agree((p) => {
          const stream = p.sha256Stream();
          stream.update(data);
          stream.update(key);
          return stream.digest();
        });
      }),
      { numRuns: 100 },
    );
  });

  test("seal and open alike, also with wrong lengths", () => {
    const key = fc.oneof(bytes(32, 32), bytes(40));
    const nonce = fc.oneof(bytes(12, 12), bytes(20));
    fc.assert(
      fc.property(key, nonce, bytes(200), bytes(50), mutations, (k, n, plaintext, aad, changes) => {
        const sealed = agree((p) => p.aesGcmSeal(k, n, plaintext, aad));
        if (sealed instanceof Uint8Array) {
          expect(agree((p) => p.aesGcmOpen(k, n, sealed, aad))).toEqual(plaintext);
          agree((p) => p.aesGcmOpen(k, n, mutate(sealed, changes), aad));
        }
        agree((p) => p.aesGcmOpen(k, n, plaintext, aad));
      }),
      { numRuns: 150 },
    );
  });

  test("encrypt and decrypt CBC alike, also random ciphertexts", () => {
    const key = fc.oneof(bytes(16, 16), bytes(32, 32), bytes(40));
    fc.assert(
      fc.property(key, bytes(16, 16), bytes(100), mutations, (k, iv, plaintext, changes) => {
        const encrypted = agree((p) => p.aesCbcEncrypt(k, iv, plaintext));
        if (encrypted instanceof Uint8Array) {
          expect(agree((p) => p.aesCbcDecrypt(k, iv, encrypted))).toEqual(plaintext);
          agree((p) => p.aesCbcDecrypt(k, iv, mutate(encrypted, changes)));
        }
        agree((p) => p.aesCbcDecrypt(k, iv, plaintext));
      }),
      { numRuns: 150 },
    );
  });

  test("agree on X25519 for random and extreme coordinates", () => {
    const extreme = fc
      .constantFrom(0x00, 0x01, 0x7f, 0x80, 0xed, 0xff)
      .map((octet) => new Uint8Array(32).fill(octet));
    const coordinate = fc.oneof(bytes(32, 32), extreme, bytes(34, 30));
    fc.assert(
      fc.property(fc.oneof(bytes(32, 32), extreme, bytes(34, 30)), coordinate, (secret, peer) => {
        agree((p) => p.x25519PublicKey(secret));
        agree((p) => p.x25519(secret, peer));
      }),
      { numRuns: 60 },
    );
  });

  test("make the same Ed25519 signatures and verify alike what was changed or made of odd points", () => {
    const torsion = fc.nat(7).map((i) => orderEight.multiplyUnsafe(BigInt(i)));
    const odd = fc.oneof(
      torsion.map((point) => point.toBytes()),
      fc
        .tuple(torsion, bytes(32, 32))
        .map(([point, seed]) => ed25519.utils.getExtendedPublicKey(seed).point.add(point).toBytes()),
      fc
        .constantFrom(0x00, 0x01, 0x7f, 0xec, 0xed, 0xee, 0xff)
        .map((octet) => new Uint8Array(32).fill(0xff).fill(octet, 0, 1).fill(0x7f, 31)),
      bytes(32, 32),
      bytes(34, 30),
    );
    fc.assert(
      fc.property(bytes(32, 32), bytes(80), odd, mutations, (seed, text, point, changes) => {
        const key = agree((p) => p.ed25519PublicKey(seed));
        const signature = agree((p) => p.ed25519Sign(seed, text));
        if (!(key instanceof Uint8Array && signature instanceof Uint8Array))
          throw new Error("refused a seed");
        expect(agree((p) => p.ed25519Verify(key, text, signature))).toBe(true);
        agree((p) => p.ed25519Verify(key, text, mutate(signature, changes)));
        agree((p) => p.ed25519Verify(mutate(key, changes), text, signature));
        agree((p) => p.ed25519Verify(point, text, signature));
        agree((p) => p.ed25519Verify(point, text, concatBytes(point, new Uint8Array(32)).subarray(0, 64)));
        agree((p) => p.ed25519Verify(key, text, concatBytes(point, signature).subarray(0, 64)));
        agree((p) => p.importPublicKey(encodePublicKeyInfo({ type: "ed25519", key: point })).spki);
      }),
      { numRuns: 60 },
    );
  });

  for (const { type, pkcs8, spki, scheme, signature } of material) {
    test(`import changed ${type} keys and verify changed signatures alike`, () => {
      fc.assert(
        fc.property(mutations, (changes) => {
          agree((p) => p.importPublicKey(mutate(spki, changes)).verify(scheme, message, signature));
          agree((p) => p.importPublicKey(spki).verify(scheme, message, mutate(signature, changes)));
          agree((p) => p.importPrivateKey(mutate(pkcs8, changes)).deriveSecret("label"));
        }),
        { numRuns: type === "rsa3072" ? 60 : 150 },
      );
    });
  }

  test("read random ECDSA numbers alike", () => {
    const key = material.find(({ type }) => type === "p256");
    if (key === undefined) throw new Error("no p256 key");
    const integer = fc.oneof(bytes(33), bytes(2)).map((content) => encodeDer(derTag.integer, content));
    fc.assert(
      fc.property(integer, integer, bytes(1), (r, s, more) => {
        agree((p) =>
          p
            .importPublicKey(key.spki)
            .verify("ecdsa-p256-sha256", message, encodeDer(derTag.sequence, r, s, more)),
        );
      }),
      { numRuns: 150 },
    );
  });

  test("make the same ML-KEM-768 keys, open each other's ciphertexts and reject alike", async () => {
    await fc.assert(
      fc.asyncProperty(bytes(64, 64), mutations, async (seed, changes) => {
        const [one, other] = [await noble.mlKem768Generate(seed), await native.mlKem768Generate(seed)];
        expect(other.publicKey).toEqual(one.publicKey);
        for (const provider of [noble, native]) {
          const made = await provider.mlKem768Encapsulate(one.publicKey);
          if (made === undefined) throw new Error("refused a good key");
          expect(await noble.mlKem768Decapsulate(one.secretKey, made.ciphertext)).toEqual(made.sharedSecret);
          expect(await native.mlKem768Decapsulate(other.secretKey, made.ciphertext)).toEqual(
            made.sharedSecret,
          );
          const changed = mutate(made.ciphertext, changes).subarray(0, 1088);
          expect(await settled(noble.mlKem768Decapsulate(one.secretKey, changed))).toEqual(
            await settled(native.mlKem768Decapsulate(other.secretKey, changed)),
          );
        }
        const wrongKey = mutate(one.publicKey, changes);
        const taken = async (p: CryptoProvider) =>
          settled(p.mlKem768Encapsulate(wrongKey).then((made) => made !== undefined));
        expect(await taken(native)).toEqual(await taken(noble));
      }),
      { numRuns: 25 },
    );
  });

  test("derive the same from a password", async () => {
    const name = fc.constantFrom("sha1" as const, "sha256" as const, "sha512" as const);
    await fc.assert(
      fc.asyncProperty(
        name,
        bytes(150),
        bytes(40),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(150),
        async (algorithm, password, salt, iterations, length) => {
          const derive = (p: CryptoProvider) =>
            settled(p.pbkdf2(algorithm, password, salt, iterations, length));
          expect(await derive(native)).toEqual(await derive(noble));
        },
      ),
      { numRuns: 60 },
    );
  });
});

const orderEight = ed25519.Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");

/** Runs it under both; the same answer, or an error with the same code. @returns the answer or the code */
function agree<T>(operation: (provider: CryptoProvider) => T): T | CryptoError["code"] {
  const [reference, other] = [outcome(noble, operation), outcome(native, operation)];
  expect(other).toEqual(reference);
  return reference;
}

function outcome<T>(
  provider: CryptoProvider,
  operation: (provider: CryptoProvider) => T,
): T | CryptoError["code"] {
  try {
    return operation(provider);
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
}

async function settled<T>(promise: Promise<T>): Promise<T | CryptoError["code"]> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
}

function mutate(input: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  return changes.reduce((current, change) => applyMutation(current, change), input);
}

function applyMutation(input: Uint8Array, change: Mutation): Uint8Array {
  if (input.length === 0) return input;
  const at = change.at % input.length;
  const head = input.subarray(0, at);
  const octet = input[at] ?? 0;
  switch (change.kind) {
    case "flip":
      return concatBytes(head, Uint8Array.of(octet ^ change.mask), input.subarray(at + 1));
    case "set":
      return concatBytes(head, Uint8Array.of(change.value), input.subarray(at + 1));
    case "insert":
      return concatBytes(head, change.value, input.subarray(at));
    case "remove":
      return concatBytes(head, input.subarray(at + change.count));
    case "truncate":
      return head.slice();
  }
}
