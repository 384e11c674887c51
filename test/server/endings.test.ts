import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { overriding } from "../client/overriding.ts";
import { TestServer } from "./testServer.ts";

// Real hashes on a loaded machine.
setDefaultTimeout(60_000);

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

/** What an operator does to an account, with a store of another process. */
async function operate(username: string, act: "disable" | "enable" | "reset"): Promise<void> {
  const store = await openSqliteStore({ file: server.file });
  const account = (await store.accounts.byUsername(username))?.id ?? 0;
  const nowMs = Date.now();
  if (act === "reset")
    await store.control.resetPassword({
      ...{ account, passwordHash: "$once", oneTimeUntilMs: nowMs + 1_000_000, nowMs },
      allowsNewKey: false,
    });
  else await store.control.setDisabled({ account, disabled: act === "disable", nowMs });
  await store.close();
}

test("disabling an account ends its session and nobody else's, enabling lets it in again", async () => {
  const [alice, bob] = [await server.person("alice"), await server.person("bob")];
  const [ofAlice, ofBob] = [await server.register(alice), await server.register(bob)];
  await operate("alice", "disable");
  expect(await ofAlice.ended).toBe("account_disabled");
  const { email, password } = alice;
  const client = await server.dial(alice);
  expect(await client.refusalCode({ type: "login", email, password })).toBe("ACCOUNT_DISABLED");
  await operate("alice", "enable");
  const again = await server.login(alice);
  await operate("bob", "disable");
  expect(await ofBob.ended).toBe("account_disabled");
  await again.expect("pong", { type: "ping" });
});

test("resetting an account ends its session", async () => {
  const session = await server.register(await server.person("carol"));
  await operate("carol", "reset");
  expect(await session.ended).toBe("password_reset");
});

test("what was ended before the server was started ends nothing", async () => {
  const dave = await server.person("dave");
  await server.register(dave);
  await operate("dave", "disable");
  await operate("dave", "enable");
  await server.stop();
  await server.start();
  const [session, erin] = [await server.login(dave), await server.register(await server.person("erin"))];
  await operate("erin", "reset");
  expect(await erin.ended).toBe("password_reset");
  await session.expect("pong", { type: "ping" });
});

test("an account that is disabled between the password and the answer of a login gets no session", async () => {
  const frank = await server.person("frank");
  await server.register(frank);
  await server.stop();
  const holding = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<void>();
  server.wrapStore = (store) =>
    overriding(store, {
      keyPackages: overriding(store.keyPackages, {
        // The last that a login asks the store for.
        async count(fingerprint, nowMs) {
          if (fingerprint === frank.certificate.fingerprint) {
            holding.resolve();
            await seen.promise;
          }
          return await store.keyPackages.count(fingerprint, nowMs);
        },
      }),
    });
  await server.start();
  const other = await server.register(await server.person("grace"));
  const client = await server.dial(frank);
  const { email, password } = frank;
  const login = client.request({ type: "login", email, password }).catch((error: Error) => error.message);
  await holding.promise;
  await operate("frank", "disable");
  // The server has taken in this ending, and with it the one before.
  await operate("grace", "disable");
  expect(await other.ended).toBe("account_disabled");
  seen.resolve();
  expect(await client.ended).toBe("account_disabled");
  expect(await login).toContain("the connection ended");
  expect(server.running.sessions).toBe(0);
});

test("a session that began after its account was enabled again is not ended by it, however late it is seen", async () => {
  for (const round of [1, 2, 3]) {
    const person = await server.person(`early${round}`);
    await server.register(person);
    const bystander = await server.register(await server.person(`seen${round}`));
    await operate(person.username, "disable");
    await operate(person.username, "enable");
    const session = await server.login(person);
    await operate(`seen${round}`, "reset");
    expect(await bystander.ended).toBe("password_reset");
    await session.expect("pong", { type: "ping" });
  }
});
