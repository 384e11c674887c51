import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { clientRole, makeAuthentication, serverRole } from "../../src/channel/authentication.ts";
import { onReady, onServerAuth } from "../../src/channel/clientHandshake.ts";
import { sealHandshakeRecord } from "../../src/channel/handshakeRecord.ts";
import { type AwaitClientAuth, abortHandshake } from "../../src/channel/handshakeState.ts";
import {
  deriveApplicationSecrets,
  deriveTrafficKeys,
  transcriptHash,
} from "../../src/channel/keySchedule.ts";
import { openRecord, sealRecord } from "../../src/channel/recordProtection.ts";
import { onClientAuth } from "../../src/channel/serverHandshake.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { code, textOf } from "./edits.ts";
import { identityOf, world } from "./parties.ts";
import { afterHellos, afterServerAuth, readClientAuth, readServerAuth, sayHello } from "./steps.ts";

describe("unknown key shares", () => {
  test("a server that presents itself under its own name can't pass the client on to another server", async () => {
    // Mallory runs a good server of this CA, knows every key of the handshake, and puts her own server_auth in the
    // place of the real one. Alice wants to talk to Mallory; the real server must not believe that she talks to it.
    const { ca, alice, mallorysServer } = await world();
    const { client, server, hello, serverHello } = await afterHellos();
    const { secrets } = server;
    const mallorys = makeAuthentication(serverRole, {
      before: [hello, serverHello],
      identity: identityOf(mallorysServer),
      finished: secrets.serverFinished,
    });
    const { payload } = onServerAuth(client, sealHandshakeRecord(secrets.serverTraffic, 0, mallorys), {
      ...identityOf(alice),
      verifyServer: ca.verifier("server", { host: "mallory.example.org" }),
    });
    await expect(readClientAuth(server, payload)).rejects.toMatchObject(code("BAD_SIGNATURE"));
  });

  test("a client that authenticates in another's place does not share her keys", async () => {
    // Mallory, with every key of the handshake, answers the server in her own name behind Alice's back. The server
    // rightly takes her for Mallory; Alice must not end up with the same keys, believing that the server knows her.
    const { mallory } = await world();
    const { client, server, hello, serverHello } = await afterServerAuth();
    const { secrets, serverAuth } = server;
    const before = [hello, serverHello, serverAuth];
    const message = makeAuthentication(clientRole, {
      before,
      identity: identityOf(mallory),
      finished: secrets.clientFinished,
    });
    const ready = await readClientAuth(server, sealHandshakeRecord(secrets.clientTraffic, 0, message));
    expect(ready.state.peer.certificate).toBe(decodeCertificate(mallory.der));
    expect(() => onReady(client, ready.payload)).toThrow(expect.objectContaining(code("BAD_RECORD")));
  });

  test("application keys depend on all four messages", async () => {
    const { server, client, clientAuth } = await afterServerAuth();
    const { hello, serverHello, serverAuth, secrets } = server as AwaitClientAuth;
    const content = openRecord(secrets.clientTraffic, 0, clientAuth)?.content ?? new Uint8Array();
    const messages = [hello, serverHello, serverAuth, content];
    const exporterOf = (all: readonly Uint8Array[]) =>
      deriveApplicationSecrets(secrets.handshake, transcriptHash(...all)).exporter.bytes;
    expect(exporterOf(messages)).toEqual(client.secrets.exporter.bytes);
    for (const index of messages.keys()) {
      const other = messages.with(index, Uint8Array.of(...(messages[index] ?? []), 0));
      expect(exporterOf(other)).not.toEqual(client.secrets.exporter.bytes);
    }
  });
});

describe("onReady() refuses", () => {
  test("everything but ready under the server's application key or an alert under its handshake key", async () => {
    const { client, server, serverAuth, clientAuth } = await afterServerAuth();
    const handshakeKeys = server.secrets.serverTraffic;
    const app = deriveTrafficKeys(client.secrets.serverTraffic);
    const seal = (keys: typeof app, number: number, text: string, type = 1) =>
      sealRecord(keys, number, { contentType: type, content: encodeUtf8(text) });
    const ready = '{"type":"ready"}';
    const alert = '{"type":"alert","code":"bad_certificate"}';
    for (const [record, expected] of [
      [serverAuth, "BAD_RECORD"],
      [clientAuth, "BAD_RECORD"],
      [new Uint8Array(33), "BAD_RECORD"],
      [encodeUtf8(ready), "BAD_RECORD"],
      [encodeUtf8(alert), "BAD_RECORD"],
      [seal(handshakeKeys, 0, alert), "BAD_RECORD"],
      [seal(handshakeKeys, 1, ready), "BAD_RECORD"],
      [seal(handshakeKeys, 2, alert), "BAD_RECORD"],
      [seal(app, 1, ready), "BAD_RECORD"],
      [seal(app, 0, ready, 2), "UNEXPECTED_MESSAGE"],
      [seal(app, 0, "{}"), "MALFORMED"],
      [seal(app, 0, `${ready}\n`), "MALFORMED"],
      [seal(app, 0, '{"type":"key_update"}'), "UNEXPECTED_MESSAGE"],
      [seal(app, 0, alert), "PEER_ALERT"],
      [seal(handshakeKeys, 1, alert), "PEER_ALERT"],
      [new Uint8Array(16 * 1024 + 1), "RECORD_OVERFLOW"],
    ] as const)
      expect(() => onReady(client, record)).toThrow(expect.objectContaining(code(expected)));
    const { payload } = await readClientAuth(server, clientAuth);
    expect(onReady(client, payload).peer.purpose).toBe("server");
  });

  test("ready a second time: it is the first record of the channel, which has gone by", async () => {
    const { client, server, clientAuth } = await afterServerAuth();
    const { payload } = await readClientAuth(server, clientAuth);
    const { records } = onReady(client, payload);
    expect(() => records.open(payload)).toThrow(expect.objectContaining(code("BAD_RECORD")));
  });
});

describe("abortHandshake()", () => {
  test("says why under the keys that the peer expects next, and wipes the secrets", async () => {
    const beginning = await sayHello();
    const clear = abortHandshake(beginning.state, "timeout");
    expect(textOf(clear)).toBe('{"type":"alert","code":"timeout"}');
    expect(abortHandshake(undefined, "timeout")).toEqual(clear);
    expect(() => beginning.state.x25519Secret.bytes).toThrow(expect.objectContaining(code("CLOSED")));

    const alerted = (alert: string) => ({ ...code("PEER_ALERT"), alert });
    const one = await afterHellos();
    const fromClient = abortHandshake(one.client, "unknown_ca");
    await expect(readClientAuth(one.server, fromClient)).rejects.toMatchObject(alerted("unknown_ca"));
    await expect(readServerAuth(one.client, one.serverAuth)).rejects.toMatchObject(code("CLOSED"));

    const two = await afterServerAuth();
    const fromServer = abortHandshake(two.server, "bad_certificate");
    expect(() => onReady(two.client, fromServer)).toThrow(
      expect.objectContaining(alerted("bad_certificate")),
    );
    await expect(readClientAuth(two.server, two.clientAuth)).rejects.toMatchObject(code("CLOSED"));

    const three = await afterServerAuth();
    const afterwards = abortHandshake(three.client, "timeout");
    const { state } = onClientAuth(three.server, three.clientAuth, {
      verifyClient: (await world()).ca.verifier("client"),
    });
    expect(state.records.open(afterwards)).toEqual({ kind: "alert", code: "timeout" });
    expect(() => three.client.secrets.exporter.bytes).toThrow(expect.objectContaining(code("CLOSED")));
  });
});
