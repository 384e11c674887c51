import { expect, test } from "bun:test";
import fc from "fast-check";
import { ChannelError } from "../../src/channel/channelError.ts";
import { onReady, onServerHello } from "../../src/channel/clientHandshake.ts";
import { sealHandshakeRecord } from "../../src/channel/handshakeRecord.ts";
import type { TrafficKeys } from "../../src/channel/keySchedule.ts";
import { openRecord } from "../../src/channel/recordProtection.ts";
import { Secret } from "../../src/channel/secret.ts";
import { onHello } from "../../src/channel/serverHandshake.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { identityOf, world } from "./parties.ts";
import {
  afterHellos,
  afterServerAuth,
  answerHello,
  readClientAuth,
  readServerAuth,
  sayHello,
} from "./steps.ts";

/** One change to some bytes: a bit, a cut, an insertion, a repetition, or other bytes altogether. */
const mutation: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(7)).map(([at, bit]) => (bytes: Uint8Array) => {
    const out = bytes.slice();
    const place = at % out.length;
    out[place] = (out[place] ?? 0) ^ (1 << bit);
    return out;
  }),
  fc.nat().map((at) => (bytes: Uint8Array) => bytes.slice(0, at % bytes.length)),
  fc
    .tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 8 }))
    .map(([at, more]) => (bytes: Uint8Array) => {
      const place = at % (bytes.length + 1);
      return Uint8Array.of(...bytes.subarray(0, place), ...more, ...bytes.subarray(place));
    }),
  fc.tuple(fc.nat(), fc.nat(40)).map(([at, length]) => (bytes: Uint8Array) => {
    const place = at % bytes.length;
    return Uint8Array.of(...bytes.subarray(0, place), ...bytes.subarray(place + length));
  }),
  fc.uint8Array({ maxLength: 100 }).map((other) => () => other),
  fc.json({ maxDepth: 3 }).map((text) => () => new TextEncoder().encode(text)),
);

/** @returns whether the action went through; anything else than a `ChannelError` fails the test */
async function passes(action: () => unknown): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(ChannelError);
    return false;
  }
}

/** A record with changed content, as a peer could make it that holds the keys. */
function resealed(keys: TrafficKeys, record: Uint8Array, mutate: (bytes: Uint8Array) => Uint8Array) {
  const content = openRecord(keys, 0, record)?.content;
  if (content === undefined) throw new Error("the record is the first under these keys");
  const changed = mutate(content);
  return { same: Buffer.compare(changed, content) === 0, record: sealHandshakeRecord(keys, 0, changed) };
}

const runs = { numRuns: 150 };

test("onHello() answers a mutated hello with server_hello or a ChannelError", async () => {
  const { server } = await world();
  const { payload } = await sayHello();
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      const nonces = { nonce32: systemRandom(32), x25519Secret32: systemRandom(32) };
      await passes(() => onHello({ payload: mutate(payload), ...nonces, ...identityOf(server) }));
    }),
    runs,
  );
});

test("a mutated server_hello never leads to a server that is believed", async () => {
  const client = await sayHello();
  const { serverHello, serverAuth } = await answerHello(client.payload);
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      const changed = mutate(serverHello);
      fc.pre(Buffer.compare(changed, serverHello) !== 0);
      // The transition wipes what it used, so each run has a state with copies of the secrets.
      const state = { ...client.state, x25519Secret: new Secret(client.state.x25519Secret.bytes.slice()) };
      const accepted = await passes(async () =>
        readServerAuth(await onServerHello(state, changed), serverAuth),
      );
      expect(accepted).toBe(false);
    }),
    runs,
  );
});

test("a mutated server_auth is refused, by its record and by its content", async () => {
  const { client, server, serverAuth } = await afterHellos();
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      const changed = mutate(serverAuth);
      fc.pre(Buffer.compare(changed, serverAuth) !== 0);
      expect(await passes(() => readServerAuth(client, changed))).toBe(false);
      const inside = resealed(server.secrets.serverTraffic, serverAuth, mutate);
      if (!inside.same) expect(await passes(() => readServerAuth(client, inside.record))).toBe(false);
    }),
    runs,
  );
  expect(await passes(() => readServerAuth(client, serverAuth))).toBe(true);
});

test("a mutated client_auth is refused, by its record and by its content", async () => {
  const { server, clientAuth } = await afterServerAuth();
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      const changed = mutate(clientAuth);
      fc.pre(Buffer.compare(changed, clientAuth) !== 0);
      expect(await passes(() => readClientAuth(server, changed))).toBe(false);
      const inside = resealed(server.secrets.clientTraffic, clientAuth, mutate);
      if (!inside.same) expect(await passes(() => readClientAuth(server, inside.record))).toBe(false);
    }),
    runs,
  );
  expect(await passes(() => readClientAuth(server, clientAuth))).toBe(true);
});

test("a mutated ready is refused", async () => {
  const { client, server, clientAuth } = await afterServerAuth();
  const { payload } = await readClientAuth(server, clientAuth);
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      const changed = mutate(payload);
      fc.pre(Buffer.compare(changed, payload) !== 0);
      expect(await passes(() => onReady(client, changed))).toBe(false);
    }),
    runs,
  );
  expect(await passes(() => onReady(client, payload))).toBe(true);
});
