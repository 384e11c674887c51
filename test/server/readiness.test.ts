import { afterEach, expect, test } from "bun:test";
import type { LogStore } from "../../src/store/logStore.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { TestServer } from "./testServer.ts";
import { withLog } from "./wrappedStore.ts";

const servers: TestServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

/** @param size what the store does when it is asked for a log's size; `undefined`: as it is */
async function serverWith(size: () => LogStore["size"] | undefined): Promise<TestServer> {
  const server = await TestServer.create();
  servers.push(server);
  await server.stop();
  server.wrapStore = (store) =>
    withLog(store, { size: (conversation) => (size() ?? ((one) => store.log.size(one)))(conversation) });
  await server.start();
  return server;
}

test("unready() says nothing while clients can be served", async () => {
  const server = await serverWith(() => undefined);
  expect(await server.running.unready()).toBeUndefined();
});

test("unready() names a store that fails", async () => {
  const server = await serverWith(() => async () => {
    throw new StoreError("UNAVAILABLE", "gone");
  });
  expect(await server.running.unready()).toBe("the store does not answer");
});

test("unready() names a store that hangs, and asks it once however often it is asked", async () => {
  let asked = 0;
  const server = await serverWith(() => () => {
    asked += 1;
    return new Promise(() => {});
  });
  const answers = await Promise.all(Array.from({ length: 50 }, () => server.running.unready()));
  expect(new Set(answers)).toEqual(new Set(["the store does not answer"]));
  expect(asked).toBe(1);
});

test("unready() names an expired server certificate", async () => {
  const server = await serverWith(() => undefined);
  server.skewMs = server.identity.certificate.notAfterMs + 1000 - Date.now();
  expect(await server.running.unready()).toBe("the server's certificate has expired");
});

test("unready() says so while the server stops", async () => {
  const server = await serverWith(() => undefined);
  const { running } = server;
  const stopped = running.stop();
  expect(await running.unready()).toBe("shutting down");
  await stopped;
});
