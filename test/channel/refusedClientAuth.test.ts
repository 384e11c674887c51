import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { clientRole, makeAuthentication } from "../../src/channel/authentication.ts";
import { sealHandshakeRecord } from "../../src/channel/handshakeRecord.ts";
import { openRecord } from "../../src/channel/recordProtection.ts";
import { labels } from "../../src/crypto/labels.ts";
import { authenticationEdits, code, decode, encode, reseal } from "./edits.ts";
import { identityOf, type Party, world } from "./parties.ts";
import { afterHellos, afterServerAuth, readClientAuth } from "./steps.ts";

describe("onClientAuth() refuses", () => {
  for (const [what, edit, expected] of authenticationEdits)
    test(`${what}, and then still takes the real one`, async () => {
      const { server, clientAuth } = await afterServerAuth();
      const changed = reseal(server.secrets.clientTraffic, clientAuth, edit);
      await expect(readClientAuth(server, changed)).rejects.toMatchObject(code(expected));
      expect((await readClientAuth(server, clientAuth)).payload.length).toBeGreaterThan(17);
    });

  test("every changed byte of the record, every truncation, and one byte more", async () => {
    const { server, clientAuth } = await afterServerAuth();
    for (let at = 0; at < clientAuth.length; at += 37) {
      const changed = clientAuth.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await expect(readClientAuth(server, changed)).rejects.toMatchObject(code("BAD_RECORD"));
      await expect(readClientAuth(server, clientAuth.subarray(0, at))).rejects.toMatchObject(
        code("BAD_RECORD"),
      );
    }
    await expect(readClientAuth(server, Uint8Array.of(...clientAuth, 0))).rejects.toMatchObject(
      code("BAD_RECORD"),
    );
    await expect(readClientAuth(server, new Uint8Array(16 * 1024 + 1))).rejects.toMatchObject(
      code("RECORD_OVERFLOW"),
    );
  });

  test("a second hello, its own server_auth reflected, and client_auth of another session", async () => {
    const other = await afterServerAuth();
    const { hello, server, serverAuth } = await afterServerAuth();
    for (const payload of [hello, serverAuth, other.clientAuth])
      await expect(readClientAuth(server, payload)).rejects.toMatchObject(code("BAD_RECORD"));
  });

  test("server_auth reflected under the client's keys, also when it is called client_auth", async () => {
    const { server, serverAuth } = await afterHellos();
    const { clientTraffic, serverTraffic } = server.secrets;
    const content = openRecord(serverTraffic, 0, serverAuth)?.content ?? new Uint8Array();
    const reflected = sealHandshakeRecord(clientTraffic, 0, content);
    await expect(readClientAuth(server, reflected)).rejects.toMatchObject(code("UNEXPECTED_MESSAGE"));
    const renamed = sealHandshakeRecord(
      clientTraffic,
      0,
      encode({ ...decode(content), type: "client_auth" }),
    );
    await expect(readClientAuth(server, renamed)).rejects.toMatchObject(code("BAD_CERTIFICATE"));
  });

  /** `client_auth` as a party would make it that has the keys of the handshake. */
  async function asClient(party: Party, role = clientRole) {
    const { server, hello, serverHello } = await afterHellos();
    const before = [hello, serverHello, server.serverAuth];
    const message = makeAuthentication(role, {
      before,
      identity: identityOf(party),
      finished: server.secrets.clientFinished,
    });
    return readClientAuth(server, sealHandshakeRecord(server.secrets.clientTraffic, 0, message));
  }

  test("a server's certificate, an expired one, and those of other CAs, one of the same name", async () => {
    const { ca, mallorysServer, impostor, foreign } = await world();
    for (const [party, expected, cause] of [
      [mallorysServer, "BAD_CERTIFICATE", "EXTENDED_KEY_USAGE_WRONG"],
      [await ca.user("alice", { expired: true }), "CERTIFICATE_EXPIRED", "EXPIRED"],
      [await foreign.user("alice"), "UNKNOWN_CA", "NO_PATH"],
      [await impostor.user("alice"), "BAD_CERTIFICATE", "SIGNATURE_INVALID"],
    ] as const)
      await expect(asClient(party)).rejects.toMatchObject({ ...code(expected), cause: { code: cause } });
  });

  test("the client's certificate without its key, and a signature under the server's label", async () => {
    const { alice, mallory } = await world();
    const thief = { der: alice.der, pkcs8: mallory.pkcs8 };
    await expect(asClient(thief)).rejects.toMatchObject(code("BAD_SIGNATURE"));
    const role = { ...clientRole, signatureLabel: labels.serverSignature };
    await expect(asClient(alice, role)).rejects.toMatchObject(code("BAD_SIGNATURE"));
  });

  test("a signature that does not cover what the server sent", async () => {
    const { alice } = await world();
    const { server, hello, serverHello } = await afterHellos();
    const message = makeAuthentication(clientRole, {
      before: [hello, serverHello],
      identity: identityOf(alice),
      finished: server.secrets.clientFinished,
    });
    const record = sealHandshakeRecord(server.secrets.clientTraffic, 0, message);
    await expect(readClientAuth(server, record)).rejects.toMatchObject(code("BAD_SIGNATURE"));
  });

  test("an alert in clear only where it is one and nothing else", async () => {
    for (const [text, expected] of [
      ['{"type":"alert","code":"bad_certificate"}', "PEER_ALERT"],
      ['{"type":"alert","code":"bad_certificate"} ', "BAD_RECORD"],
      ['{"type":"alert","code":"unheard_of"}', "BAD_RECORD"],
      ['{"type":"client_auth"}', "BAD_RECORD"],
      ["[]", "BAD_RECORD"],
    ] as const) {
      const { server } = await afterHellos();
      await expect(readClientAuth(server, encodeUtf8(text))).rejects.toMatchObject(code(expected));
    }
  });
});
