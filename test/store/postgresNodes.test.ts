import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SQL } from "bun";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { Change } from "../../src/store/changeFeed.ts";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { certificateRecord, randomHex } from "./certificateRecord.ts";
import { lockedBy } from "./lockedBy.ts";
import { lineOf, logFixture } from "./logFixture.ts";
import { readLog, write } from "./logWriter.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";

// A real database on a loaded machine.
setDefaultTimeout(60_000);

/** @returns the number of an account of its own */
async function newAccount(store: Store): Promise<number> {
  const username = `u${randomHex(6)}`;
  const email = `${username}@example.org`;
  const account = { email, username, passwordHash: "$", certificate: certificateRecord(), nowMs: 1 };
  const created = await store.accounts.create(account);
  if (created.kind !== "created") throw new Error(created.kind);
  return created.account.id;
}

describe.skipIf(!hasPostgres)("two stores on one PostgreSQL", () => {
  let server: PostgresServer;
  let address: PostgresAddress;
  let a: Store;
  let b: Store;
  beforeAll(async () => {
    server = await PostgresServer.start();
    address = server.createDatabase();
    [a, b] = [await openPostgresStore({ address }), await openPostgresStore({ address })];
  }, 60_000);
  afterAll(async () => {
    await Promise.all([a.close(), b.close()]);
    await server.dispose();
  });

  test("append() from both to the same logs: every resolved entry has its place, none twice", async () => {
    const [fromA, fromB] = [await logFixture(a), await logFixture(b)];
    const logs = await Promise.all([1, 2, 3].map(() => fromA.begin()));
    const each = 40;
    const results = await Promise.all(
      logs.flatMap((log) => [
        write(a, fromA, log, (stored) => stored < each),
        write(b, fromB, log, (stored) => stored < each),
      ]),
    );
    for (const [i, log] of logs.entries()) {
      const lines = await readLog(b, log);
      expect(lines).toHaveLength(1 + 2 * each);
      const places = [0, 1].flatMap((n) => [...(results[2 * i + n] ?? [])]);
      expect(new Set(places.map(([, index]) => index)).size).toBe(2 * each);
      for (const [seqno, index] of places) expect(lines[index]).toBe(lineOf(log, seqno));
    }
  }, 60_000);

  test("append() of many direct conversations of one pair from both opens one", async () => {
    const fixture = await logFixture(a);
    const pair = [randomHex(32), randomHex(32)] as const;
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        const append = fixture.message(randomHex(16), 0, 1);
        return (i % 2 ? a : b).log.append({ ...append, create: { kind: "direct", pair } });
      }),
    );
    expect(outcomes.filter(({ kind }) => kind === "appended")).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === "pair_exists")).toHaveLength(19);
    expect(new Set(outcomes.map((one) => (one.kind === "pair_exists" ? one.conversation : ""))).size).toBe(2);
  });

  test("append() of the same new log from both creates it once", async () => {
    const fixture = await logFixture(a);
    const conversation = randomHex(16);
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? a : b).log.append(fixture.message(conversation, 0, 1))),
    );
    expect(outcomes.filter(({ kind }) => kind === "appended")).toHaveLength(1);
    expect(outcomes.filter((one) => one.kind === "conflict" && one.size === 1)).toHaveLength(9);
  });

  test("take() from both hands out each of a hundred key packages once", async () => {
    const { fingerprint } = certificateRecord();
    await a.accounts.putCertificate(certificateRecord({ fingerprint }), 1);
    const oneTime = Array.from({ length: 100 }, () => ({
      digest: randomHex(32),
      package: systemRandom(64),
      expiresAtMs: 10,
    }));
    const publication = {
      fingerprint,
      device: randomHex(32),
      lastResort: undefined,
      maxOneTime: 100,
      nowMs: 1,
    };
    await b.keyPackages.publish({ ...publication, oneTime });
    const taken = await Promise.all(
      Array.from({ length: 120 }, (_, i) => (i % 2 ? a : b).keyPackages.take(fingerprint, 1)),
    );
    const packages = taken.flatMap((one) => (one === undefined ? [] : [one.package.toHex()]));
    expect(packages).toHaveLength(100);
    expect(new Set(packages).size).toBe(100);
  });

  test("publish() from both at the same time stays within the limit", async () => {
    const record = certificateRecord();
    await a.accounts.putCertificate(record, 1);
    const device = randomHex(32);
    const outcomes = await Promise.all(
      [a, b, a, b].map((store) =>
        store.keyPackages.publish({
          fingerprint: record.fingerprint,
          device,
          oneTime: Array.from({ length: 6 }, () => ({
            digest: randomHex(32),
            package: systemRandom(8),
            expiresAtMs: 10,
          })),
          lastResort: undefined,
          maxOneTime: 10,
          nowMs: 1,
        }),
      ),
    );
    expect(outcomes.filter((one) => one === "too_many")).toHaveLength(3);
    expect((await b.keyPackages.count(record.fingerprint, 1)).oneTime).toBe(6);
  });

  test("create() of overlapping names and certificates from both: no name and no certificate twice", async () => {
    const certificate = certificateRecord();
    const name = () => `u${randomHex(6)}`;
    const [one, two] = [name(), name()];
    const wanted = Array.from({ length: 24 }, (_, i) => ({
      email: `${i % 3 === 0 ? one : two}@example.org`,
      username: i % 2 === 0 ? one : two,
      passwordHash: "$",
      certificate: i % 4 === 0 ? certificate : certificateRecord(),
      nowMs: 1,
    }));
    const outcomes = await Promise.all(wanted.map((account, i) => (i % 2 ? a : b).accounts.create(account)));
    const created = outcomes.flatMap((one) => (one.kind === "created" ? [one.account] : []));
    expect(created.length).toBeGreaterThan(0);
    for (const names of [created.map(({ email }) => email), created.map(({ username }) => username)])
      expect(new Set(names).size).toBe(names.length);
    for (const [i, { kind }] of outcomes.entries()) {
      const { fingerprint } = wanted[i]?.certificate ?? certificate;
      if (kind !== "created" && fingerprint !== certificate.fingerprint)
        expect(await a.accounts.certificates([fingerprint])).toEqual([]);
    }
  });

  test("takeToken() from both gives out no more than the capacity", async () => {
    const bucket = { subject: `take:${randomHex(8)}`, capacity: 7, refillMs: 1_000, nowMs: 1 };
    const waits = await Promise.all(
      Array.from({ length: 30 }, (_, i) => (i % 2 ? a : b).accounts.takeToken(bucket)),
    );
    expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(7);
  });

  test("finishUpload() of a blob that is being swept at the same time keeps it for its new owner", async () => {
    const [first, second] = [randomHex(32), randomHex(32)];
    const data = systemRandom(1_000);
    const sha256 = new Bun.CryptoHasher("sha256").update(data).digest("hex") as Hex;
    for (let round = 0; round < 10; round++) {
      const nowMs = 1_000 * round;
      for (const uploader of [first, second])
        await a.blobs.putPiece({
          uploader,
          sha256,
          size: 1_000,
          offset: 0,
          data,
          quotaBytes: 1 << 20,
          nowMs,
        });
      await a.blobs.finishUpload(first, sha256, nowMs - 500);
      await Promise.all([
        a.blobs.finishUpload(second, sha256, nowMs),
        b.sweep({ nowMs, unnamedBlobMs: 500, welcomeMs: 500, counterMs: 500 }),
      ]);
      expect(await b.blobs.ownBlob(second, sha256)).toEqual(data);
      await b.sweep({ nowMs: nowMs + 500, unnamedBlobMs: 500, welcomeMs: 500, counterMs: 500 });
      expect(await a.blobs.ownBlob(second, sha256)).toBeUndefined();
    }
  });

  test("append() to a log that a stuck node holds says UNAVAILABLE and holds nobody else up", async () => {
    const fixture = await logFixture(a);
    const [held, free] = [await fixture.begin(), await fixture.begin()];
    const stuck = await lockedBy(
      address,
      `SELECT 1 FROM conversations WHERE conversation = '${held}' FOR UPDATE`,
    );
    const waiting = a.log.append(fixture.message(held, 1, 2));
    for (let i = 1; i <= 20; i++)
      expect(await a.log.append(fixture.message(free, i, i + 1))).toEqual({ kind: "appended" });
    await expect(waiting).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await stuck.release();
    expect(await b.log.append(fixture.message(held, 1, 2))).toEqual({ kind: "appended" });
  }, 30_000);

  test("follow() tells what the other store has stored, and nothing of what failed or is one's own", async () => {
    const heard: Change[] = [];
    let wake = () => {};
    const stop = await a.changes?.follow({
      changed: (change) => {
        heard.push(change);
        wake();
      },
      missed: () => heard.push({ kind: "account", account: -1 }),
    });
    const fixture = await logFixture(b);
    const conversation = await fixture.begin();
    await b.log.append(fixture.message(conversation, 7, 2));
    await a.log.append(fixture.message(conversation, 1, 2));
    const record = {
      conversation,
      size: 1,
      statement: systemRandom(9),
      signedData: systemRandom(9),
      version: 1,
    };
    await b.receipts.save(record, 1);
    await b.receipts.save(record, 1);
    await b.log.append(fixture.message(conversation, 2, 3));
    const account = await newAccount(b);
    await b.accounts.beginSession(account);
    await a.accounts.beginSession(account);
    await b.accounts.beginSession(account);
    while (heard.length < 5)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    expect(heard).toEqual([
      { kind: "log", conversation, from: 0, size: 1, members: true },
      { kind: "receipt", conversation, size: 1 },
      { kind: "log", conversation, from: 2, size: 3, members: false },
      { kind: "account", account },
      { kind: "account", account },
    ]);
    server.sql(address.database, "NOTIFY securechat, 'rubbish log 00'");
    await stop?.();
    await b.log.append(fixture.message(conversation, 3, 4));
    expect(heard).toHaveLength(5);
  });

  test("beginSession() from both at the same time numbers every session once", async () => {
    const account = await newAccount(a);
    const numbers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).accounts.beginSession(account)),
    );
    expect(numbers.sort((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(await b.accounts.standings([account])).toEqual([{ account, session: 20 }]);
  });

  test("offer() of lists from both keeps the one with the highest number of each CA", async () => {
    const [authority, other] = [randomHex(32), randomHex(32)];
    const list = (number: number, of = authority) => ({
      authority: of,
      number: encodeHex(Uint8Array.fromHex(number.toString(16).padStart(40, "0"))),
      file: systemRandom(9),
    });
    // 256 comes after 9 as a number, and before it as a text without zeros in front.
    const lists = [3, 256, 9, 1].map((number) => list(number));
    await Promise.all(lists.map((one, i) => (i % 2 ? a : b).crls?.offer(one)));
    const second = list(7, other);
    expect(await a.crls?.offer(second)).toBe(true);
    expect(await b.crls?.offer(list(256))).toBe(false);
    const all = (await b.crls?.all()) ?? [];
    expect(all.filter((one) => one.authority === authority)).toEqual(lists.slice(1, 2));
    expect(all.filter((one) => one.authority === other)).toEqual([second]);
  });

  test("appendInTurn() of a store that is always slower than the other one gets its turn at once", async () => {
    const [fromA, fromB] = [await logFixture(a), await logFixture(b)];
    const log = await fromA.begin();
    let done = false;
    const fast = (async () => {
      for (let stored = 0; !done; ) {
        const size = await a.log.size(log);
        const { kind } = await a.log.append(fromA.message(log, size, stored + 2));
        if (kind === "appended") stored += 1;
      }
    })();
    for (let seqno = 1; seqno <= 5; seqno++) {
      let judged = 0;
      const { outcome } = await b.log.appendInTurn(log, async () => {
        judged += 1;
        const size = await b.log.size(log);
        // Long enough for several appends of the other.
        await Bun.sleep(50);
        return { append: fromB.message(log, size, seqno) };
      });
      expect(outcome).toEqual({ kind: "appended" });
      expect(judged).toBe(1);
    }
    done = true;
    await fast;
  });

  test("sweep() begins a statement again that was ended in favour of another transaction", async () => {
    const own = server.createDatabase();
    const store = await openPostgresStore({ address: own });
    for (const subject of ["first", "second"])
      await store.accounts.takeToken({ subject, capacity: 1, refillMs: 1, nowMs: 1 });
    const { host, port, database, user, password = "" } = own;
    const at = { hostname: host, port, database, username: user, password, max: 1 };
    const client = new SQL({ adapter: "postgres", ...at });
    const session = await client.reserve();
    await session`BEGIN`;
    await session`UPDATE token_buckets SET full_at = full_at WHERE subject = 'second'`;
    const swept = store.sweep({ nowMs: 10, unnamedBlobMs: 1, welcomeMs: 1, counterMs: 1 });
    // It holds the first by now and waits for the second. PostgreSQL ends the one that has waited longest.
    while (server.sql(database, "SELECT 1 FROM pg_locks WHERE NOT granted").length === 0) await Bun.sleep(10);
    await session`UPDATE token_buckets SET full_at = full_at WHERE subject = 'first'`;
    await session`COMMIT`;
    session.release();
    await client.end();
    expect(await swept).toEqual({ expiredConversations: 0 });
    expect(server.sql(database, "SELECT subject FROM token_buckets")).toEqual([]);
    await store.close();
  });

  test("an error says nothing of the statement, its values or the host", async () => {
    const fixture = await logFixture(a);
    const conversation = await fixture.begin();
    const twice = a.log.append(fixture.message(conversation, 1, 1));
    const error: unknown = await twice.catch((reason: unknown) => reason);
    if (!(error instanceof StoreError)) throw new Error("it was stored");
    expect(error.code).toBe("MISUSE");
    const text = Bun.inspect(error);
    for (const secret of [
      conversation,
      fixture.sender.fingerprint,
      "INSERT",
      "127.0.0.1",
      address.password ?? "?",
    ])
      expect(text).not.toContain(secret);
    expect(text).toContain("23505");
  });
});
