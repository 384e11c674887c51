import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { HostilePeers } from "../security/hostilePeers.ts";
import { FrozenNetwork } from "../store/frozenNetwork.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { eventsOf, isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(2 * patienceMs);

const mebibyte = 1024 * 1024;

/** Resident memory of a process, bytes, now. */
function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

describe.skipIf(!hasPostgres)("servers whose database stands still", () => {
  let database: PostgresServer;
  beforeAll(async () => {
    database = await PostgresServer.start();
  });
  afterAll(() => database?.dispose());

  /** @param port of the database, or of what stands between it and the server */
  function envOf(port: number, name: string): Record<string, string> {
    const password = encodeURIComponent(database.password);
    return { DATABASE_URL: `postgresql://securechat:${password}@127.0.0.1:${port}/${name}?sslmode=disable` };
  }

  test("serve takes in so much of what is posted meanwhile and no more; afterwards all of it stands, once and in order", async () => {
    const { port, database: name } = database.createDatabase();
    // What holds it up is the store, and not a rate.
    const rates = ["--request-rate", "1000000,1000000/s"];
    const peers = await HostilePeers.create([], rates, envOf(port, name));
    try {
      const pairs = [];
      for (let i = 0; i < 4; i++) pairs.push(await peers.pair());
      const offered = pairs.map(({ alice, conversation }) => {
        const view = { size: 1, root: conversation.rootAt(1) };
        return Array.from({ length: 200 }, (_, i) =>
          conversation.message(alice, { seqno: i + 2, view, ct: systemRandom(28 + 64 * 1000) }),
        );
      });
      const bytes = offered.flat().reduce((sum, { length }) => sum + length, 0);
      expect(bytes).toBeGreaterThan(60 * mebibyte);
      const before = residentBytes(peers.server.pid);
      database.suspend();
      const accepted: string[] = [];
      const answers = pairs.map(({ aliceClient }, i) =>
        (offered[i] ?? []).map(async (line) => {
          const answer = await aliceClient.request({ type: "post", line });
          if (answer.type === "accepted") accepted.push(line);
          // It is given up as not stored, and those behind it with it.
          else expect(answer).toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|GAP)$/) });
        }),
      );
      let peak = before;
      for (let i = 0; i < 40; i++) {
        await Bun.sleep(50);
        peak = Math.max(peak, residentBytes(peers.server.pid));
      }
      expect(accepted).toEqual([]);
      expect(Math.round((peak - before) / mebibyte)).toBeLessThan(40);
      database.resume();
      for (const [i, { aliceClient, bobClient, conversation }] of pairs.entries()) {
        await Promise.all(answers[i] ?? []);
        const lines = offered[i] ?? [];
        // Again, in its order, until it stands: as a client does. What stands already is answered again.
        for (const [k, line] of lines.entries()) {
          let answer = await aliceClient.request({ type: "post", line });
          while (answer.type === "refused" && answer.code === "UNAVAILABLE")
            answer = await aliceClient.request({ type: "post", line });
          if (answer.type !== "accepted") throw new Error(JSON.stringify(answer));
          expect(answer.index).toBe(k + 1);
          conversation.take(line, answer.at);
        }
        for (let seen = 0; seen < lines.length; )
          for (const { line } of (await bobClient.push("pushed")).entries)
            expect(line === lines[seen++]).toBe(true);
        expect(bobClient.pendingPushes).toBe(0);
        const last = {
          type: "fetch_entries",
          conversation: conversation.id,
          from: lines.length,
          limit: 1,
        } as const;
        const { checkpoint } = await bobClient.expect("entries", last);
        const { size, root } = conversation.state;
        expect([checkpoint.size, checkpoint.root]).toEqual([size, root]);
      }
    } finally {
      database.resume();
      await peers.dispose();
    }
  });

  test("a node that is cut off from it says so, is not ready, and goes on by itself; the other one goes on all the time", async () => {
    const direct = database.createDatabase();
    const network = new FrozenNetwork(direct);
    const world = await World.create(["alice", "bob", "carol"]);
    try {
      const metrics = ["--metrics", "127.0.0.1:0"];
      const cut = await world.startServer(metrics, envOf(await network.listen(), direct.database));
      const url = await cut.server.waitFor(
        "metrics",
        (line) => /Metrics on (http:\S+)\/metrics/.exec(line)?.[1],
      );
      const other = await world.startServer([], envOf(direct.port, direct.database));
      const bob = await world.join("bob", other.port);
      const carol = await world.join("carol", other.port, { to: "bob" });
      const alice = await world.join("alice", cut.port, { to: "bob" });
      const texts = Array.from({ length: 40 }, (_, i) => `alice ${i}`);
      for (const text of texts.slice(0, 20)) alice.type(text);
      await bob.waitForEvent("the last before", isMessage("alice 19"));
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      network.cut();
      for (const text of texts.slice(20)) alice.type(text);
      carol.type("by way of the other node");
      await bob.waitForEvent("carol's words", isMessage("by way of the other node"));
      await alice.waitForEvent("the trouble", ({ code }) => code === "SERVER_UNAVAILABLE");
      await cut.server.waitFor("the log line", (line) =>
        /ERROR\] The store fails: /.test(line) ? line : undefined,
      );
      expect((await fetch(`${url}/readyz`)).status).toBe(503);
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      network.mend();
      await bob.waitForEvent("the last of all", isMessage("alice 39"));
      bob.type("/to alice");
      bob.type("heard all of it");
      await alice.waitForEvent("bob's words, through both nodes", isMessage("heard all of it"));
      while ((await fetch(`${url}/readyz`)).status !== 200) await Bun.sleep(50);
      const came = eventsOf(bob.output).filter(({ event, from }) => event === "message" && from === "alice");
      expect(came.map(({ text }) => text)).toEqual(texts);
      const folders = [];
      for (const [name, client] of Object.entries({ alice, bob })) {
        const { folder, exitCode } = await quit(client);
        expect([name, exitCode]).toEqual([name, 0]);
        folders.push(world.path(name, folder));
      }
      for (const args of [...folders.map((folder) => [folder]), folders]) {
        const done = await world.run("org", ["verify", ...args, "--json"]);
        expect([done.exitCode, JSON.parse(done.stdout).verdict]).toEqual([0, "valid"]);
      }
    } finally {
      await world.dispose();
      network.close();
    }
  });

  test("a client that knows both nodes goes on at the other one when its own is cut off", async () => {
    const direct = database.createDatabase();
    const network = new FrozenNetwork(direct);
    const world = await World.create();
    try {
      const cut = await world.startServer([], envOf(await network.listen(), direct.database));
      const other = await world.startServer([], envOf(direct.port, direct.database));
      const bob = await world.join("bob", other.port);
      const alice = await world.join("alice", [cut.port, other.port], { to: "bob" });
      alice.type("before");
      await bob.waitForEvent("the first words", isMessage("before"));
      network.cut();
      for (let i = 0; i < 5; i++) alice.type(`meanwhile ${i}`);
      // A node waits for its database for up to 8 s before it says so, and the client asks it twice.
      await alice.waitForEvent("the trouble", ({ code }) => code === "SERVER_UNAVAILABLE");
      await alice.waitForEvent("the move", ({ event, state }) => event === "connection" && state === "lost");
      await bob.waitForEvent("what was written meanwhile", isMessage("meanwhile 4"));
      const texts = eventsOf(bob.output).flatMap(({ event, text }) => (event === "message" ? [text] : []));
      expect(texts).toEqual(["before", ...Array.from({ length: 5 }, (_, i) => `meanwhile ${i}`)]);
      const { folder, exitCode } = await quit(alice);
      expect(exitCode).toBe(0);
      const done = await world.run("org", ["verify", world.path("alice", folder), "--json"]);
      expect([done.exitCode, JSON.parse(done.stdout).verdict]).toEqual([0, "valid"]);
    } finally {
      await world.dispose();
      network.close();
    }
  });
});
