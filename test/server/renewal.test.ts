import { afterEach, describe, expect, test } from "bun:test";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { connectChannel } from "../../src/channel/exchange.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import { parseEntry } from "../../src/log/entry.ts";
import { formatTranscriptLine } from "../../src/log/transcript.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { createTestAuthority, type Issued } from "../pki/testAuthority.ts";
import { type RawClient, RawSocket } from "./rawClient.ts";
import { directConversation, TestConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

const names = ["localhost", "127.0.0.1"];

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

async function testServer(): Promise<TestServer> {
  const server = await TestServer.create();
  servers.push(server);
  return server;
}

/** The fingerprint of the certificate that a new connection is shown. */
async function shown(server: TestServer): Promise<Hex> {
  const socket = await RawSocket.dial(server.port);
  const { chain, key } = await server.person("looker");
  const { peer } = await connectChannel(socket, {
    chain,
    key,
    random: systemRandom,
    verifyServer: ([der = new Uint8Array(0)]) =>
      verifyPath({
        leaf: decodeCertificate(der),
        intermediates: [],
        anchors: [server.authority.ca],
        crls: [],
        purpose: "server",
        atMs: Date.now(),
      }),
  });
  socket.end();
  return peer.certificate.fingerprint;
}

/** Posts a line. @returns whose checkpoint the server answers with */
async function signedBy(client: RawClient, line: string): Promise<Hex> {
  return (await client.expect("accepted", { type: "post", line })).checkpoint.server;
}

const use = (server: TestServer, { chain, key }: Pick<Issued, "chain" | "key">) =>
  server.running.replaceIdentity({ chain, key });

describe("replaceIdentity()", () => {
  test("signs with the new certificate from then on, and sessions stay", async () => {
    const server = await testServer();
    const { alice, bob, aliceClient, bobClient, conversation } = await directConversation(server, [
      "alice",
      "bob",
    ]);
    const before = server.identity.certificate.fingerprint;
    expect(await signedBy(aliceClient, conversation.message(alice))).toBe(before);

    const renewed = await server.authority.issueServer(names, { pkcs8: server.identity.pkcs8 });
    await use(server, renewed);
    expect(await signedBy(bobClient, conversation.message(bob))).toBe(renewed.certificate.fingerprint);
    expect(await shown(server)).toBe(renewed.certificate.fingerprint);

    // Clients can fetch both: the conversation names the old one, checkpoints the new one.
    const { chains } = await aliceClient.expect("certificates", {
      type: "fetch_certificates",
      fingerprints: [server.identity.certificate.fingerprint, renewed.certificate.fingerprint],
    });
    const got = chains.map(([leaf]) => decodeCertificate(leaf ?? new Uint8Array(0)).fingerprint);
    expect(got.sort()).toEqual(
      [server.identity.certificate.fingerprint, renewed.certificate.fingerprint].sort(),
    );
  });

  test("still takes a conversation whose `create` names the certificate that its session shook hands with", async () => {
    const server = await testServer();
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    const aliceClient = await server.register(alice);
    await server.register(bob);
    const conversation = new TestConversation(server, alice, bob);
    const line = await conversation.create(aliceClient, alice, [bob]);
    await use(server, await server.authority.issueServer(names));
    expect((await aliceClient.request({ type: "post", line })).type).toBe("accepted");
  });

  test("countersigns with the new certificate what the old one has signed before", async () => {
    const server = await testServer();
    const { alice, bob, aliceClient, bobClient, conversation } = await directConversation(server, [
      "alice",
      "bob",
    ]);
    const statement = await statementOf(aliceClient, conversation);
    const request = (person: typeof alice) => ({
      type: "sign_receipt" as const,
      conversation: conversation.id,
      statement,
      signed_data: signDetached({
        ...person,
        content: statement,
        signingTimeMs: Date.now(),
        includeCertificates: [],
      }),
    });
    await aliceClient.expect("countersigned", request(alice));
    const renewed = await server.authority.issueServer(names);
    await use(server, renewed);
    const { signed_data } = await bobClient.expect("countersigned", request(bob));
    const countersigner = (fingerprint: string) =>
      decodeSignedData(signed_data)
        .signers.find((signer) => signer.fingerprint === fingerprint)
        ?.counterSignatures.map((counter) => counter.fingerprint);
    expect(countersigner(alice.certificate.fingerprint)).toEqual([server.identity.certificate.fingerprint]);
    expect(countersigner(bob.certificate.fingerprint)).toEqual([renewed.certificate.fingerprint]);
    expect(countersigner(server.identity.certificate.fingerprint)).toEqual([]);
  });

  test("refuses what a start would refuse, and a certificate that lacks a name: the old one stays", async () => {
    const server = await testServer();
    const { authority } = server;
    const now = Date.now();
    const user = await authority.issueUser("mallory");
    const foreign = await (await createTestAuthority({ nowMs: now })).issueServer(names);
    const expired = await authority.issueServer(names, {
      notBeforeMs: now - 7_200_000,
      notAfterMs: now - 3_600_000,
    });
    const revoked = await authority.issueServer(names);
    server.running.replaceCrl(authority.crl([{ certificate: revoked.certificate }]).der);
    const bad: [string, Pick<Issued, "chain" | "key">][] = [
      ["NOT_A_SERVER_CERTIFICATE", user],
      ["CERTIFICATE_REFUSED", foreign],
      ["CERTIFICATE_EXPIRED", expired],
      ["CERTIFICATE_REFUSED", revoked],
      ["KEY_MISMATCH", { chain: revoked.chain, key: user.key }],
      ["CERTIFICATE_REFUSED", await authority.issueServer("localhost")],
      // All names are there, but the operator is known by the first.
      ["CERTIFICATE_REFUSED", await authority.issueServer(["chat.example.org", ...names])],
      ["CERTIFICATE_REFUSED", { chain: [], key: user.key }],
    ];
    for (const [code, identity] of bad) await expect(use(server, identity)).rejects.toMatchObject({ code });
    const { aliceClient, alice, conversation } = await directConversation(server, ["alice", "bob"]);
    expect(await signedBy(aliceClient, conversation.message(alice))).toBe(
      server.identity.certificate.fingerprint,
    );
  });
});

test("a server whose certificate has expired accepts nothing, since nobody would accept its signature", async () => {
  const server = await testServer();
  server.freezeClock();
  await server.stop();
  const short = await server.authority.issueServer(names, { notAfterMs: Date.now() + 60_000 });
  await server.start({ chain: short.chain, key: short.key });
  const [alice, bob] = [await server.person("alice"), await server.person("bob")];
  const aliceClient = await server.register(alice);
  await server.register(bob);
  const conversation = new TestConversation({ authority: server.authority, identity: short }, alice, bob);
  await conversation.post(aliceClient, await conversation.create(aliceClient, alice, [bob]));
  server.skewMs = 62_000;
  const line = conversation.message(alice, { ts: Date.now() });
  expect(await aliceClient.refusalCode({ type: "post", line })).toBe("UNAVAILABLE");
  await use(server, await server.authority.issueServer(names));
  expect((await aliceClient.request({ type: "post", line })).type).toBe("accepted");
});

test("sign_receipt is refused to a certificate that the statement does not know", async () => {
  const server = await testServer();
  const { alice, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const statement = await statementOf(aliceClient, conversation);
  // The same person under a renewed certificate, which the log has not taken in yet.
  const renewed = await server.newPerson("alice", { pkcs8: alice.issued.pkcs8 });
  const client = await server.login(renewed);
  const signed_data = signDetached({
    ...renewed,
    content: statement,
    signingTimeMs: Date.now(),
    includeCertificates: [],
  });
  const request = { type: "sign_receipt", conversation: conversation.id, statement, signed_data } as const;
  const { code, message } = await client.refusal(request);
  expect([code, message]).toEqual([
    "BAD_RECEIPT",
    expect.stringContaining("none of the statement's members"),
  ]);
});

/** What the client makes of the log as the server hands it out. */
async function statementOf(client: RawClient, conversation: TestConversation): Promise<Uint8Array> {
  const { entries } = await client.expect("entries", {
    type: "fetch_entries",
    conversation: conversation.id,
    from: 0,
    limit: 256,
  });
  const lines = entries.map(({ at, line }, index) =>
    formatTranscriptLine({ entry: parseEntry(line), index, at }),
  );
  const hash = crypto().sha256Stream();
  for (const line of lines) hash.update(new TextEncoder().encode(`${line}\n`));
  return buildStatement({ state: conversation.state, sha256: encodeHex(hash.digest()) });
}
