import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { encodeBase64 } from "../../src/base/base64.ts";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeJson } from "../../src/base/schema.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { helloSchema, protocolVersion } from "../../src/wire/handshakeMessages.ts";
import { eventsOf, passwordOf, patienceMs } from "../scenario/world.ts";
import { clearAlertCode, RawSocket } from "../server/rawClient.ts";
import { HostilePeers } from "./hostilePeers.ts";
import { type CrossingFrame, ManInTheMiddle } from "./manInTheMiddle.ts";

/*
 * The attacks on the original SecureChat that need nothing but the network, made on the running executables: they fail here.
 */

setDefaultTimeout(patienceMs);

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["alice", "bob"]);
  for (const name of ["alice", "bob"])
    expect((await peers.chat(name, peers.port, ["--register"])).exitCode).toBe(0);
});
afterAll(() => peers?.dispose());

/** Shares of which every agreement is a constant: the original's A = B = 1, and the others of X25519 (RFC 7748 §6.1). */
const constantShares = [
  `01${"00".repeat(31)}`,
  "00".repeat(32),
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
].map((hex) => Uint8Array.fromHex(hex));

/** The hello or its answer with another X25519 share; alerts are left as they are. */
function withShare(payload: Uint8Array, share: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(payload);
  return encodeUtf8(text.replace(/"x25519":"[^"]*"/, `"x25519":"${encodeBase64(share)}"`));
}

async function hello(over: {
  x25519?: Uint8Array;
  mlkem768?: Uint8Array;
  version?: number;
}): Promise<Uint8Array> {
  const { publicKey } = await crypto().mlKem768Generate(systemRandom(64));
  return encodeJson(helloSchema, {
    type: "hello",
    version: protocolVersion,
    nonce: systemRandom(32),
    x25519: crypto().x25519PublicKey(systemRandom(32)),
    mlkem768: publicKey,
    ...over,
  });
}

/** @returns the alert in clear with which the server ends a connection that begins with this frame */
async function alertOf(payload: Uint8Array) {
  const socket = await RawSocket.dial(peers.port);
  socket.writeBytes(encodeFrame(payload));
  return clearAlertCode(await socket.read());
}

describe("flaw 1, the transparent man in the middle: somebody", () => {
  /** @param change of the first frame of each direction: the hello and its answer */
  async function attack(change: (frame: CrossingFrame) => Uint8Array) {
    const before = peers.kept();
    using middle = new ManInTheMiddle(peers.port, (to, frame) =>
      to.write(frame.number === 0 ? change(frame) : frame.payload),
    );
    const done = await peers.chat("alice", middle.port, ["--login", "--to", "bob"], "for bob only\n");
    expect(peers.kept()).toEqual(before);
    expect(eventsOf(done.stdout).filter(({ event }) => event === "authenticated")).toEqual([]);
    return done;
  }

  test("who puts constant key shares into both directions gets no common key", async () => {
    for (const share of constantShares) {
      const done = await attack(({ payload }) => withShare(payload, share));
      expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("(HANDSHAKE_FAILED)")]);
    }
  });

  test("who puts a constant share into the server's direction alone gets none either", async () => {
    for (const share of constantShares) {
      const done = await attack(({ direction, payload }) =>
        direction === "toClient" ? withShare(payload, share) : payload,
      );
      expect([done.exitCode, done.stderr]).toEqual([
        4,
        expect.stringMatching(/low order.*\(HANDSHAKE_FAILED\)/),
      ]);
    }
  });

  test("who puts shares of his own into both directions is found out before the password is sent", async () => {
    const own = crypto().x25519PublicKey(systemRandom(32));
    const done = await attack(({ payload }) => withShare(payload, own));
    expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("(HANDSHAKE_FAILED)")]);
  });

  const flips = (["toServer", "toClient"] as const).flatMap((direction) =>
    [1, 2, 3].map((number) => ({ direction, number })),
  );

  test.each(flips)("who changes a bit of frame $number $direction ends the connection", async (target) => {
    let hit = false;
    using middle = new ManInTheMiddle(peers.port, (to, { direction, number, payload }) => {
      const isTarget = direction === target.direction && number === target.number;
      hit ||= isTarget;
      to.write(payload.map((byte, i) => (isTarget && i === payload.length - 1 ? byte ^ 1 : byte)));
    });
    const done = await peers.chat("alice", middle.port, ["--login"]);
    expect([hit, done.exitCode]).toEqual([true, 4]);
    expect(done.stderr).toMatch(/\((HANDSHAKE_FAILED|CONNECTION_LOST)\)\n$/);
    expect(eventsOf(done.stdout).filter(({ event }) => event === "receipt" || event === "sent")).toEqual([]);
  });

  test("who only listens sees neither certificates, names, the password nor words", async () => {
    using middle = new ManInTheMiddle(peers.port, (to, { payload }) => to.write(payload));
    const done = await peers.chat(
      "alice",
      middle.port,
      ["--login", "--to", "bob"],
      "words that nobody hears\n",
    );
    expect(done.exitCode).toBe(0);
    const { bytes } = middle;
    expect(bytes.length).toBeGreaterThan(10_000);
    const pem = readFileSync(peers.world.path("alice/certs/alice_cert.pem"), "utf8");
    for (const secret of [
      passwordOf("alice").SECURECHAT_PASSWORD ?? "",
      "words that nobody hears",
      "alice",
      "example.org",
      "BEGIN CERTIFICATE",
      pem.split("\n")[3] ?? "",
    ])
      expect([secret, bytes.includes(secret)]).toEqual([secret, false]);
  });
});

test("flaw 7, weak key agreement: every share of low order and every bad ML-KEM key is refused, and other versions", async () => {
  for (const x25519 of constantShares)
    expect(await alertOf(await hello({ x25519 }))).toBe("handshake_failure");
  // Coefficients of 4095, which is more than q.
  expect(await alertOf(await hello({ mlkem768: new Uint8Array(1184).fill(0xff) }))).toBe("handshake_failure");
  for (const version of [0, 1, 3])
    expect(await alertOf(await hello({ version }))).toBe("unsupported_version");
  const original = {
    type: "hello",
    client_cert: "-----BEGIN CERTIFICATE-----",
    nonce: "AAAAAAAAAAAAAAAAAAAAAA==",
  };
  expect(await alertOf(encodeUtf8(JSON.stringify(original)))).toBe("decode_error");
});
