import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { startServerHere } from "./serverHere.ts";
import { eventsOf, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const day = 86_400_000;

let world: World;
beforeAll(async () => {
  world = await World.create();
});
afterAll(() => world?.dispose());

test("a conversation that the server has let expire is over with its evidence intact, and /to begins another", async () => {
  const first = await startServerHere(world);
  expect((await world.chat("bob", first.port, ["--register"])).exitCode).toBe(0);
  const register = ["--register", "--to", "bob", "--json"];
  const begun = await world.chat("alice", first.port, register, { input: "long ago\n" });
  expect(begun.exitCode).toBe(0);
  const receipt = eventsOf(begun.stdout).findLast(({ event }) => event === "receipt");
  const [conversation, folder] = [String(receipt?.conversation), String(receipt?.folder)];
  await first.stop();

  const deleted = Promise.withResolvers<void>();
  const later = await startServerHere(world, undefined, {
    now: () => Date.now() + 31 * day,
    retentionDays: 30,
    log: (_, message) => {
      if (message.startsWith("Deleted 1 conversation")) deleted.resolve();
    },
  });
  await deleted.promise;
  await later.stop();

  const { port } = await world.startServer(["--retention", "30"]);
  const login = ["--login", "--to", "bob", "--json"];
  const again = await world.chat("alice", port, login, { input: "and now\n/who\n" });
  const events = eventsOf(again.stdout);
  expect(events.filter(({ event }) => event === "expired")).toMatchObject([
    { conversation, to: "bob", keptDays: 30, folder, countersigned: true, unsent: 0 },
  ]);
  const [sent] = events.filter(({ event }) => event === "sent");
  expect(sent).toMatchObject({ text: "and now" });
  expect(sent?.conversation).not.toBe(conversation);
  expect(events.filter(({ event }) => event === "replaced")).toMatchObject([
    { conversation, successor: sent?.conversation, folder },
  ]);
  expect(again.exitCode).toBe(0);
  // Whoever learns of the old one and the new one in the same moment reads what was said in the new one.
  const bob = await world.chat("bob", port, ["--login", "--wait-for", "1"]);
  expect(bob.stdout).toContain("and now");
  expect(bob.exitCode).toBe(0);

  const verified = await world.run("alice", ["verify", folder, "--ca", "certs/ca_cert.pem"]);
  expect([verified.exitCode, verified.stdout.startsWith("Verdict: VALID")]).toEqual([0, true]);
  const listed = await world.run("server", ["serve", "export"]);
  expect(listed.stdout.includes(String(sent?.conversation))).toBe(true);
  expect(listed.stdout.includes(conversation)).toBe(false);
  const exported = await world.run("server", ["serve", "export", conversation, "--out", "evidence"]);
  expect(exported.exitCode).toBe(2);
  expect(exported.stderr).toContain(`conversation ${conversation} has expired: its`);
});

test("--retention takes whole days from 1 to 36500, also before it is handed to workers", async () => {
  for (const days of ["0", "36501", "1.5", "-1"])
    for (const more of [[], ["--workers", "2"]]) {
      const refused = await world.run("server", ["serve", `--retention=${days}`, ...more]);
      expect([days, refused.exitCode]).toEqual([days, 2]);
      expect(refused.stderr).toContain("--retention must be a whole number from 1 to 36500");
    }
});
