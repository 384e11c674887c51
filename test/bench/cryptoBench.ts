import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import type { CryptoProvider, KeyType } from "../../src/crypto/provider.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { xwingDecapsulate, xwingEncapsulate, xwingGenerate } from "../../src/crypto/xwing.ts";

/**
 * Microseconds per operation under both providers and how many times faster `native` is, measured in one run on one
 * machine: `bun test/bench/cryptoBench.ts [milliseconds per measurement, default 200]`.
 */
const budgetMs = Number(process.argv[2] ?? 200);
const message = systemRandom(256);
const key = systemRandom(32);
const nonce = systemRandom(12);

type Operation = () => unknown;
/** Prepares what is not measured and returns what is. */
type Case = (provider: CryptoProvider) => Operation | Promise<Operation>;

const signing =
  (type: KeyType): Case =>
  async (provider) => {
    const own = provider.importPrivateKey(await native.generatePrivateKey(type));
    return () => own.sign(message);
  };
const verifying =
  (type: KeyType): Case =>
  async (provider) => {
    const own = native.importPrivateKey(await native.generatePrivateKey(type));
    const peer = provider.importPublicKey(own.spki);
    const signature = own.sign(message);
    return () => peer.verify(own.scheme, message, signature);
  };
const importing =
  (type: KeyType): Case =>
  async (provider) => {
    const { spki } = native.importPrivateKey(await native.generatePrivateKey(type));
    return () => provider.importPublicKey(spki);
  };

const cases: Record<string, Case> = {
  "SHA-256, 256 B": (p) => () => p.sha256(message),
  "SHA-256, 64 KiB": (p) => {
    const data = systemRandom(65_536);
    return () => p.sha256(data);
  },
  "SHA-512, 256 B": (p) => () => p.sha512(message),
  "SHA3-256, 256 B": (p) => () => p.sha3_256(message),
  "HMAC-SHA-256, 256 B": (p) => () => p.hmac("sha256", key, message),
  "HKDF-Expand, 32 B": (p) => () => p.hkdfExpand("sha256", key, message, 32),
  "AES-256-GCM seal, 256 B": (p) => () => p.aesGcmSeal(key, nonce, message, message),
  "AES-256-GCM open, 256 B": (p) => {
    const sealed = p.aesGcmSeal(key, nonce, message, message);
    return () => p.aesGcmOpen(key, nonce, sealed, message);
  },
  "X25519 public key": (p) => () => p.x25519PublicKey(key),
  "X25519 agreement": (p) => {
    const peer = p.x25519PublicKey(systemRandom(32));
    return () => p.x25519(key, peer);
  },
  "ML-KEM-768 generate": (p) => {
    const seed = systemRandom(64);
    return () => p.mlKem768Generate(seed);
  },
  "ML-KEM-768 encapsulate": async (p) => {
    const { publicKey } = await p.mlKem768Generate(systemRandom(64));
    return () => p.mlKem768Encapsulate(publicKey);
  },
  "ML-KEM-768 decapsulate": async (p) => {
    const { publicKey, secretKey } = await p.mlKem768Generate(systemRandom(64));
    const made = await p.mlKem768Encapsulate(publicKey);
    const ciphertext = made?.ciphertext ?? new Uint8Array(1088);
    return () => p.mlKem768Decapsulate(secretKey, ciphertext);
  },
  "X-Wing generate": (p) => () => xwingGenerate(key, p),
  "X-Wing encapsulate": async (p) => {
    const { publicKey } = await xwingGenerate(key, p);
    return () => xwingEncapsulate(publicKey, systemRandom, p);
  },
  "X-Wing decapsulate, expanded key": async (p) => {
    const { publicKey, secretKey } = await xwingGenerate(key, p);
    const made = await xwingEncapsulate(publicKey, systemRandom, p);
    const ciphertext = made?.ciphertext ?? new Uint8Array(1120);
    return () => xwingDecapsulate(secretKey, ciphertext, p);
  },
  "P-256 sign": signing("p256"),
  "P-256 verify": verifying("p256"),
  "P-256 import": importing("p256"),
  "Ed25519 sign": signing("ed25519"),
  "Ed25519 verify": verifying("ed25519"),
  "Ed25519 import": importing("ed25519"),
  "Ed25519 verify, raw key": (p) => {
    const publicKey = p.ed25519PublicKey(key);
    const signature = p.ed25519Sign(key, message);
    return () => p.ed25519Verify(publicKey, message, signature);
  },
  "RSA-2048 sign (the runtime's in both)": signing("rsa2048"),
  "RSA-2048 verify": verifying("rsa2048"),
  "RSA-3072 verify": verifying("rsa3072"),
  "PBKDF2-HMAC-SHA-256, 1000": (p) => () => p.pbkdf2("sha256", key, nonce, 1000, 32),
};

console.log(
  `${"".padEnd(38)}${["noble µs", "native µs", "ratio"].map((name) => name.padStart(11)).join("")}`,
);
for (const [name, prepare] of Object.entries(cases)) {
  const [reference, other] = [await measure(await prepare(noble)), await measure(await prepare(native))];
  const columns = [reference.toFixed(1), other.toFixed(1), (reference / other).toFixed(1)];
  console.log(`${name.padEnd(38)}${columns.map((text) => text.padStart(11)).join("")}`);
}

/** @returns microseconds per operation, the median of five runs after a warm-up */
async function measure(operation: Operation): Promise<number> {
  await timed(operation, budgetMs / 5);
  const runs: number[] = [];
  for (let i = 0; i < 5; i++) runs.push(await timed(operation, budgetMs / 5));
  return runs.sort((a, b) => a - b)[2] ?? Number.NaN;
}

async function timed(operation: Operation, milliseconds: number): Promise<number> {
  const start = performance.now();
  let count = 0;
  let elapsed = 0;
  do {
    // A promise is awaited, a plain answer is not: the wait would be most of what is measured.
    const answer = operation();
    if (answer instanceof Promise) await answer;
    count++;
    elapsed = performance.now() - start;
  } while (elapsed < milliseconds);
  return (elapsed * 1000) / count;
}
