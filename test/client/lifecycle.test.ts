import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Hex } from "../../src/base/hex.ts";
import { readEvidenceFolder } from "../../src/cli/evidenceFolder.ts";
import type { KeyType } from "../../src/crypto/crypto.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { parseCheckpoint } from "../../src/log/checkpoint.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { formatPem, parsePem } from "../../src/pki/pem.ts";
import { opensslFolder } from "../pki/openssl.ts";
import { createTestAuthority, type TestAuthority } from "../pki/testAuthority.ts";
import { personOf, TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

const names = ["localhost", "127.0.0.1"];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function testServer(...made: Parameters<typeof TestServer.create>): Promise<TestServer> {
  const server = await TestServer.create(...made);
  cleanups.push(() => server.dispose());
  return server;
}

function party(server: TestServer, person: Party["person"]): Party {
  const made = new Party(server, person);
  cleanups.push(() => made.dispose());
  return made;
}

/** Alice and bob have said one thing each. */
async function conversationOf(alice: Party, bob: Party, options: { anchors?: Certificate[] } = {}) {
  await alice.register(options);
  await bob.register(options);
  const conversation = await alice.client.openDirect("bob");
  await alice.client.send(conversation, "from alice");
  await bob.until(() => bob.texts.length === 1);
  await bob.client.openDirect("alice");
  await bob.client.send(conversation, "from bob");
  await alice.until(() => alice.texts.length === 1);
  return conversation;
}

/** What `securechat verify FOLDER --ca` says. @returns verdict and everything that is more than a note */
async function verdictOn(folder: string, anchor: Certificate) {
  const location = { folder, certificates: [], disclosures: [] };
  const report = await verifyEvidence({
    ...readEvidenceFolder(location),
    anchors: [anchor],
    crls: [],
    server: undefined,
  });
  return [report.verdict, ...report.findings.filter(({ level }) => level !== "note")];
}

function certificatesIn(folder: string): readonly Hex[] {
  const text = readFileSync(join(folder, "certificates.pem"), "utf8");
  return parsePem(text, "CERTIFICATE").map((der) => decodeCertificate(der).fingerprint);
}

function signersIn(folder: string, name: string): readonly string[] {
  const file = join(folder, name);
  if (!existsSync(file)) return [];
  return decodeSignedData(readFileSync(file))
    .signers.map(({ certificate }) => certificate.commonName ?? "")
    .sort();
}

/** Whether plain OpenSSL accepts `receipt.p7s` with the CA's certificate alone. */
function opensslAccepts(folder: string, ca: Certificate): boolean {
  using openssl = opensslFolder();
  openssl.write("ca.pem", formatPem("CERTIFICATE", ca.der));
  return openssl.run(
    ...["cms", "-verify", "-binary", "-inform", "DER", "-CAfile", "ca.pem", "-out", "content"],
    ...["-in", join(folder, "receipt.p7s"), "-content", join(folder, "receipt.json")],
  ).ok;
}

describe("a server that renews its certificate while two people talk", () => {
  test("goes on in the same sessions, and the evidence of both times is valid", async () => {
    const server = await testServer();
    const alice = party(server, await server.newPerson("alice"));
    const bob = party(server, await server.newPerson("bob"));
    const conversation = await conversationOf(alice, bob);
    await alice.client.receipt(conversation);
    const folder = alice.folderOf(conversation);
    const before = server.identity.certificate.fingerprint;

    const renewed = await server.authority.issueServer(names, { notBeforeMs: Date.now() });
    await server.running.replaceIdentity(renewed);
    // Bob signs after the log's end what the old certificate has signed before: the new one dates it.
    await bob.client.receipt(conversation);
    await alice.until(() => alice.of("receipt").at(-1)?.signers.length === 3);
    expect(await verdictOn(folder, server.authority.ca)).toEqual(["valid"]);

    await alice.client.send(conversation, "after the renewal");
    await bob.until(() => bob.texts.includes("after the renewal"));
    expect(certificatesIn(folder)).toContain(before);
    expect(certificatesIn(folder)).toContain(renewed.certificate.fingerprint);
    await alice.quit();
    await bob.quit();
    // Written a moment after the checkpoint came, and no later than now.
    const [line = ""] = readFileSync(join(folder, "checkpoints.jsonl"), "utf8").split("\n");
    expect(parseCheckpoint(line).server).toBe(renewed.certificate.fingerprint);
    expect(await verdictOn(folder, server.authority.ca)).toEqual(["valid"]);
    for (const one of [alice, bob])
      expect(one.events.filter(({ event }) => event === "warning" || event === "error")).toEqual([]);
  });
});

describe("a person who renews the certificate with the same key", () => {
  test("logs in, takes the old row's place in the conversation, and is announced to the other", async () => {
    const server = await testServer();
    const alice = party(server, await server.newPerson("alice"));
    const bob = party(server, await server.newPerson("bob"));
    const conversation = await conversationOf(alice, bob);
    await alice.quit();

    const { pkcs8 } = alice.person.issued;
    const issued = await server.authority.issueUser("alice", "alice@example.org", { pkcs8 });
    await bob.client.send(conversation, "while alice renews");
    await alice.login({ chain: issued.chain, key: issued.key });
    await alice.until(() => alice.texts.includes("while alice renews"));
    await alice.client.send(conversation, "under the new certificate");
    await bob.until(() => bob.texts.includes("under the new certificate"));
    expect(bob.of("warning").map(({ code }) => code)).toContain("NEW_CERTIFICATE");
    expect(
      alice.client
        .members(conversation)
        .map(({ fingerprint }) => fingerprint)
        .sort(),
    ).toEqual([issued.certificate.fingerprint, bob.person.certificate.fingerprint].sort());
    await alice.client.receipt(conversation);
    const folder = alice.folderOf(conversation);
    await alice.quit();
    await bob.quit();
    expect(await verdictOn(folder, server.authority.ca)).toEqual(["valid"]);
    expect(await verdictOn(bob.of("receipt").at(-1)?.folder ?? "", server.authority.ca)).toEqual(["valid"]);
  });
});

describe("a person who comes back with a renewed certificate", () => {
  async function renewed(server: TestServer, { person }: Party) {
    const { pkcs8 } = person.issued;
    const { chain, key } = await server.authority.issueUser(person.username, person.email, { pkcs8 });
    return { chain, key };
  }

  test("reads what a conversation begins with that somebody has begun with the old one", async () => {
    const server = await testServer();
    const alice = party(server, await server.newPerson("alice"));
    const bob = party(server, await server.newPerson("bob"));
    await alice.register();
    await alice.quit();
    await bob.register();
    const conversation = await bob.client.openDirect("alice");
    await bob.client.send(conversation, "are you there?");
    await alice.login(await renewed(server, alice));
    await alice.until(() => alice.texts.includes("are you there?"));
    await alice.client.openDirect("bob");
    await alice.client.send(conversation, "under the new certificate");
    await bob.until(() => bob.texts.includes("under the new certificate"));
    expect(alice.of("warning").map(({ code }) => code)).not.toContain("UNREADABLE");
  });

  test("reads what was said after a change of keys that it has not seen", async () => {
    const server = await testServer();
    const alice = party(server, await server.newPerson("alice"));
    const bob = party(server, await server.newPerson("bob"));
    const conversation = await conversationOf(alice, bob);
    await alice.quit();
    await bob.quit();
    const other = party(server, bob.person);
    await other.login();
    await other.client.openDirect("alice");
    await other.client.send(conversation, "from another device");
    await alice.login(await renewed(server, alice));
    await alice.until(() => alice.texts.includes("from another device"));
    expect(alice.of("warning").map(({ code }) => code)).not.toContain("UNREADABLE");
  });
});

describe("with an issuing CA below the root", () => {
  test("chains are verified with the root alone, on the wire and years later", async () => {
    const root = await createTestAuthority({ intermediates: true });
    const [staff, machines] = [
      await root.issueIntermediate("Staff CA"),
      await root.issueIntermediate("Machines CA"),
    ];
    const server = await testServer(
      { anchors: [root.ca] },
      { authority: staff, identity: await machines.issueServer(names) },
    );
    const alice = party(server, await server.newPerson("alice"));
    const bob = party(server, await server.newPerson("bob"));
    const conversation = await conversationOf(alice, bob, { anchors: [root.ca] });
    await alice.client.receipt(conversation);
    const folder = alice.folderOf(conversation);
    await alice.quit();
    await bob.quit();
    expect(await verdictOn(folder, root.ca)).toEqual(["valid"]);
    expect(opensslAccepts(folder, root.ca)).toBe(true);
    for (const authority of [staff, machines])
      expect(certificatesIn(folder)).toContain(authority.ca.fingerprint);
  });

  test("a list of the issuing CA counts, once a path has led through that CA", async () => {
    const root = await createTestAuthority({ intermediates: true });
    const [staff, guests] = [
      await root.issueIntermediate("Staff CA"),
      await root.issueIntermediate("Guests CA"),
    ];
    const server = await testServer(
      { anchors: [root.ca] },
      { authority: staff, identity: await root.issueServer(names) },
    );
    const alice = party(server, await server.newPerson("alice"));
    const guest = await guests.issueUser("bob");
    const bob = party(server, personOf(guest, "bob", "bob@example.org"));
    const conversation = await conversationOf(alice, bob, { anchors: [root.ca] });

    // Lists know whole seconds: the first one after what he has said.
    const atMs = Math.ceil(Date.now() / 1000 + 1) * 1000;
    const { der } = guests.crl([{ certificate: guest.certificate, atMs }]);
    const pem = formatPem("CERTIFICATE", guests.ca.der) + formatPem("X509 CRL", der);
    server.running.replaceCrl(new TextEncoder().encode(pem));
    await alice.until(() => alice.of("warning").some(({ code }) => code === "REVOKED"));
    await bob.until(() => bob.of("closed").length === 1);
    expect(bob.of("closed")[0]?.message).toContain("certificate_revoked");
    await expect(alice.client.send(conversation, "to nobody")).rejects.toMatchObject({
      code: "REKEY_NEEDED",
    });
    // What bob had said before is evidence still, and the list is in the folder.
    const folder = alice.folderOf(conversation);
    await alice.quit();
    expect(readFileSync(join(folder, "crl.pem"), "utf8")).toContain("X509 CRL");
    const [verdict, ...findings] = await verdictOn(folder, root.ca);
    expect([verdict, findings]).toEqual(["valid", []]);
  });
});

describe("keys of any type, in any mix", () => {
  const types = ["p256", "rsa2048", "rsa3072", "ed25519"] as const satisfies readonly KeyType[];
  interface Mix {
    readonly ca: KeyType;
    readonly server: KeyType;
    readonly alice: KeyType;
    readonly bob: KeyType;
  }
  // Each type in each role, and each pair of types for server and a member: a Latin square.
  const mixes: readonly Mix[] = types.flatMap((server, i) =>
    types.map((alice, j) => ({
      ca: types[(i + j) % 4] ?? "p256",
      server,
      alice,
      bob: types[(i + 2 * j + 1) % 4] ?? "p256",
    })),
  );
  test.each(mixes)(
    "$ca CA, $server server, $alice and $bob",
    async (mix) => {
      const authority: TestAuthority = await createTestAuthority({ keyType: mix.ca });
      const identity = await authority.issueServer(names, { keyType: mix.server });
      const server = await testServer({}, { authority, identity });
      const alice = party(server, await server.newPerson("alice", { keyType: mix.alice }));
      const bob = party(server, await server.newPerson("bob", { keyType: mix.bob }));
      const conversation = await conversationOf(alice, bob);
      await alice.client.receipt(conversation);
      await bob.client.receipt(conversation);
      await alice.until(() => alice.of("receipt").at(-1)?.signers.length === 3);
      const folder = alice.folderOf(conversation);
      await alice.quit();
      await bob.quit();

      const signers: [string, KeyType][] = [
        ["alice", mix.alice],
        ["bob", mix.bob],
        ["localhost", mix.server],
      ];
      const of = (isEd25519: boolean) =>
        signers.filter(([, type]) => (type === "ed25519") === isEd25519).map(([name]) => name);
      expect(signersIn(folder, "receipt.p7s")).toEqual(of(false));
      expect(signersIn(folder, "receipt.ed25519.p7s")).toEqual(of(true));
      expect(await verdictOn(folder, authority.ca)).toEqual(["valid"]);
      if (of(false).length > 0) expect(opensslAccepts(folder, authority.ca)).toBe(true);
    },
    30_000,
  );
});

test("an older receipt keeps both of its files, and its Ed25519 signers are verified too", async () => {
  const authority = await createTestAuthority();
  const server = await testServer({}, { authority });
  const alice = party(server, await server.newPerson("alice", { keyType: "ed25519" }));
  const bob = party(server, await server.newPerson("bob"));
  const conversation = await conversationOf(alice, bob);
  const { size } = await alice.client.receipt(conversation);
  await bob.client.send(conversation, "more");
  await alice.until(() => alice.texts.includes("more"));
  await alice.client.receipt(conversation);
  const folder = alice.folderOf(conversation);
  await alice.quit();
  await bob.quit();
  expect(signersIn(folder, `receipt-${size}.ed25519.p7s`)).toEqual(["alice"]);
  expect(signersIn(folder, `receipt-${size}.p7s`)).toEqual(["localhost"]);
  expect(await verdictOn(folder, authority.ca)).toEqual(["valid"]);
});
