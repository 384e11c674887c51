import { expect, setDefaultTimeout, test } from "bun:test";
import type { LogStore } from "../../src/store/logStore.ts";
import { overriding } from "../client/overriding.ts";
import { startServerHere } from "./serverHere.ts";
import { isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

test("a client that catches up takes an answer that is older than what was pushed meanwhile", async () => {
  const world = await World.create();
  let creator: string | undefined;
  let appends = 0;
  const asked = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let heldAnswers = 0;
  const server = await startServerHere(world, (store) => {
    const append: LogStore["append"] = async (request) => {
      creator ??= request.blobs[0]?.owner;
      const outcome = await store.log.append(request);
      if (++appends === 2) setImmediate(second.resolve);
      return outcome;
    };
    // bob asks what there is while there is the first entry alone; the answer goes out behind the push of the second.
    const visibleSize: LogStore["visibleSize"] = async (conversation, person) => {
      const size = await store.log.visibleSize(conversation, person);
      if (size !== 1 || person === creator) return size;
      heldAnswers += 1;
      asked.resolve();
      await second.promise;
      return size;
    };
    return overriding(store, { log: overriding(store.log, { append, visibleSize }) });
  });
  try {
    const bob = await world.join("bob", server.port);
    const alice = await world.join("alice", server.port, { to: "bob" });
    await bob.waitForEvent("the conversation", ({ event }) => event === "membership");
    await asked.promise;
    alice.type("pushed before the answer");
    await bob.waitForEvent("alice's message", isMessage("pushed before the answer"));
    expect((await quit(alice)).exitCode).toBe(0);
    expect((await quit(bob)).exitCode).toBe(0);
    expect(heldAnswers).toBe(1);
    expect(bob.output).not.toContain('"event":"error"');
  } finally {
    await world.dispose();
    await server.stop();
  }
});
