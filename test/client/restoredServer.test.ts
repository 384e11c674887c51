import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, rmSync } from "node:fs";
import type { Hex } from "../../src/base/hex.ts";
import { Vault } from "../../src/client/vault.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { backUpSqlite } from "../../src/store/sqliteBackup.ts";
import { TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

const reconnect = { delayMs: () => 20, endingPatienceMs: 30_000 };
/** A fresh path is due every day, with a delay of at most ten minutes. */
const aDayLaterMs = 24.5 * 3_600_000;

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

/** A server that has lost the epoch in which alice has written to bob, who was away. Nobody is connected. */
async function lostEpoch(): Promise<{ alice: Party; bob: Party; conversation: Hex }> {
  const server = await TestServer.create();
  servers.push(server);
  const alice = new Party(server, await server.person("alice"));
  const bob = new Party(server, await server.person("bob"));
  await alice.register({ reconnect });
  await bob.register({ reconnect });
  const conversation = await alice.client.openDirect("bob");
  await alice.client.send(conversation, "before the backup");
  await bob.until(() => bob.texts.length === 1);
  await bob.quit();
  await alice.quit();
  backUpSqlite(server.file, `${server.folder}/backup.db`, Date.now());
  for (const one of [server, alice, bob]) one.skewMs = aDayLaterMs;
  await alice.login({ reconnect });
  await alice.until(() => alice.of("membership").some(({ action }) => action === "update"));
  await alice.client.send(conversation, "in the lost epoch");
  await alice.quit();
  await server.stop();
  for (const ending of ["", "-wal", "-shm"]) rmSync(`${server.file}${ending}`, { force: true });
  copyFileSync(`${server.folder}/backup.db`, server.file);
  await server.start();
  return { alice, bob, conversation };
}

async function goOn({ alice, bob }: Awaited<ReturnType<typeof lostEpoch>>) {
  await bob.login({ reconnect });
  await alice.login({ reconnect });
}

describe("a conversation that a server has lost", () => {
  test("comes back also where it was begun because an earlier one with the same person had ended", async () => {
    const server = await TestServer.create();
    servers.push(server);
    await using alice = new Party(server, await server.person("alice"));
    await using bob = new Party(server, await server.person("bob"));
    await alice.register({ reconnect });
    await bob.register({ reconnect });
    const first = await alice.client.openDirect("bob");
    await alice.client.send(first, "before the backup");
    await bob.until(() => bob.texts.length === 1);
    backUpSqlite(server.file, `${server.folder}/backup.db`, Date.now());
    // They are handed back in the order of their ids, which are random: this one comes before the one that it follows.
    let second = first;
    for (let left = 1; second >= first; left++) {
      await alice.client.leave(second);
      await bob.until(() => bob.of("membership").filter(({ action }) => action === "leave").length === left);
      second = await alice.client.openDirect("bob");
    }
    await alice.client.send(second, "lost");
    await bob.until(() => bob.texts.length === 2);
    await alice.quit();
    await bob.quit();
    await server.stop();
    for (const ending of ["", "-wal", "-shm"]) rmSync(`${server.file}${ending}`, { force: true });
    copyFileSync(`${server.folder}/backup.db`, server.file);
    await server.start();
    await alice.login({ reconnect });
    await bob.login({ reconnect });
    await bob.client.send(second, "found");
    await alice.until(() => alice.texts.includes("found"));
    expect([...alice.of("error"), ...bob.of("error")]).toEqual([]);
  });
});

describe("an epoch that a server has lost", () => {
  test("comes back with its commit, so whoever was away follows it and reads what was written in it", async () => {
    const lost = await lostEpoch();
    const { alice: a, bob: b, conversation } = lost;
    await using alice = a;
    await using bob = b;
    await goOn(lost);
    await bob.until(() => bob.texts.includes("in the lost epoch"));
    expect(bob.texts).toEqual(["before the backup", "in the lost epoch"]);
    await bob.client.send(conversation, "read");
    await alice.until(() => alice.texts.includes("read"));
    expect([...alice.of("error"), ...bob.of("error")]).toEqual([]);
  });

  test("without its commit is read past, and whoever was away comes back with the next one", async () => {
    const lost = await lostEpoch();
    const { alice: a, bob: b, conversation } = lost;
    await using alice = a;
    await using bob = b;
    const vault = Vault.open({ file: alice.vaultFile, key: alice.person.key, random: systemRandom });
    const batch = vault.batch();
    for (const { key } of vault.list("epoch")) batch.remove("epoch", key);
    vault.commit(batch);
    vault.close();
    await goOn(lost);
    await bob.until(() => bob.of("warning").some(({ code }) => code === "UNPROCESSABLE"));
    // Her client brings a GroupInfo with a fresh path, his comes in on it.
    await bob.until(() => bob.of("membership").some(({ action, by }) => action === "rejoin" && by === "bob"));
    await bob.client.send(conversation, "here again");
    await alice.until(() => alice.texts.includes("here again"));
    await alice.client.send(conversation, "welcome back");
    await bob.until(() => bob.texts.includes("welcome back"));
    expect(bob.texts).toEqual(["before the backup", "welcome back"]);
  });
});
