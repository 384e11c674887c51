import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeHex } from "../../src/base/hex.ts";
import { Devices, type Self } from "../../src/client/devices.ts";
import { Directory } from "../../src/client/directory.ts";
import { GroupFollower } from "../../src/client/groupFollower.ts";
import { KeyPackages } from "../../src/client/keyPackages.ts";
import { Revocations } from "../../src/client/revocations.ts";
import { Vault } from "../../src/client/vault.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { createDevice, deviceId } from "../../src/group/device.ts";
import { parseCheckpoint } from "../../src/log/checkpoint.ts";
import { computeCommitment, formatEntry, signEntry } from "../../src/log/entry.ts";
import { compareRows, type RosterRow } from "../../src/log/roster.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import type { KeyPackageStore } from "../../src/store/keyPackageStore.ts";
import type { EntryRecord } from "../../src/store/logStore.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { newDevice, newKeyPackage, type Person, TestServer } from "../server/testServer.ts";
import { disposableServer, watchAppends } from "./disposableServer.ts";
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
      const identity = {
        ...forged.identity,
        chain: bob.person.chain,
        fingerprint: bob.person.certificate.fingerprint,
      };
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
  const conversation = await alice.client.openDirect("bob");
  await alice.quit();
  await bob.quit();
  // The pin stays when the conversation is forgotten.
  const vault = Vault.open({ file: alice.vaultFile, key: alice.person.key, random: systemRandom });
  const batch = vault.batch();
  for (const collection of ["conversation", "member", "ratchet", "group"] as const)
    batch.remove(collection, conversation);
  vault.commit(batch);
  vault.close();
  const other = await on.authority.issueUser("bob", "bob@elsewhere.example");
  const { publicPackage } = await newKeyPackage(newDevice(other));
  await on.stop();
  on.wrapStore = (store) =>
    overriding(store, {
      log: overriding(store.log, { conversationsOf: async () => [] }),
      keyPackages: overriding(store.keyPackages, {
        take: async () => ({ package: publicPackage, lastResort: false }),
      }),
    });
  await on.start();
  await alice.login();
  await expect(alice.client.openDirect("bob")).rejects.toMatchObject({ code: "IDENTITY_CHANGED" });
});

test("connect() refuses a server by another CA", async () => {
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

test("connect() refuses a server whose certificate is for another host", async () => {
  await using on = await disposableServer();
  const elsewhere = await on.authority.issueServer("elsewhere.example");
  await on.stop();
  await on.start({ chain: elsewhere.chain, key: elsewhere.key });
  await using alice = new Party(on, await on.newPerson("alice"));
  const client = await alice.open();
  await expect(client.connect()).rejects.toMatchObject({ code: "SERVER_CERTIFICATE" });
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
  const own = lines
    .map((line) => parseTranscriptLine(line).entry)
    .filter(({ sender }) => sender === certificate.fingerprint);
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
  await expect(party.client.send(conversation, "more")).rejects.toMatchObject({
    code: "CONVERSATION_STOPPED",
  });
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
  await expect(party.client.send(conversation, "more")).rejects.toMatchObject({
    code: "CONVERSATION_STOPPED",
  });
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
  await expect(party.client.openDirect(other.person.username)).resolves.toBe(conversation);
});

/** Alice and bob on a server of their own whose store then does what `wrap` says; bob is away, alice logs in again. */
async function behind(wrap: TestServer["wrapStore"]) {
  const on = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("behind", on);
  await alice.quit();
  await bob.client.send(conversation, "second");
  await bob.quit();
  await on.stop();
  on.wrapStore = wrap;
  await on.start();
  alice.events.length = 0;
  return { on, alice, bob, conversation };
}

for (const [what, alter] of [
  ["another receive time", (entry: EntryRecord) => ({ ...entry, at: entry.at + 1 })],
  [
    "a changed ciphertext",
    (entry: EntryRecord) => ({
      ...entry,
      line: entry.line.replace(/"ct":"(.)/, (_, first) => `"ct":"${first === "A" ? "B" : "A"}`),
    }),
  ],
  ["a line that is no entry", (entry: EntryRecord) => ({ ...entry, line: "{}" })],
] as const)
  test(`an entry that the server sends with ${what} is not taken in`, async () => {
    let isLying = true;
    const { on, alice, bob, conversation } = await behind((store) =>
      overriding(store, {
        log: overriding(store.log, {
          entries: async (request) => {
            const entries = await store.log.entries(request);
            // The one that alice has not seen yet.
            return isLying && request.from >= 2 ? entries.map(alter) : entries;
          },
        }),
      }),
    );
    await using _ = on;
    await using party = alice;
    await using other = bob;
    await party.login();
    const folder = party.client.conversations()[0]?.folder ?? "";
    expect(party.of("error").map(({ code }) => code)).toEqual(["SERVER_MISBEHAVED"]);
    expect(party.texts).toEqual([]);
    expect(
      readFileSync(join(party.transcripts, folder, "transcript.jsonl"), "utf8")
        .trimEnd()
        .split("\n"),
    ).toHaveLength(2);
    // It was the server's fault and not the log's: with the next connection all is well.
    isLying = false;
    await party.quit();
    await party.login();
    expect(party.texts).toEqual(["second"]);
    await other.login();
    expect(party.transcript(conversation)).toBe(other.transcript(conversation));
  });

test("a blob that is not the one that the entry names is refused", async () => {
  await using on = await disposableServer();
  await using alice = new Party(on, await on.newPerson("alice"));
  await using bob = new Party(on, await on.newPerson("bob"));
  await bob.register();
  await bob.quit();
  await alice.register();
  const conversation = await alice.client.openDirect("bob");
  await alice.quit();
  await on.stop();
  on.wrapStore = (store) =>
    overriding(store, {
      blobs: overriding(store.blobs, {
        readBlob: async (request) => {
          const blob = await store.blobs.readBlob(request);
          return blob && { ...blob, data: blob.data.map((byte, i) => (i === 100 ? byte ^ 1 : byte)) };
        },
      }),
    });
  await on.start();
  await bob.login();
  expect(bob.of("error").map(({ code }) => code)).toEqual(["SERVER_MISBEHAVED"]);
  expect(bob.client.conversations()).toEqual([]);
  await on.stop();
  on.wrapStore = (store) => store;
  await on.start();
  await bob.quit();
  await bob.login();
  expect(bob.client.conversations().map((one) => one.conversation)).toEqual([conversation]);
});

test("openDirect() refuses when the server names a conversation with somebody else as theirs", async () => {
  await using on = await disposableServer();
  await using alice = new Party(on, await on.newPerson("alice"));
  await using bob = new Party(on, await on.newPerson("bob"));
  await using carol = new Party(on, await on.newPerson("carol"));
  for (const party of [alice, bob, carol]) await party.register();
  const other = await alice.client.openDirect("carol");
  await alice.quit();
  await watchAppends(on, async () => ({ kind: "pair_exists", conversation: other }));
  await alice.login();
  await expect(alice.client.openDirect("bob")).rejects.toMatchObject({ code: "SERVER_MISBEHAVED" });
  expect(alice.client.conversations().map(({ name }) => name)).toEqual(["carol"]);
});

test("past its next update a CRL lets nobody new in, and those who are in write on", async () => {
  await using on = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("stale", on);
  await using party = alice;
  await using other = bob;
  const newcomer = new Party(on, await on.newPerson("newcomer"));
  await using third = newcomer;
  await third.register();
  await party.quit();
  const hour = 3_600_000;
  const stale = on.authority.crl([], {
    thisUpdateMs: Date.now() - 2 * hour,
    nextUpdateMs: Date.now() - hour,
  });
  await party.login({ crl: stale.der });
  expect(party.of("warning").map(({ code }) => code)).toContain("STALE_CRL");
  await expect(party.client.openDirect("newcomer")).rejects.toMatchObject({ code: "CERTIFICATE_REFUSED" });
  await party.client.send(conversation, "still here");
  await other.until(() => other.texts.includes("still here"));
});

test("join() refuses a group that has other members than the signed roster, and used states are wiped", async () => {
  const { alice, bob } = await conversationOf("roster");
  await using party = alice;
  await using other = bob;
  const rows = [party, other].map(({ person }) => ({
    username: person.username,
    email: person.email,
    fingerprint: person.certificate.fingerprint,
    device: deviceId(person.device.identity.devicePublicKey),
  }));
  const random = systemRandom;
  const folder = mkdtempSync(join(tmpdir(), "securechat-roster-"));
  const vault = Vault.open({ file: join(folder, "vault.db"), key: other.person.key, random });
  try {
    const onEvent = () => undefined;
    const anchors = [server.authority.ca];
    const revocations = new Revocations({ anchors, vault, onEvent });
    const directory = new Directory({ anchors, revocations, vault, now: Date.now, onEvent });
    const of = (person: Person) =>
      new GroupFollower({ own: person.certificate.fingerprint, directory, random });
    const pair = await newKeyPackage(other.person.device);
    const conversation = encodeHex(random(16));
    const commit = await of(party.person).create({
      conversation,
      device: party.person.device,
      keyPackages: [pair.publicPackage],
      judge: () => undefined,
      nowMs: Date.now(),
    });
    if (commit.welcome === null) throw new Error("no welcome");
    const join = (roster: RosterRow[]) => {
      const batch = vault.batch();
      const keyPackages = overriding(
        new KeyPackages({
          vault,
          devices: new Devices({ vault, self: selfOf(other.person, directory), random }),
          random,
          now: Date.now,
        }),
        {
          list: () => [{ ...pair, lastResort: false }],
          remove: () => undefined,
        },
      );
      return of(other.person).join({
        entry: {
          conversation,
          epoch: 1,
          sender: party.person.certificate.fingerprint,
          predecessor: undefined,
          roster,
          at: Date.now(),
        },
        blobs: { commit: commit.commit, welcome: commit.welcome, groupInfo: commit.groupInfo },
        device: other.person.device,
        keyPackages,
        batch,
      });
    };
    rows.sort(compareRows);
    await expect(join(rows.map((row) => ({ ...row, device: row.fingerprint })))).rejects.toMatchObject({
      code: "SERVER_MISBEHAVED",
    });
    await expect(join(rows.slice(0, 1))).rejects.toMatchObject({ code: "SERVER_MISBEHAVED" });
    expect((await join(rows)).keys.epoch).toBe(1);
    // A state that was used up has the secrets of its epoch still, the exporter secret among them.
    const { fingerprint } = party.person.certificate;
    const entry = { conversation, epoch: 1, sender: fingerprint, predecessor: undefined, roster: rows };
    const opened = await of(party.person).adopt(commit.nextState, { ...entry, at: Date.now() });
    const copy = opened.state.slice();
    await of(party.person).freshPath(copy, party.person.device);
    for (const used of [commit.nextState, copy]) expect(used.every((byte) => byte === 0)).toBe(true);
    expect(opened.state.some((byte) => byte !== 0)).toBe(true);
  } finally {
    vault.close();
    rmSync(folder, { recursive: true });
  }
});

function selfOf(person: Person, directory: Directory): Self {
  const { certificate, chain, key, username, email } = person;
  return { verified: directory.verifyNewcomer(chain, "client"), certificate, chain, key, username, email };
}
