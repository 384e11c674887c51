import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import { randomHex } from "../store/certificateRecord.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { TestServer } from "./testServer.ts";

setDefaultTimeout(60_000);

const mebibyte = 1024 * 1024;
const limits = { storedBytes: { capacity: mebibyte, refillMs: 86_400_000 / mebibyte } };

describe.each([
  { backend: "SQLite", usable: true },
  { backend: "PostgreSQL", usable: hasPostgres },
])("two servers on one $backend store", ({ backend, usable }) => {
  let postgres: PostgresServer | undefined;
  const folder = mkdtempSync(join(tmpdir(), "securechat-delays-"));
  let openStore: () => Promise<Store>;
  let a: TestServer;
  let b: TestServer;
  beforeAll(async () => {
    if (!usable) return;
    if (backend === "PostgreSQL") {
      postgres = await PostgresServer.start();
      const address = postgres.createDatabase();
      openStore = () => openPostgresStore({ address });
    } else openStore = () => openSqliteStore({ file: join(folder, "shared.db") });
    a = await TestServer.create({ limits, store: await openStore() });
    const { authority } = a;
    b = await TestServer.create({ limits, store: await openStore() }, { authority });
    for (const server of [a, b]) server.freezeClock();
  });
  afterAll(async () => {
    await Promise.all([a?.dispose(), b?.dispose()]);
    await postgres?.dispose();
    rmSync(folder, { recursive: true });
  });

  test.skipIf(!usable)("failed logins count wherever they happen, and after a restart", async () => {
    const alice = await a.person("alice");
    await a.register(alice);
    const { email, password } = alice;
    const guess = { type: "login", email, password: "a wrong password" } as const;
    const right = { type: "login", email, password } as const;
    const [onA, onB] = [await a.dial(alice), await b.dial(alice)];
    for (const client of [onA, onB, onA, onB, onA])
      expect(await client.refusalCode(guess)).toBe("AUTHENTICATION_FAILED");
    for (const client of [onA, onB]) expect(await client.refusalCode(right)).toBe("TRY_LATER");
    await b.stop();
    await b.start({ limits, store: await openStore() });
    expect(await (await b.dial(alice)).refusalCode(right)).toBe("TRY_LATER");
    b.skewMs = 60_000;
    const { type } = await (await b.dial(alice)).request(right);
    expect(type).toBe("authenticated");
    // The success is known everywhere too.
    a.skewMs = 60_000;
    expect(await (await a.dial(alice)).refusalCode(guess)).toBe("AUTHENTICATION_FAILED");
    expect((await (await a.dial(alice)).request(right)).type).toBe("authenticated");
  });

  test.skipIf(!usable)("parallel guesses on both get no more tries than on one", async () => {
    const bob = await a.person("bob");
    await a.register(bob);
    const clients = await Promise.all(Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? a : b).dial(bob)));
    const guess = { type: "login", email: bob.email, password: "a wrong password" } as const;
    const codes = await Promise.all(clients.map((client) => client.refusalCode(guess)));
    expect(codes.filter((code) => code === "AUTHENTICATION_FAILED")).toHaveLength(5);
    expect(codes.filter((code) => code === "TRY_LATER")).toHaveLength(7);
  });

  test.skipIf(!usable)("a ticket of one is good on the other", async () => {
    const carol = await a.person("carol");
    const client = await a.dial(carol);
    const { email, username, password } = carol;
    const register = { type: "register", email, username, password } as const;
    const { ticket } = await client.expect("authenticated", register);
    const answer = await (await b.dial(carol)).expect("authenticated", { type: "resume", ticket });
    await (await a.dial(carol)).expect("authenticated", { type: "resume", ticket: answer.ticket });
  });

  test.skipIf(!usable)("what a person stores counts wherever it is stored, and after a restart", async () => {
    const dave = await a.person("dave");
    const data = systemRandom(65_536);
    const put = { type: "put_blob", sha256: randomHex(32), size: 100_000, offset: 0, data } as const;
    const onA = await a.register(dave);
    for (let i = 0; i < 8; i++) await onA.expect("blob_stored", put);
    const storedOnB = async () => {
      const onB = await b.login(dave);
      for (let stored = 0; ; stored++)
        if ((await onB.request(put)).type === "refused") {
          expect(await onB.refusalCode(put)).toBe("TRY_LATER");
          return stored;
        }
    };
    // Sixteen fill the mebibyte. What comes while a part is drawn is taken, and a part may be lost with each process.
    const stored = await storedOnB();
    expect(stored).toBeGreaterThanOrEqual(6);
    expect(stored).toBeLessThanOrEqual(10);
    await b.stop();
    await b.start({ limits, store: await openStore() });
    expect(await storedOnB()).toBeLessThanOrEqual(2);
  });
});
