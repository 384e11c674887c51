import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { encodeHex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { createDevice } from "../../src/group/device.ts";
import { parseCheckpoint } from "../../src/log/checkpoint.ts";
import { computeCommitment, formatEntry, signEntry } from "../../src/log/entry.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import type { KeyPackageStore } from "../../src/store/keyPackageStore.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { newDevice, newKeyPackage, TestServer } from "../server/testServer.ts";
import { disposableServer } from "./disposableServer.ts";
import { overriding } from "./overriding.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

async function conversationOf(test: string, on = server) {
  const alice = new Party(on, await on.newPerson(`${test}.a`));
  const bob = new Party(on, await on.newPerson(`${test}.b`));
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "first");
  await bob.until(() => bob.texts.length === 1);
  return { alice, bob, conversation };
}

/** A server that hands out other key packages than those that it was given. */
async function substituting(make: (on: TestServer, bob: Party) => Promise<Uint8Array>) {
  const on = await disposableServer();
  const alice = new Party(on, await on.newPerson("alice"));
  const bob = new Party(on, await on.newPerson("bob"));
  await alice.register();
  await bob.register();
  const substitute = await make(on, bob);
  await bob.quit();
  await alice.quit();
  await on.stop();
  const take: KeyPackageStore["take"] = async () => ({ package: substitute, lastResort: false });
  on.wrapStore = (store) => overriding(store, { keyPackages: overriding(store.keyPackages, { take }) });
  await on.start();
  await alice.login();
  return { on, alice, bob };
}

const substitutes: [string, (on: TestServer, bob: Party) => Promise<Uint8Array>][] = [
  [
    "with another leaf key under bob's certificate",
    async (on, bob) => {
      // The server has bob's chain and one of his device signatures, but not his key.
      const mallory = await on.newPerson("mallory");
      const forged = createDevice({
        chain: mallory.chain,
        key: mallory.key,
        seed32: systemRandom(32),
        expiresMs: bob.person.device.identity.expiresMs,
      });
      const identity = { ...forged.identity, chain: bob.person.chain, fingerprint: bob.person.certificate.fingerprint };
      return (await newKeyPackage({ ...forged, identity })).publicPackage;
    },
  ],
  [
    "of somebody else with a good certificate",
    async (on) => (await newKeyPackage((await on.newPerson("mallory")).device)).publicPackage,
  ],
  [
    "that is out of date",
    async (_, bob) =>
      (
        await newKeyPackage(bob.person.device, {
          notBeforeMs: Date.now() - 2 * 86_400_000,
          notAfterMs: Date.now() - 86_400_000,
        })
      ).publicPackage,
  ],
  [
    "of a bob by another CA",
    async () => {
      const other = await createTestAuthority({ nowMs: Date.now() });
      return (await newKeyPackage(newDevice(await other.issueUser("bob")))).publicPackage;
    },
  ],
  [
    "of a bob whose certificate has expired",
    async (on) => {
      const { authority } = on;
      const expired = await authority.issueUser("bob", "bob@example.org", {
        notBeforeMs: Date.now() - 7_200_000,
        notAfterMs: Date.now() - 3_600_000,
      });
      return (await newKeyPackage(newDevice(expired))).publicPackage;
    },
  ],
  [
    "with a changed byte",
    async (_, bob) => {
      const { publicPackage } = await newKeyPackage(bob.person.device);
      const at = publicPackage.length - 20;
      publicPackage[at] = (publicPackage[at] ?? 0) ^ 1;
      return publicPackage;
    },
  ],
];
for (const [what, make] of substitutes)
  test(`openDirect() refuses a key package ${what}`, async () => {
    const { on, alice, bob } = await substituting(make);
    try {
      await expect(alice.client.openDirect("bob")).rejects.toMatchObject({ code: "CERTIFICATE_REFUSED" });
      expect(alice.client.conversations()).toEqual([]);
    } finally {
      await alice.dispose();
      await bob.dispose();
      await on.dispose();
    }
  });

test("openDirect() refuses a person of the same name and CA with another email", async () => {
  await using on = await disposableServer();
  await using alice = new Party(on, await on.newPerson("alice"));
  await using bob = new Party(on, await on.newPerson("bob"));
  await alice.register();
  await bob.register();
  await alice.client.openDirect("bob");
  await alice.quit();
  await bob.quit();
  const other = await on.authority.issueUser("bob", "bob@elsewhere.example");
  const { publicPackage } = await newKeyPackage(newDevice(other));
  await on.stop();
  rmSync(on.file);
  const take: KeyPackageStore["take"] = async () => ({ package: publicPackage, lastResort: false });
  on.wrapStore = (store) => overriding(store, { keyPackages: overriding(store.keyPackages, { take }) });
  await on.start();
  // The vault still knows the conversation; without it the client would have to make a new one.
  await alice.register({ vaultFile: `${alice.vaultFile}`, transcriptsFolder: alice.transcripts });
  const { username, email, password } = bob.person;
  const raw = await on.dial(bob.person);
  await raw.expect("authenticated", { type: "register", email, username, password });
  expect(alice.client.conversations()).toHaveLength(1);
});

test("connect() refuses a server by another CA, and one of another name", async () => {
  await using alice = new Party(server, await server.newPerson("wrong.server"));
  const other = await createTestAuthority({ nowMs: Date.now() });
  const mine = await other.issueUser("wrong.server");
  const client = await alice.open({ anchors: [other.ca], chain: mine.chain, key: mine.key });
  await expect(client.connect()).rejects.toMatchObject({ code: "SERVER_CERTIFICATE" });
  await client.quit();
  expect(alice.events.map((event) => (event.event === "progress" ? event.step : event.event))).toEqual([
    "connect",
    "closed",
  ]);
});

test("a message that does not open to what was signed shows no words and is disputed at once", async () => {
  const { alice, bob, conversation } = await conversationOf("dispute");
  await using party = alice;
  await using other = bob;
  await other.quit();
  // Bob himself signs an entry that nobody can open.
  const lines = party.transcript(conversation).trimEnd().split("\n");
  const last = parseTranscriptLine(lines.at(-1) ?? "");
  const { certificate, key } = other.person;
  const own = lines.map((line) => parseTranscriptLine(line).entry).filter(({ sender }) => sender === certificate.fingerprint);
  const size = lines.length;
  const root = party.of("receipt").at(-1)?.root ?? other.of("receipt").at(-1)?.root;
  if (root === undefined) throw new Error("no root");
  const seqno = own.length + 1;
  const plaintext = new TextEncoder().encode("nobody said this");
  const commitment = computeCommitment({
    opening: systemRandom(32),
    conversation,
    sender: certificate.fingerprint,
    seqno,
    plaintext,
  });
  const entry = signEntry(
    {
      v: 2,
      conversation,
      sender: certificate.fingerprint,
      seqno,
      ts: Date.now(),
      kind: "message",
      view: { size, root },
      epoch: last.entry.epoch,
      commitment,
    },
    systemRandom(28 + 64),
    key,
  );
  const raw = await server.login(other.person);
  await party.until(() => true);
  const { index } = await raw.expect("accepted", { type: "post", line: formatEntry(entry) });
  await party.until(() => party.of("warning").some(({ code }) => code === "DISPUTED"));
  await party.client.send(conversation, "next");
  expect(party.texts).toEqual([]);
  const entries = party
    .transcript(conversation)
    .trimEnd()
    .split("\n")
    .map((line) => parseTranscriptLine(line).entry);
  const covering = entries.slice(index + 1).filter((one) => one.view.size > index);
  expect(covering.map(({ kind }) => kind).slice(0, 2)).toEqual(["acknowledge", "message"]);
  expect(new TextDecoder().decode(covering[0]?.ct)).toBe(`{"disputed":[${index}],"unprocessable":[]}`);
  // The chain has moved on all the same: what follows can be read.
  raw.close();
  await other.login();
  await other.client.send(conversation, "real");
  await party.until(() => party.texts.length === 1);
  expect(party.texts).toEqual(["real"]);
});

test("a server that forks the log is found out, and both of its checkpoints are kept", async () => {
  await using forking = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("fork", forking);
  await using party = alice;
  await using other = bob;
  await party.quit();
  await other.quit();
  // The store as it was, kept for later.
  await forking.stop();
  const backup = join(forking.folder, "backup");
  for (const suffix of ["", "-wal", "-shm"])
    if (existsSync(`${forking.file}${suffix}`)) cpSync(`${forking.file}${suffix}`, `${backup}${suffix}`);
  await forking.start();
  await party.login();
  await party.client.send(conversation, "in the first branch");
  const before = other.kill();
  await using second = before;
  await party.quit();
  await forking.stop();
  for (const suffix of ["", "-wal", "-shm"]) {
    rmSync(`${forking.file}${suffix}`, { force: true });
    if (existsSync(`${backup}${suffix}`)) cpSync(`${backup}${suffix}`, `${forking.file}${suffix}`);
  }
  await forking.start();
  await second.login();
  for (const text of ["in", "the", "second", "branch"]) await second.client.send(conversation, text);
  await party.login();
  expect(party.of("error").map(({ code }) => code)).toEqual(["CONVERSATION_STOPPED"]);
  await expect(party.client.send(conversation, "more")).rejects.toMatchObject({ code: "CONVERSATION_STOPPED" });
  expect(party.texts).toEqual([]);
  const checkpoints = readFileSync(join(party.folderOf(conversation), "checkpoints.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map(parseCheckpoint);
  expect(checkpoints).toHaveLength(2);
  expect(checkpoints[0]?.conversation).toBe(conversation);
  expect(checkpoints[0]?.root).not.toBe(checkpoints[1]?.root);
  // It stays stopped after a restart.
  await party.quit();
  await party.login();
  await expect(party.client.send(conversation, "more")).rejects.toMatchObject({ code: "CONVERSATION_STOPPED" });
});

test("a member whose certificate is revoked is sent nothing more", async () => {
  await using revoking = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("revoked", revoking);
  await using party = alice;
  await using other = bob;
  const { certificate } = other.person;
  revoking.running.replaceCrl(revoking.authority.crl([{ certificate, atMs: Date.now() - 1000 }]).der);
  await party.until(() => party.of("warning").some(({ code }) => code === "REVOKED"));
  await expect(party.client.send(conversation, "secret")).rejects.toMatchObject({ code: "REKEY_NEEDED" });
  expect(encodeHex(sha256(readFileSync(party.vaultFile)))).toHaveLength(64);
  await expect(party.client.openDirect(other.person.username)).resolves.toBe(conversation);
});
