import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { onReady, onServerAuth, onServerHello, startClient } from "../../src/channel/clientHandshake.ts";
import type { HandshakeSecrets } from "../../src/channel/keySchedule.ts";
import { onClientAuth, onHello } from "../../src/channel/serverHandshake.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { host, identityOf, type ProviderName, under, world } from "./parties.ts";
import {
  afterHellos,
  afterServerAuth,
  answerHello,
  establish,
  readClientAuth,
  readServerAuth,
  sayHello,
} from "./steps.ts";

const pairs: readonly (readonly [ProviderName, ProviderName])[] = [
  ["native", "native"],
  ["noble", "noble"],
  ["noble", "native"],
  ["native", "noble"],
];

const bytesOf = (secrets: HandshakeSecrets) =>
  [
    secrets.handshake,
    secrets.serverFinished,
    secrets.clientFinished,
    secrets.clientTraffic.key,
    secrets.clientTraffic.iv,
    secrets.serverTraffic.key,
    secrets.serverTraffic.iv,
  ].map((secret) => secret.bytes);

const isZero = (bytes: Uint8Array) => bytes.every((octet) => octet === 0);

describe("the handshake", () => {
  for (const [client, server] of pairs)
    test(`ends with the same keys and the right peers: ${client} client, ${server} server`, async () => {
      const hello = await under(client, sayHello);
      const answer = await under(server, () => answerHello(hello.payload));
      const awaitServerAuth = await under(client, () => onServerHello(hello.state, answer.serverHello));
      const clientAuth = await under(client, () => readServerAuth(awaitServerAuth, answer.serverAuth));
      const ready = await under(server, () => readClientAuth(answer.state, clientAuth.payload));
      const atClient = await under(client, () => onReady(clientAuth.state, ready.payload));
      const atServer = ready.state;

      const { alice, server: serverParty } = await world();
      expect(atClient.peer.certificate.der).toEqual(serverParty.der);
      expect(atServer.peer.certificate.der).toEqual(alice.der);
      expect(atClient.exporter).toEqual(atServer.exporter);
      expect(atClient.exporter.length).toBe(32);

      const words = encodeUtf8("words");
      for (let round = 0; round < 3; round++) {
        const [up] = await under(client, () => atClient.records.seal(words));
        expect(await under(server, () => atServer.records.open(up ?? words))).toEqual({
          kind: "message",
          bytes: words,
        });
        const [down] = await under(server, () => atServer.records.seal(words));
        expect(await under(client, () => atClient.records.open(down ?? words))).toEqual({
          kind: "message",
          bytes: words,
        });
      }
    });

  for (const type of ["rsa2048", "ed25519"] as const)
    test(`works with ${type} keys on both sides`, async () => {
      const { ca } = await world();
      const [server, user] = await Promise.all([ca.server(host, { type }), ca.user("rosa", { type })]);
      const hello = await sayHello();
      const answer = await onHello({
        payload: hello.payload,
        nonce32: systemRandom(32),
        x25519Secret32: systemRandom(32),
        ...identityOf(server),
      });
      const [serverHello = new Uint8Array(), serverAuth = new Uint8Array()] = answer.payloads;
      const awaitServerAuth = await onServerHello(hello.state, serverHello);
      const { state, payload } = onServerAuth(awaitServerAuth, serverAuth, {
        ...identityOf(user),
        verifyServer: ca.verifier("server", { host }),
      });
      const ready = onClientAuth(answer.state, payload, { verifyClient: ca.verifier("client") });
      expect(onReady(state, ready.payload).peer.certificate.der).toEqual(server.der);
      expect(ready.state.peer.certificate).toBe(decodeCertificate(user.der));
    });

  test("sends nothing of the client's certificate in clear, and of the server's neither", async () => {
    const { alice, server } = await world();
    const { hello, serverHello, serverAuth, clientAuth } = await afterServerAuth();
    const wire = Buffer.concat([hello, serverHello, serverAuth, clientAuth]);
    for (const { der } of [alice, server]) {
      // Any 24 bytes of it, in DER or in base64 at any alignment.
      for (let offset = 0; offset + 24 <= der.length; offset += 3) {
        const part = Buffer.from(der.subarray(offset, offset + 24));
        expect(wire.includes(part)).toBe(false);
        expect(wire.includes(part.toString("base64"))).toBe(false);
      }
    }
  });

  test("is fresh on both sides each time: same keys never come again", async () => {
    const [one, two] = [await establish(), await establish()];
    expect(one.client.exporter).not.toEqual(two.client.exporter);
    expect(one.ready).not.toEqual(two.ready);
  });

  test("says hello in canonical JSON with the fields in order", async () => {
    const { payload } = await sayHello();
    const text = new TextDecoder().decode(payload);
    expect(JSON.stringify(JSON.parse(text))).toBe(text);
    expect(Object.keys(JSON.parse(text))).toEqual(["type", "version", "nonce", "x25519", "mlkem768"]);
  });
});

describe("secrets", () => {
  test("startClient() takes the seed over and wipes it; onServerHello() wipes the X25519 secret", async () => {
    const randomness = {
      nonce32: systemRandom(32),
      x25519Secret32: systemRandom(32),
      mlKemSeed64: systemRandom(64),
    };
    const { state, payload } = await startClient(randomness);
    expect(isZero(randomness.mlKemSeed64)).toBe(true);
    const { serverHello } = await answerHello(payload);
    await onServerHello(state, serverHello);
    expect(isZero(randomness.x25519Secret32)).toBe(true);
    await expect(onServerHello(state, serverHello)).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("onHello() wipes its X25519 secret, also when it refuses the client's share", async () => {
    const { server } = await world();
    const { payload } = await sayHello();
    const json = JSON.parse(new TextDecoder().decode(payload));
    const lowOrder = encodeUtf8(JSON.stringify({ ...json, x25519: Buffer.alloc(32).toString("base64") }));
    for (const each of [payload, lowOrder]) {
      const x25519Secret32 = systemRandom(32);
      await onHello({
        payload: each,
        nonce32: systemRandom(32),
        x25519Secret32,
        ...identityOf(server),
      }).catch(() => undefined);
      expect(isZero(x25519Secret32)).toBe(true);
    }
  });

  test("of the handshake are gone on the client once it waits for ready, but for what opens a refusal", async () => {
    const { client, serverAuth } = await afterHellos();
    const raw = bytesOf(client.secrets);
    const { state } = await readServerAuth(client, serverAuth);
    expect(raw.slice(0, 5).every(isZero)).toBe(true);
    expect(raw.slice(5).some(isZero)).toBe(false);
    expect(state.serverHandshakeTraffic.key.bytes).toBe(raw[5] ?? new Uint8Array());
  });

  test("of the handshake are gone on both sides once the channel stands", async () => {
    const { client, server, clientAuth } = await afterServerAuth();
    const atServer = bytesOf(server.secrets);
    const atClient = [client.serverHandshakeTraffic.key.bytes, client.serverHandshakeTraffic.iv.bytes];
    const { payload } = await readClientAuth(server, clientAuth);
    onReady(client, payload);
    expect([...atServer, ...atClient].every(isZero)).toBe(true);
    await expect(readClientAuth(server, clientAuth)).rejects.toMatchObject({ code: "CLOSED" });
  });
});
