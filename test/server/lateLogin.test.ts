import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Store } from "../../src/store/store.ts";
import { TestServer } from "./testServer.ts";

let server: TestServer;
/** Holds the next login up behind its password, until it is released. */
let hold: { readonly reached: () => void; readonly released: Promise<void> } | undefined;

function holdingLogins(store: Store): Store {
  const accounts = new Proxy(store.accounts, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name !== "settleAttempt") return value.bind(target);
      return async (...args: unknown[]) => {
        const held = hold;
        hold = undefined;
        held?.reached();
        await held?.released;
        return await Reflect.apply(value, target, args);
      };
    },
  });
  return { ...store, accounts };
}

beforeAll(async () => {
  server = await TestServer.create();
  await server.stop();
  server.wrapStore = holdingLogins;
  await server.start();
});
afterAll(() => server.dispose());

test("a login whose client has gone meanwhile does not put out the session that followed it", async () => {
  const alice = await server.person("alice");
  (await server.register(alice)).close();
  const { email, password } = alice;

  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  hold = { reached: reached.resolve, released: released.promise };
  const first = await server.dial(alice);
  const unanswered = first.request({ type: "login", email, password });
  unanswered.catch(() => {});
  await reached.promise;
  const before = server.running.connections;
  first.close();
  while (server.running.connections >= before) await Bun.sleep(1);

  const second = await server.login(alice);
  const over = server.lines.length;
  released.resolve();
  // The first session's end is in the log when it has been decided on.
  while (!server.lines.slice(over).some(({ message }) => message.includes("Client disconnected")))
    await Bun.sleep(1);
  expect(await second.request({ type: "ping" })).toEqual(expect.objectContaining({ type: "pong" }));
  expect(server.running.sessions).toBe(1);
  expect(second.alert).toBeUndefined();
});
