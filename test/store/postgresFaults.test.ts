import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Hex } from "../../src/base/hex.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { certificateRecord } from "./certificateRecord.ts";
import { FrozenNetwork } from "./frozenNetwork.ts";
import { lockedBy } from "./lockedBy.ts";
import { lineOf, logFixture } from "./logFixture.ts";
import { readLog, write } from "./logWriter.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";

// A real database on a loaded machine.
setDefaultTimeout(60_000);

describe.skipIf(!hasPostgres)("a store whose database is slow or out of reach", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 60_000);
  afterAll(() => server.dispose());

  test("refuses at once what is beyond its bounds, and stores what it has taken once the database goes on", async () => {
    const address = server.createDatabase();
    const store = await openPostgresStore({ address });
    const fixture = await logFixture(store);
    const conversation = await fixture.begin();
    const slow = await lockedBy(address, "LOCK TABLE entries IN ACCESS EXCLUSIVE MODE");
    const long = (i: number) => {
      const append = fixture.message(conversation, 1, i + 2);
      const [entry] = append.entries;
      return { ...append, entries: [{ ...entry, line: `${i}${"x".repeat(1 << 20)}` }] as const };
    };
    const appends = Array.from({ length: 70 }, (_, i) => store.log.append(long(i)));
    const refused = await Promise.allSettled(appends.slice(63));
    expect(refused.map((one) => one.status === "rejected" && one.reason.code)).toEqual(
      Array.from({ length: 7 }, () => "UNAVAILABLE"),
    );
    await slow.release();
    const outcomes = (await Promise.all(appends.slice(0, 63))).map(({ kind }) => kind);
    expect(outcomes.filter((kind) => kind === "appended")).toHaveLength(1);
    expect(await store.log.size(conversation)).toBe(2);
    await store.close();
  }, 30_000);

  test("says UNAVAILABLE when the network swallows everything, and works again afterwards; the feed too", async () => {
    const direct = server.createDatabase();
    const network = new FrozenNetwork(direct);
    const address = { ...direct, port: await network.listen() };
    const timeouts = { statementTimeoutMs: 400, connectTimeoutMs: 400 };
    const [cut, other] = [
      await openPostgresStore({ address, ...timeouts }),
      await openPostgresStore({ address: direct }),
    ];
    const record = certificateRecord();
    expect(await cut.accounts.putCertificate(record, 1)).toBe("stored");
    network.freeze();
    for (let i = 0; i < 3; i++)
      await expect(cut.accounts.certificates([record.fingerprint])).rejects.toMatchObject({
        code: "UNAVAILABLE",
      });
    await expect(
      cut.changes?.follow({ changed: () => undefined, missed: () => undefined }),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
    network.thaw();
    let found: readonly unknown[] = [];
    while (found.length === 0) {
      found = await cut.accounts.certificates([record.fingerprint]).catch(() => []);
      await Bun.sleep(10);
    }
    expect(found).toEqual([record]);
    let heard = () => {};
    const told = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const stop = await cut.changes?.follow({ changed: () => heard(), missed: () => undefined });
    await (await logFixture(other)).begin();
    await told;
    await stop?.();
    await Promise.all([cut.close(), other.close()]);
    network.close();
  }, 30_000);
});

describe.skipIf(!hasPostgres)("a PostgreSQL that is killed", () => {
  test("loses no append that resolved and stores none twice; stores and feed come back by themselves", async () => {
    const server = await PostgresServer.start();
    const address = server.createDatabase();
    const [a, b] = [await openPostgresStore({ address }), await openPostgresStore({ address })];
    let missed = 0;
    const told = new Set<Hex>();
    const stop = await b.changes?.follow({
      changed: (change) => change.kind === "log" && told.add(change.conversation),
      missed: () => missed++,
    });
    const [fromA, fromB] = [await logFixture(a), await logFixture(b)];
    const logs = await Promise.all(Array.from({ length: 8 }, () => fromA.begin()));
    let ending = false;
    let written = 0;
    const writers = logs.flatMap((log) =>
      (
        [
          [a, fromA],
          [b, fromB],
        ] as const
      ).map(([store, fixture]) =>
        write(store, fixture, log, () => {
          written += 1;
          return !ending;
        }),
      ),
    );
    const more = async (count: number) => {
      for (const until = written + count; written < until; ) await Bun.sleep(5);
    };
    for (let round = 0; round < 3; round++) {
      await more(200);
      await server.kill();
      await expect(a.accounts.byEmail("nobody@example.org")).rejects.toMatchObject({ code: "UNAVAILABLE" });
      await server.run();
    }
    await more(200);
    ending = true;
    const resolved = await Promise.all(writers);
    for (const [i, log] of logs.entries()) {
      const lines = await readLog(a, log);
      expect(await a.log.size(log)).toBe(lines.length);
      for (const [seqno, index] of [...(resolved[2 * i] ?? []), ...(resolved[2 * i + 1] ?? [])])
        expect(lines[index]).toBe(lineOf(log, seqno));
      // Two senders: each line once per sender.
      const counts = new Map<string, number>();
      for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
      expect(Math.max(...counts.values())).toBeLessThanOrEqual(2);
      expect((await a.log.checkpoint(log))?.size).toBe(lines.length);
    }
    // The feed pauses longer and longer while it tries to listen again; once it does, it says that it may have missed something.
    told.clear();
    for (let seqno = 1_000_000; told.size < logs.length; seqno++) {
      for (const log of logs.filter((one) => !told.has(one)))
        expect(await a.log.append(fromA.message(log, await a.log.size(log), seqno))).toEqual({
          kind: "appended",
        });
      await Bun.sleep(20);
    }
    expect(missed).toBeGreaterThan(0);
    await stop?.();
    await Promise.all([a.close(), b.close()]);
    await server.dispose();
  }, 120_000);
});
