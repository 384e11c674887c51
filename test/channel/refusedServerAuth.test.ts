import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { makeAuthentication, serverRole } from "../../src/channel/authentication.ts";
import { onServerAuth } from "../../src/channel/clientHandshake.ts";
import { sealHandshakeRecord } from "../../src/channel/handshakeRecord.ts";
import { contentTypes, openRecord, sealRecord } from "../../src/channel/recordProtection.ts";
import { labels } from "../../src/crypto/labels.ts";
import { authenticationEdits, code, type Json, reseal, textOf } from "./edits.ts";
import { host, identityOf, type Party, world } from "./parties.ts";
import { afterHellos, readServerAuth } from "./steps.ts";

describe("onServerAuth() refuses", () => {
  for (const [what, edit, expected] of authenticationEdits)
    test(`${what}, and then still takes the real one`, async () => {
      const { client, server, serverAuth } = await afterHellos();
      const changed = reseal(server.secrets.serverTraffic, serverAuth, edit);
      await expect(readServerAuth(client, changed)).rejects.toMatchObject(code(expected));
      expect((await readServerAuth(client, serverAuth)).state.kind).toBe("await_ready");
    });

  test("every changed byte of the record, every truncation, and one byte more", async () => {
    const { client, serverAuth } = await afterHellos();
    for (let at = 0; at < serverAuth.length; at += 37) {
      const changed = serverAuth.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await expect(readServerAuth(client, changed)).rejects.toMatchObject(code("BAD_RECORD"));
      await expect(readServerAuth(client, serverAuth.subarray(0, at))).rejects.toMatchObject(
        code("BAD_RECORD"),
      );
    }
    const longer = Uint8Array.of(...serverAuth, 0);
    await expect(readServerAuth(client, longer)).rejects.toMatchObject(code("BAD_RECORD"));
    await expect(readServerAuth(client, new Uint8Array(16 * 1024 + 1))).rejects.toMatchObject(
      code("RECORD_OVERFLOW"),
    );
  });

  test("the same message under another record number, content type or direction, or in clear", async () => {
    const { client, server, serverAuth } = await afterHellos();
    const { serverTraffic, clientTraffic } = server.secrets;
    const content = openRecord(serverTraffic, 0, serverAuth)?.content ?? new Uint8Array();
    for (const [record, expected] of [
      [sealHandshakeRecord(serverTraffic, 1, content), "BAD_RECORD"],
      [sealHandshakeRecord(clientTraffic, 0, content), "BAD_RECORD"],
      [content, "BAD_RECORD"],
      [encodeUtf8('{"type":"alert","code":"timeout"}'), "BAD_RECORD"],
      [
        sealRecord(serverTraffic, 0, { contentType: contentTypes.message, content: content }),
        "UNEXPECTED_MESSAGE",
      ],
      [sealRecord(serverTraffic, 0, { contentType: 9, content: content }), "UNEXPECTED_MESSAGE"],
    ] as const)
      await expect(readServerAuth(client, record)).rejects.toMatchObject(code(expected));
  });

  test("server_auth of another session, as it was and sealed again", async () => {
    const other = await afterHellos();
    const { client, server, serverAuth } = await afterHellos();
    await expect(readServerAuth(client, other.serverAuth)).rejects.toMatchObject(code("BAD_RECORD"));
    const content = openRecord(other.server.secrets.serverTraffic, 0, other.serverAuth)?.content;
    const replayed = reseal(server.secrets.serverTraffic, serverAuth, () =>
      textOf(content ?? new Uint8Array()),
    );
    await expect(readServerAuth(client, replayed)).rejects.toMatchObject(code("BAD_SIGNATURE"));
  });

  /** `server_auth` as a party would make it that has the keys of the handshake. */
  async function asServer(party: Party, role = serverRole) {
    const { client, server, hello, serverHello } = await afterHellos();
    const { secrets } = server;
    const message = makeAuthentication(role, {
      before: [hello, serverHello],
      identity: identityOf(party),
      finished: secrets.serverFinished,
    });
    return readServerAuth(client, sealHandshakeRecord(secrets.serverTraffic, 0, message));
  }

  test("a user's certificate, another host's, an expired one, and those of other CAs, one of the same name", async () => {
    const { ca, alice, mallorysServer, impostor, foreign } = await world();
    for (const [party, expected, cause] of [
      [alice, "BAD_CERTIFICATE", "EXTENDED_KEY_USAGE_WRONG"],
      [mallorysServer, "BAD_CERTIFICATE", "HOST_MISMATCH"],
      [await ca.server(host, { expired: true }), "CERTIFICATE_EXPIRED", "EXPIRED"],
      [await foreign.server(host), "UNKNOWN_CA", "NO_PATH"],
      [await impostor.server(host), "BAD_CERTIFICATE", "SIGNATURE_INVALID"],
    ] as const)
      await expect(asServer(party)).rejects.toMatchObject({ ...code(expected), cause: { code: cause } });
  });

  test("the server's certificate without its key", async () => {
    const { server, mallory } = await world();
    await expect(asServer({ der: server.der, pkcs8: mallory.pkcs8 })).rejects.toMatchObject(
      code("BAD_SIGNATURE"),
    );
  });

  test("a signature under the client's label", async () => {
    const { server } = await world();
    const role = { ...serverRole, signatureLabel: labels.clientSignature };
    await expect(asServer(server, role)).rejects.toMatchObject(code("BAD_SIGNATURE"));
  });

  test("a MAC under the client's key", async () => {
    const { client, server, hello, serverHello } = await afterHellos();
    const identity = identityOf((await world()).server);
    const message = makeAuthentication(serverRole, {
      before: [hello, serverHello],
      identity,
      finished: server.secrets.clientFinished,
    });
    const record = sealHandshakeRecord(server.secrets.serverTraffic, 0, message);
    await expect(readServerAuth(client, record)).rejects.toMatchObject(code("BAD_MAC"));
  });

  test("a chain other than the signed one, though every certificate in it is good", async () => {
    const { ca } = await world();
    const renewed = await ca.server(host);
    for (const edit of [
      (m: Json) => ({ ...m, chain: [Buffer.from(renewed.der).toString("base64")] }),
      (m: Json) => ({ ...m, chain: [...(m.chain as string[]), Buffer.from(ca.der).toString("base64")] }),
    ]) {
      const { client, server, serverAuth } = await afterHellos();
      const changed = reseal(server.secrets.serverTraffic, serverAuth, edit);
      await expect(readServerAuth(client, changed)).rejects.toMatchObject(code("BAD_SIGNATURE"));
    }
  });

  test("a certificate that the callback judged for another purpose, or another certificate", async () => {
    const { ca, alice, server } = await world();
    const verifyClient = ca.verifier("client");
    const verifyServer = ca.verifier("server", { host });
    const renewed = await ca.server(host);
    for (const wrong of [
      () => verifyClient([alice.der]),
      () => verifyServer([renewed.der]),
      () => ca.verifier("evidence")([server.der]),
    ]) {
      const { client, serverAuth } = await afterHellos();
      expect(() => onServerAuth(client, serverAuth, { ...identityOf(alice), verifyServer: wrong })).toThrow(
        expect.objectContaining(code("INTERNAL")),
      );
    }
  });

  test("nothing that is a bug of the callback: it comes through as it is", async () => {
    const { alice } = await world();
    const { client, serverAuth } = await afterHellos();
    const bug = new TypeError("a bug");
    expect(() =>
      onServerAuth(client, serverAuth, {
        ...identityOf(alice),
        verifyServer: () => {
          throw bug;
        },
      }),
    ).toThrow(bug);
  });
});
