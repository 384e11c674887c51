import * as bare from "node:crypto";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { acceptChannel, connectChannel, type Transport } from "../../src/channel/exchange.ts";
import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { openMessage, sealMessage } from "../../src/group/ratchet.ts";
import { associatedData, signEntry, signedBytes, type UnsignedEntry } from "../../src/log/entry.ts";
import { isSignedBy } from "../../src/log/signature.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { isMessage, World } from "../scenario/world.ts";

/**
 * The five rows of the original SecureChat's README, "Performance Characteristics", as we do the same work, each beside bare
 * calls of node:crypto in the same run: `bun test/bench/originalBench.ts [messages]`, `SECURECHAT_CRYPTO` as everywhere.
 */
useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
const messages = Number(process.argv[2] ?? 3_000);
const rounds = 5;
const words = encodeUtf8("a message as people write them, of some sixty characters or so");

/** @returns ms of CPU that one call takes, all threads, the median of some rounds: other work on the machine counts less */
async function milliseconds(action: () => unknown, calls = 400): Promise<number> {
  const each: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++) {
      const result = action();
      if (result instanceof Promise) await result;
    }
    // The first is to warm up.
    const { user, system } = process.cpuUsage(before);
    if (round > 0) each.push((user + system) / 1000 / calls);
  }
  return each.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.NaN;
}

const authority = await createTestAuthority();
const alice = await authority.issueUser("alice");
const server = await authority.issueServer("localhost");
const verify = (purpose: "client" | "server" | "evidence", leaf = alice.certificate) =>
  verifyPath({ leaf, intermediates: [], anchors: [authority.ca], crls: [], purpose, atMs: authority.nowMs });
const signer = verify("evidence");

const unsigned: UnsignedEntry = {
  v: 2,
  conversation: encodeHex(systemRandom(16)),
  sender: alice.certificate.fingerprint,
  seqno: 1,
  ts: Date.now(),
  kind: "message",
  view: { size: 1, root: encodeHex(systemRandom(32)) },
  epoch: 1,
  commitment: encodeHex(systemRandom(32)),
};
const key = systemRandom(32);
const aad = associatedData(unsigned);
const seal = () =>
  sealMessage({
    key,
    nonce12: systemRandom(12),
    associatedData: aad,
    opening32: systemRandom(32),
    plaintext: words,
  });
const sealed = seal();
const entry = signEntry(unsigned, sealed, alice.key);
const signed = signedBytes(entry, sealed);

const barePrivate = bare.createPrivateKey({ key: Buffer.from(alice.pkcs8), format: "der", type: "pkcs8" });
const barePublic = bare.createPublicKey(barePrivate);
const bareSignature = bare.sign("sha256", signed, barePrivate);
const padded = Buffer.alloc(128);

function bareSeal(): Buffer {
  const cipher = bare.createCipheriv("aes-256-gcm", key, bare.randomBytes(12)).setAAD(aad);
  return Buffer.concat([cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
}

function bareBothWays(): void {
  const nonce = bare.randomBytes(12);
  const cipher = bare.createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
  const ct = Buffer.concat([cipher.update(padded), cipher.final()]);
  const decipher = bare
    .createDecipheriv("aes-256-gcm", key, nonce)
    .setAAD(aad)
    .setAuthTag(cipher.getAuthTag());
  Buffer.concat([decipher.update(ct), decipher.final()]);
}

/** Both sides in one process, over pipes in memory: certificates, hybrid key agreement, signatures and all. */
async function handshake(): Promise<void> {
  const [toClient, toServer] = [pipe(), pipe()];
  const side = (from: Pipe, to: Pipe): Transport => ({
    read: () => from.read(),
    write: (one) => to.write(one),
  });
  await Promise.all([
    connectChannel(side(toClient, toServer), {
      ...{ chain: alice.chain, key: alice.key, random: systemRandom },
      verifyServer: () => verify("server", server.certificate),
    }),
    acceptChannel(side(toServer, toClient), {
      ...{ chain: server.chain, key: server.key, random: systemRandom },
      verifyClient: () => verify("client"),
    }),
  ]);
}

interface Pipe {
  read(): Promise<Uint8Array>;
  write(payload: Uint8Array): void;
}

function pipe(): Pipe {
  const waiting: Uint8Array[] = [];
  let wake = () => {};
  return {
    async read() {
      while (waiting.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return waiting.shift() ?? new Uint8Array(0);
    },
    write(payload) {
      waiting.push(payload);
      wake();
    },
  };
}

/** What no authenticated exchange can do without: two shares, two agreements, a signature and a verification each way. */
function bareExchange(): void {
  const [a, b] = [bare.generateKeyPairSync("x25519"), bare.generateKeyPairSync("x25519")];
  bare.diffieHellman({ privateKey: a.privateKey, publicKey: b.publicKey });
  bare.diffieHellman({ privateKey: b.privateKey, publicKey: a.publicKey });
  for (let side = 0; side < 2; side++)
    bare.verify("sha256", signed, barePublic, bare.sign("sha256", signed, barePrivate));
}

/** Messages a second from one running client through a running server to another, durable and verified on all three. */
async function throughput(): Promise<number> {
  const world = await World.create();
  try {
    const { port } = await world.startServer();
    const provider = crypto().name === "noble" ? "noble" : "native";
    const reader = await world.join("bob", port, { provider });
    const writer = await world.join("alice", port, { to: "bob", provider });
    writer.type("first");
    await reader.waitForEvent("the first message", isMessage("first"));
    const startedMs = performance.now();
    for (let i = 1; i < messages; i++) writer.type(`message ${i}`);
    writer.type("last");
    await reader.waitForEvent("the last message", isMessage("last"));
    return (messages * 1000) / (performance.now() - startedMs);
  } finally {
    await world.dispose();
  }
}

const rows: [what: string, theirs: string, ours: number, baseline: number][] = [
  [
    "encryption and decryption, ms a message",
    "1-2 (AES-128-ECB)",
    await milliseconds(() => openMessage({ key, associatedData: aad, ct: seal() })),
    await milliseconds(bareBothWays),
  ],
  [
    "signature, ms a message",
    "10-20 (RSA-2048)",
    await milliseconds(() => signEntry(unsigned, sealed, alice.key)),
    await milliseconds(() => bare.sign("sha256", signed, barePrivate)),
  ],
  [
    "verification, ms a message",
    "5-15",
    await milliseconds(() => isSignedBy(signer, signed, entry.sig)),
    await milliseconds(() => bare.verify("sha256", signed, barePublic, bareSignature)),
  ],
  [
    "key exchange, ms a session",
    "100-200 (DH-1024)",
    await milliseconds(handshake, 50),
    await milliseconds(bareExchange, 50),
  ],
];
const perSecond = await throughput();
const work = await milliseconds(() => {
  bareSeal();
  bare.verify("sha256", signed, barePublic, bare.sign("sha256", signed, barePrivate));
});

const line = (...cells: string[]) =>
  `${cells.map((cell, i) => (i === 0 ? cell.padEnd(42) : cell.padStart(20))).join("")}\n`;
process.stdout.write(line(crypto().name, "the original's", "ours", "bare node:crypto", "ratio"));
for (const [what, theirs, ours, baseline] of rows)
  process.stdout.write(
    line(what, theirs, ours.toFixed(3), baseline.toFixed(3), (ours / baseline).toFixed(2)),
  );
process.stdout.write(
  line(
    "throughput, messages a second of a client",
    "100-200",
    perSecond.toFixed(0),
    (1000 / work).toFixed(0),
    (1000 / work / perSecond).toFixed(2),
  ),
);
process.exit(0);
