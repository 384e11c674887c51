import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { AttemptCounter, CertificateRecord } from "../../src/store/accountStore.ts";
import type { LogAppend, NewEntry } from "../../src/store/logStore.ts";
import type { Restoration, Wait } from "../../src/store/restorationStore.ts";
import type { Store } from "../../src/store/store.ts";
import { describeAccountParts } from "./accountContract.ts";
import { certificateRecord, randomHex } from "./certificateRecord.ts";
import { describeExpiry } from "./expiryContract.ts";

/** How the suite gets at a backend. */
export interface Backend {
  /** A store on fresh, empty ground. */
  open(): Promise<Store>;
  /** Another connection to the same data, as a second process would have. */
  openAgain(): Promise<Store>;
  cleanUp(): Promise<void>;
}

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const t0 = 1_790_000_000_000;
const sweepAt = (nowMs: number) => ({ nowMs, unnamedBlobMs: day, welcomeMs: 90 * day, counterMs: day });

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function entry(sender: Hex, seqno: number, over: Partial<NewEntry> = {}): NewEntry {
  return {
    at: t0,
    line: `{"sender":"${sender}","seqno":${seqno}}`,
    sender,
    seqno,
    root: systemRandom(32),
    ...over,
  };
}

function append(over: Partial<LogAppend> & Pick<LogAppend, "conversation" | "entries">): LogAppend {
  const expectedSize = over.expectedSize ?? 0;
  return {
    expectedSize,
    create: expectedSize === 0 ? { kind: "group", pair: undefined } : undefined,
    blobs: [],
    members: [],
    closes: false,
    checkpoint: {
      size: expectedSize + over.entries.length,
      root: randomHex(32),
      at: t0,
      server: randomHex(32),
      sig: systemRandom(70),
    },
    state: undefined,
    ...over,
  };
}

async function withCertificate(
  store: Store,
  over: Partial<CertificateRecord> = {},
): Promise<CertificateRecord> {
  const record = certificateRecord(over);
  expect(await store.accounts.putCertificate(record, t0)).toBe("stored");
  return record;
}

/** A conversation of these certificates with its `create` entry. */
async function conversationOf(store: Store, ...members: CertificateRecord[]): Promise<Hex> {
  const conversation = randomHex(16);
  const [creator] = members;
  if (creator === undefined) throw new Error("a conversation needs a creator");
  const outcome = await store.log.append(
    append({
      conversation,
      entries: [entry(creator.fingerprint, 1)],
      members: members.map(({ fingerprint }) => ({ change: "joined", fingerprint, index: 0 })),
    }),
  );
  expect(outcome).toEqual({ kind: "appended" });
  return conversation;
}

async function putBlob(store: Store, uploader: Hex, data: Uint8Array, nowMs = t0): Promise<Hex> {
  const sha256 = encodeHex(crypto().sha256(data));
  const put = await store.blobs.putPiece({
    uploader,
    sha256,
    size: data.length,
    offset: 0,
    data,
    quotaBytes: 1 << 20,
    nowMs,
  });
  expect(put).toEqual({ kind: "stored", receivedBytes: data.length });
  await store.blobs.finishUpload(uploader, sha256, nowMs);
  return sha256;
}

/** What every backend has to do, said once. */
export function describeStore(name: string, makeBackend: () => Promise<Backend>): void {
  describe(name, () => {
    let backend: Backend;
    let store: Store;
    let other: Store;
    beforeAll(async () => {
      backend = await makeBackend();
      store = await backend.open();
      other = await backend.openAgain();
    });
    afterAll(async () => {
      await store.close();
      await other.close();
      await backend.cleanUp();
    });

    describe("accounts", () => {
      const account = (over: { email?: string; username?: string; certificate?: CertificateRecord } = {}) => {
        const username = `u${randomHex(8)}`;
        return {
          email: `${username}@example.org`,
          username,
          passwordHash: "$argon2id$v=19$…",
          certificate: certificateRecord(),
          nowMs: t0,
          ...over,
        };
      };

      test("create() stores an account with its certificate, seen by another connection", async () => {
        const wanted = account();
        const created = await store.accounts.create(wanted);
        if (created.kind !== "created") throw new Error(created.kind);
        const found = await other.accounts.byEmail(wanted.email);
        expect(found).toEqual(created.account);
        expect(found).toMatchObject({ username: wanted.username, createdAtMs: t0, disabled: false });
        expect(found?.certificate).toEqual(wanted.certificate);
        expect(await other.accounts.byUsername(wanted.username)).toEqual(created.account);
      });

      test("create() refuses a known email or username and stores no certificate then", async () => {
        const first = account();
        await store.accounts.create(first);
        for (const second of [account({ email: first.email }), account({ username: first.username })]) {
          expect(await other.accounts.create(second)).toEqual({ kind: "taken" });
          expect(await store.accounts.certificates([second.certificate.fingerprint])).toEqual([]);
        }
      });

      test("create() refuses a second certificate with the same issuer and serial", async () => {
        const first = account();
        await store.accounts.create(first);
        const twin = certificateRecord({ issuerSerial: first.certificate.issuerSerial });
        const second = account({ certificate: twin });
        expect(await store.accounts.create(second)).toEqual({ kind: "certificate_conflict" });
        expect(await store.accounts.byEmail(second.email)).toBeUndefined();
        expect(await store.accounts.putCertificate(twin, t0)).toBe("certificate_conflict");
      });

      test("create() of one name at the same time creates one account", async () => {
        const both = account();
        const kinds = await Promise.all([
          store.accounts.create(both),
          store.accounts.create({ ...both, certificate: certificateRecord() }),
          other.accounts.create({ ...both, certificate: certificateRecord() }),
        ]);
        expect(kinds.map(({ kind }) => kind).sort()).toEqual(["created", "taken", "taken"]);
      });

      test("bindCertificate() moves an account and deletes the key packages of the old certificate", async () => {
        const created = await store.accounts.create(account());
        if (created.kind !== "created" || created.account.certificate === undefined)
          throw new Error("not created");
        const { fingerprint } = created.account.certificate;
        await store.keyPackages.publish({
          fingerprint,
          device: randomHex(32),
          oneTime: [{ digest: randomHex(32), package: systemRandom(10), expiresAtMs: t0 + day }],
          lastResort: undefined,
          maxOneTime: 10,
          nowMs: t0,
        });
        const renewed = certificateRecord({ person: created.account.certificate.person });
        const change = { account: created.account.id, certificate: renewed, nowMs: t0 };
        expect(await store.accounts.bindCertificate(change)).toBe("bound");
        expect((await store.accounts.byEmail(created.account.email))?.certificate).toEqual(renewed);
        expect(await store.keyPackages.take(fingerprint, t0)).toBeUndefined();
        expect(await store.accounts.certificates([fingerprint])).toHaveLength(1);
      });

      test("replacePassword() takes the place of the hash that it names and of no other", async () => {
        const created = await store.accounts.create(account());
        if (created.kind !== "created") throw new Error(created.kind);
        const { id, email, passwordHash: earlier, legacySalt } = created.account;
        expect(legacySalt).toBeUndefined();
        const replace = (change: { earlier: string; passwordHash: string }) =>
          other.accounts.replacePassword({ account: id, ...change });
        expect(await replace({ earlier: "$another", passwordHash: "$a" })).toBe("outdated");
        expect(await replace({ earlier, passwordHash: "$b" })).toBe("replaced");
        expect(await replace({ earlier, passwordHash: "$c" })).toBe("outdated");
        expect(await store.accounts.byEmail(email)).toMatchObject({
          passwordHash: "$b",
          legacySalt: undefined,
        });
        expect(
          await store.accounts.replacePassword({ account: id + 1_000_000, earlier, passwordHash: "$d" }),
        ).toBe("outdated");
      });

      test("replacePassword() binds to a certificate together with it, or changes nothing", async () => {
        const created = await store.accounts.create(account());
        if (created.kind !== "created" || created.account.certificate === undefined)
          throw new Error("not created");
        const { id, email, passwordHash: earlier, certificate } = created.account;
        const { person, issuerSerial } = certificate;
        const first = certificateRecord({ person });
        const replace = (passwordHash: string, over: Parameters<typeof certificateRecord>[0]) =>
          other.accounts.replacePassword({
            ...{ account: id, earlier, passwordHash },
            bind: { certificate: certificateRecord({ person, ...over }), nowMs: t0 },
          });
        expect(await replace("$a", { issuerSerial })).toBe("certificate_conflict");
        expect(await store.accounts.byEmail(email)).toMatchObject({ passwordHash: earlier, certificate });
        expect(await replace("$b", first)).toBe("replaced");
        expect(await replace("$c", {})).toBe("outdated");
        expect(await store.accounts.byEmail(email)).toMatchObject({ passwordHash: "$b", certificate: first });
      });

      test("beginSession() counts up for each account, standings() tell the last one", async () => {
        const ids: number[] = [];
        for (let i = 0; i < 3; i++) {
          const created = await store.accounts.create(account());
          if (created.kind !== "created") throw new Error(created.kind);
          ids.push(created.account.id);
        }
        const [first = 0, second = 0, third = 0] = ids;
        const begun = [];
        for (const id of [first, first, second]) begun.push(await store.accounts.beginSession(id));
        expect(begun).toEqual([1, 2, 1]);
        const standings = [...(await store.accounts.standings([third, first, second, 1 << 30]))];
        expect(standings.sort((a, b) => a.account - b.account)).toEqual([
          { account: first, session: 2 },
          { account: second, session: 1 },
          { account: third, session: 0 },
        ]);
        expect(await store.accounts.standings([])).toEqual([]);
        await expect(store.accounts.beginSession(1 << 30)).rejects.toMatchObject({ code: "MISUSE" });
      });
    });

    describeAccountParts(() => ({ store, other }));

    describe("attempts and tokens", () => {
      const delayMs = (failures: number) => (failures < 2 ? 0 : failures * 1_000);

      const reserve = (
        on: Store,
        counted: AttemptCounter[],
        nowMs: number,
        consulted: AttemptCounter[] = [],
      ) => on.accounts.reserveAttempt({ counted, consulted, nowMs });

      test("reserveAttempt() counts failures and makes the next one wait", async () => {
        const counter = { subject: `account:${randomHex(8)}`, delayMs };
        expect(await reserve(store, [counter], t0)).toBe(0);
        expect(await reserve(store, [counter], t0)).toBe(0);
        expect(await reserve(other, [counter], t0 + 500)).toBe(1_500);
        expect(await reserve(store, [counter], t0 + 2_000)).toBe(0);
        expect(await reserve(store, [counter], t0 + 2_000)).toBe(3_000);
      });

      test("reserveAttempt() asks for no more than the delay when the clock was put back", async () => {
        const counter = { subject: `account:${randomHex(8)}`, delayMs };
        expect(await reserve(store, [counter], t0 + day)).toBe(0);
        expect(await reserve(other, [counter], t0)).toBe(0);
        expect(await reserve(store, [counter], t0 - day)).toBe(2_000);
      });

      test("reserveAttempt() counts nothing on any counter while one has to wait", async () => {
        const slow = { subject: `account:${randomHex(8)}`, delayMs: () => 1_000 };
        const fast = { subject: `address:${randomHex(8)}`, delayMs };
        await reserve(store, [slow], t0);
        for (let i = 0; i < 5; i++) expect(await reserve(store, [slow, fast], t0)).toBe(1_000);
        for (let i = 0; i < 5; i++) expect(await reserve(store, [fast], t0, [slow])).toBe(1_000);
        expect(await reserve(store, [fast], t0)).toBe(0);
        expect(await reserve(store, [fast], t0)).toBe(0);
      });

      test("reserveAttempt() counts nothing on a counter that is only consulted", async () => {
        const counter = { subject: `address:${randomHex(8)}`, delayMs };
        for (let i = 0; i < 5; i++) expect(await reserve(store, [], t0, [counter])).toBe(0);
      });

      test("reserveAttempt() of many at the same time lets only the free ones through", async () => {
        const counter = { subject: `account:${randomHex(8)}`, delayMs };
        const waits = await Promise.all(
          Array.from({ length: 20 }, (_, i) => reserve(i % 2 ? store : other, [counter], t0)),
        );
        expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(2);
      });

      test("settleAttempt() forgets one counter, takes one failure back from another and counts on a third", async () => {
        const account = { subject: `account:${randomHex(8)}`, delayMs };
        const address = { subject: `address:${randomHex(8)}`, delayMs };
        const third = { subject: `address:${randomHex(8)}`, delayMs };
        await reserve(store, [account, address], t0);
        await reserve(store, [account, address], t0);
        await store.accounts.settleAttempt({
          clear: [account.subject],
          forgive: [address.subject],
          count: [third.subject, third.subject],
          nowMs: t0 + 10,
        });
        expect(await reserve(store, [account], t0)).toBe(0);
        expect(await reserve(store, [address], t0)).toBe(0);
        expect(await reserve(store, [address], t0)).toBe(2_000);
        expect(await reserve(store, [third], t0 + 11)).toBe(1_999);
      });

      test("takeToken() gives the capacity at once and one more per refill", async () => {
        const bucket = { subject: `take:${randomHex(8)}`, capacity: 3, refillMs: 100 };
        const take = (nowMs: number) => store.accounts.takeToken({ ...bucket, nowMs });
        expect([await take(t0), await take(t0), await take(t0)]).toEqual([0, 0, 0]);
        expect(await take(t0 + 30)).toBe(70);
        expect(await take(t0 + 100)).toBe(0);
        expect(await take(t0 + 100)).toBe(100);
        expect(await take(t0 + 100_000)).toBe(0);
      });

      test("takeToken() asks for no more than one refill when the clock was put back", async () => {
        const bucket = { subject: `take:${randomHex(8)}`, capacity: 3, refillMs: 100 };
        const take = (on: Store, nowMs: number) => on.accounts.takeToken({ ...bucket, nowMs });
        expect(await take(store, t0 + day)).toBe(0);
        expect(await take(other, t0)).toBe(100);
        expect([await take(store, t0 + 100), await take(store, t0 + 100)]).toEqual([0, 100]);
      });

      test("takeToken() keeps to a rate whose refill is no whole number of ms", async () => {
        // As of `--group-change-rate 2,7/min`, and of more than one a ms.
        const slow = { subject: `take:${randomHex(8)}`, capacity: 2, refillMs: minute / 7 };
        const take = (nowMs: number) => store.accounts.takeToken({ ...slow, nowMs });
        expect([await take(t0), await take(t0)]).toEqual([0, 0]);
        expect(await take(t0 + 10)).toBe(Math.round(minute / 7) - 10);
        expect(await take(t0 + minute)).toBe(0);
        const fast = { subject: `take:${randomHex(8)}`, capacity: 3, refillMs: 0.001, nowMs: t0 };
        for (let i = 0; i < 3; i++) expect(await store.accounts.takeToken(fast)).toBe(0);
        expect(await store.accounts.takeToken(fast)).toBe(1);
      });

      test("takeToken() gives no more to servers whose clocks differ by some seconds", async () => {
        const bucket = { subject: `take:${randomHex(8)}`, capacity: 3, refillMs: 100 };
        const take = (on: Store, nowMs: number) => on.accounts.takeToken({ ...bucket, nowMs });
        for (let i = 0; i < 3; i++) expect(await take(store, t0 + 5_000)).toBe(0);
        expect(await take(other, t0)).toBe(5_100);
        expect(await take(store, t0 + 5_000)).toBe(100);
      });
    });

    describe("key packages", () => {
      const record = (expiresAtMs = t0 + day) => ({
        digest: randomHex(32),
        package: systemRandom(100),
        expiresAtMs,
      });
      const publish = (fingerprint: Hex, over: object = {}) =>
        store.keyPackages.publish({
          fingerprint,
          device: "d0".repeat(32) as Hex,
          oneTime: [],
          lastResort: undefined,
          maxOneTime: 3,
          nowMs: t0,
          ...over,
        });

      test("take() hands out each one-time package once, oldest first, then the last-resort one again and again", async () => {
        const { fingerprint } = await withCertificate(store);
        const [a, b, last] = [record(), record(), record()];
        expect(await publish(fingerprint, { oneTime: [a, b], lastResort: last })).toEqual({
          oneTime: 2,
          lastResort: true,
        });
        expect(await store.keyPackages.take(fingerprint, t0)).toEqual({
          package: a.package,
          lastResort: false,
        });
        expect(await other.keyPackages.take(fingerprint, t0)).toEqual({
          package: b.package,
          lastResort: false,
        });
        for (let i = 0; i < 2; i++)
          expect(await store.keyPackages.take(fingerprint, t0)).toEqual({
            package: last.package,
            lastResort: true,
          });
        expect(await store.keyPackages.count(fingerprint, t0)).toEqual({ oneTime: 0, lastResort: false });
      });

      test("take() at the same time never hands out one package twice", async () => {
        const { fingerprint } = await withCertificate(store);
        await publish(fingerprint, { oneTime: [record(), record(), record()] });
        const taken = await Promise.all(
          Array.from({ length: 6 }, (_, i) => (i % 2 ? store : other).keyPackages.take(fingerprint, t0)),
        );
        const got = taken.filter((one) => one !== undefined);
        expect(new Set(got.map((one) => encodeHex(one.package))).size).toBe(3);
        expect(got).toHaveLength(3);
      });

      test("publish() again changes nothing, a new last-resort package replaces the old one", async () => {
        const { fingerprint } = await withCertificate(store);
        const [one, last] = [record(), record()];
        await publish(fingerprint, { oneTime: [one], lastResort: last });
        await store.keyPackages.take(fingerprint, t0);
        await store.keyPackages.take(fingerprint, t0);
        expect(await publish(fingerprint, { lastResort: last })).toEqual({ oneTime: 0, lastResort: false });
        const fresh = record();
        expect(await publish(fingerprint, { lastResort: fresh })).toEqual({ oneTime: 0, lastResort: true });
        expect((await store.keyPackages.take(fingerprint, t0))?.package).toEqual(fresh.package);
      });

      test("publish() refuses more than the limit as a whole", async () => {
        const { fingerprint } = await withCertificate(store);
        await publish(fingerprint, { oneTime: [record(), record()] });
        expect(await publish(fingerprint, { oneTime: [record(), record()] })).toBe("too_many");
        expect(await store.keyPackages.count(fingerprint, t0)).toEqual({ oneTime: 2, lastResort: false });
      });

      test("publish() of another device deletes what the earlier device had here", async () => {
        const { fingerprint } = await withCertificate(store);
        const fresh = record();
        await publish(fingerprint, { oneTime: [record(), record()], lastResort: record() });
        await publish(fingerprint, { oneTime: [fresh], device: "d1".repeat(32) });
        expect((await store.keyPackages.take(fingerprint, t0))?.package).toEqual(fresh.package);
        expect(await store.keyPackages.take(fingerprint, t0)).toBeUndefined();
      });

      test("canTake() says whether take() has one to give, without taking it", async () => {
        const { fingerprint } = await withCertificate(store);
        const can = (nowMs = t0) => store.keyPackages.canTake(fingerprint, nowMs);
        expect(await can()).toBe(false);
        const last = record(t0 + 5);
        await publish(fingerprint, { oneTime: [record(t0 + 1)], lastResort: last });
        expect([await can(), await can()]).toEqual([true, true]);
        await store.keyPackages.take(fingerprint, t0);
        await store.keyPackages.take(fingerprint, t0);
        // Handed out already, and handed out again.
        expect(await can()).toBe(true);
        expect([await can(t0 + 4), await can(t0 + 5)]).toEqual([true, false]);
      });

      test("take() and count() leave out what has expired", async () => {
        const { fingerprint } = await withCertificate(store);
        await publish(fingerprint, { oneTime: [record(t0 + 1)], lastResort: record(t0 + 1) });
        expect(await store.keyPackages.count(fingerprint, t0 + 1)).toEqual({ oneTime: 0, lastResort: false });
        expect(await store.keyPackages.take(fingerprint, t0 + 1)).toBeUndefined();
      });
    });

    describe("blobs", () => {
      const piece = (uploader: Hex, data: Uint8Array, offset: number, length: number) => ({
        uploader,
        sha256: encodeHex(crypto().sha256(data)),
        size: data.length,
        offset,
        data: data.subarray(offset, offset + length),
        quotaBytes: 10_000,
        nowMs: t0,
      });

      test("putPiece() joins pieces in order and refuses gaps, repeats, overruns and another size", async () => {
        const uploader = randomHex(32);
        const data = systemRandom(1_000);
        const first = piece(uploader, data, 0, 400);
        expect(await store.blobs.putPiece(piece(uploader, data, 400, 100))).toEqual({ kind: "wrong_offset" });
        expect(await store.blobs.putPiece(first)).toEqual({ kind: "stored", receivedBytes: 400 });
        for (const bad of [
          piece(uploader, data, 300, 100),
          piece(uploader, data, 500, 100),
          { ...piece(uploader, data, 400, 100), size: 2_000 },
          { ...piece(uploader, data, 400, 600), data: systemRandom(601) },
        ])
          expect(await other.blobs.putPiece(bad)).toEqual({ kind: "wrong_offset" });
        expect(await other.blobs.putPiece(piece(uploader, data, 400, 600))).toEqual({
          kind: "stored",
          receivedBytes: 1_000,
        });
        expect(await store.blobs.upload(uploader, first.sha256)).toEqual(data);
        await store.blobs.finishUpload(uploader, first.sha256, t0);
        expect(await other.blobs.ownBlob(uploader, first.sha256)).toEqual(data);
        expect(await store.blobs.upload(uploader, first.sha256)).toBeUndefined();
        expect(await store.blobs.putPiece(first)).toEqual({ kind: "owned" });
      });

      test("putPiece() with offset 0 begins anew", async () => {
        const uploader = randomHex(32);
        const data = systemRandom(100);
        await store.blobs.putPiece(piece(uploader, data, 0, 60));
        expect(await store.blobs.putPiece(piece(uploader, data, 0, 100))).toEqual({
          kind: "stored",
          receivedBytes: 100,
        });
        expect(await store.blobs.upload(uploader, encodeHex(crypto().sha256(data)))).toEqual(data);
      });

      test("putPiece() refuses beyond the quota, counting uploads by their announced size", async () => {
        const uploader = randomHex(32);
        expect((await store.blobs.putPiece(piece(uploader, systemRandom(6_000), 0, 1))).kind).toBe("stored");
        const second = systemRandom(4_001);
        expect((await store.blobs.putPiece(piece(uploader, second, 0, 1))).kind).toBe("quota");
        expect((await store.blobs.putPiece(piece(uploader, systemRandom(4_000), 0, 1))).kind).toBe("stored");
        expect((await store.blobs.putPiece(piece(randomHex(32), second, 0, 1))).kind).toBe("stored");
      });

      test("finishUpload() makes no blob of an upload that began anew meanwhile", async () => {
        const uploader = randomHex(32);
        const data = systemRandom(100);
        const whole = piece(uploader, data, 0, 100);
        await store.blobs.putPiece(whole);
        expect(await store.blobs.upload(uploader, whole.sha256)).toEqual(data);
        // What the caller has compared is no longer what is there.
        await other.blobs.putPiece({ ...whole, data: systemRandom(100) });
        expect(await store.blobs.finishUpload(uploader, whole.sha256, t0)).toBe(false);
        expect(await store.blobs.ownBlob(uploader, whole.sha256)).toBeUndefined();
        await store.blobs.putPiece(whole);
        expect(await store.blobs.finishUpload(uploader, whole.sha256, t0)).toBe(true);
        expect(await store.blobs.ownBlob(uploader, whole.sha256)).toEqual(data);
      });

      test("dropUpload() forgets what was received", async () => {
        const uploader = randomHex(32);
        const data = systemRandom(10);
        await store.blobs.putPiece(piece(uploader, data, 0, 5));
        await store.blobs.dropUpload(uploader, encodeHex(crypto().sha256(data)));
        expect((await store.blobs.putPiece(piece(uploader, data, 5, 5))).kind).toBe("wrong_offset");
      });

      test("readBlob() is for the uploader alone until an entry names the blob", async () => {
        const alice = await withCertificate(store);
        const bob = await withCertificate(store);
        const eve = await withCertificate(store);
        const conversation = await conversationOf(store, alice, bob);
        const data = systemRandom(500);
        const sha256 = await putBlob(store, alice.person, data);
        const read = (person: Hex) => store.blobs.readBlob({ person, sha256, offset: 100, maxBytes: 300 });
        expect(await read(alice.person)).toEqual({ size: 500, data: data.subarray(100, 400) });
        expect(await read(bob.person)).toBeUndefined();
        const blobs = [{ sha256, role: "commit" as const, index: 1, owner: alice.person }];
        await store.log.append(
          append({ conversation, expectedSize: 1, entries: [entry(alice.fingerprint, 2)], blobs }),
        );
        expect(await read(bob.person)).toEqual({ size: 500, data: data.subarray(100, 400) });
        expect(await read(alice.person)).toEqual({ size: 500, data: data.subarray(100, 400) });
        expect(await read(eve.person)).toBeUndefined();
        expect(await store.blobs.readBlob({ person: bob.person, sha256, offset: 500, maxBytes: 9 })).toEqual({
          size: 500,
          data: new Uint8Array(0),
        });
      });

      test("readBlob() shows a former member nothing that was named after it went", async () => {
        const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
        const conversation = await conversationOf(store, alice, bob);
        const named: Hex[] = [];
        for (const index of [1, 2]) {
          const sha256 = await putBlob(store, alice.person, systemRandom(10));
          named.push(sha256);
          await store.log.append(
            append({
              conversation,
              expectedSize: index,
              entries: [entry(alice.fingerprint, index + 1)],
              blobs: [{ sha256, role: "group", index, owner: alice.person }],
              members: index === 1 ? [{ change: "gone", fingerprint: bob.fingerprint, index }] : [],
            }),
          );
        }
        const there = await Promise.all(
          named.map((sha256) => store.blobs.readBlob({ person: bob.person, sha256, offset: 0, maxBytes: 1 })),
        );
        expect(there.map((found) => found !== undefined)).toEqual([true, false]);
      });

      test("sweep() deletes unnamed blobs and uploads after their time, welcomes after theirs, the rest never", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const [welcome, commit, unnamed] = await Promise.all(
          [1, 2, 3].map(() => putBlob(store, alice.person, systemRandom(50))),
        );
        if (welcome === undefined || commit === undefined || unnamed === undefined)
          throw new Error("no blobs");
        const begun = systemRandom(100);
        await store.blobs.putPiece(piece(alice.person, begun, 0, 50));
        const blobs = [
          { sha256: welcome, role: "welcome" as const, index: 1, owner: alice.person },
          { sha256: commit, role: "commit" as const, index: 1, owner: alice.person },
        ];
        await store.log.append(
          append({ conversation, expectedSize: 1, entries: [entry(alice.fingerprint, 2)], blobs }),
        );
        const there = async (sha256: Hex) =>
          (await store.blobs.readBlob({ person: alice.person, sha256, offset: 0, maxBytes: 1 })) !==
          undefined;
        await store.sweep(sweepAt(t0 + day - 1));
        expect([await there(welcome), await there(commit), await there(unnamed)]).toEqual([true, true, true]);
        await store.sweep(sweepAt(t0 + day));
        expect([await there(welcome), await there(commit), await there(unnamed)]).toEqual([
          true,
          true,
          false,
        ]);
        expect((await store.blobs.putPiece(piece(alice.person, begun, 50, 50))).kind).toBe("wrong_offset");
        await store.sweep(sweepAt(t0 + 90 * day));
        expect([await there(welcome), await there(commit)]).toEqual([false, true]);
      });
    });

    describe("log", () => {
      test("append() stores entries, members, checkpoint and state, seen by another connection", async () => {
        const alice = await withCertificate(store);
        const bob = await withCertificate(store);
        const conversation = await conversationOf(store, alice, bob);
        const entries = [entry(alice.fingerprint, 2), entry(bob.fingerprint, 1)] as const;
        const wanted = append({
          conversation,
          expectedSize: 1,
          entries: [...entries],
          state: bytes("state at 3"),
        });
        expect(await store.log.append(wanted)).toEqual({ kind: "appended" });
        const read = await other.log.entries({ conversation, from: 1, limit: 10, maxBytes: 10_000 });
        expect(read).toEqual([
          { index: 1, at: t0, line: entries[0].line },
          { index: 2, at: t0, line: entries[1].line },
        ]);
        expect(await other.log.checkpoint(conversation)).toEqual(wanted.checkpoint);
        expect(await other.log.state(conversation, 3)).toEqual({ size: 3, state: bytes("state at 3") });
        expect(await other.log.state(conversation, 2)).toBeUndefined();
        expect(await other.log.roots(conversation, [2, 3, 4])).toEqual([
          entries[0].root,
          entries[1].root,
          undefined,
        ]);
        expect(await other.log.size(conversation)).toBe(3);
        expect(await other.log.entryBySeqno(conversation, bob.fingerprint, 1)).toEqual({
          index: 2,
          at: t0,
          line: entries[1].line,
        });
        expect(await other.log.entryBySeqno(conversation, bob.fingerprint, 2)).toBeUndefined();
        expect([...(await other.log.members(conversation))].sort()).toEqual(
          [alice.person, bob.person].sort(),
        );
      });

      test("append() judged after another size is a conflict and stores nothing", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        for (const expectedSize of [0, 2]) {
          const entries = [entry(alice.fingerprint, 2)] as const;
          expect(
            await store.log.append(append({ conversation, expectedSize, entries: [...entries] })),
          ).toEqual({
            kind: "conflict",
            size: 1,
          });
        }
        expect(await store.log.size(conversation)).toBe(1);
      });

      test("append() of many at the same time for one place stores exactly one", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const outcomes = await Promise.all(
          Array.from({ length: 8 }, (_, i) =>
            (i % 2 ? store : other).log.append(
              append({ conversation, expectedSize: 1, entries: [entry(alice.fingerprint, 2)] }),
            ),
          ),
        );
        expect(outcomes.filter(({ kind }) => kind === "appended")).toHaveLength(1);
        expect(outcomes.filter(({ kind }) => kind === "conflict")).toHaveLength(7);
      });

      test("append() that fails takes nothing of its neighbours in the same commit with it", async () => {
        const alice = await withCertificate(store);
        const [first, second] = [await conversationOf(store, alice), await conversationOf(store, alice)];
        const good = append({ conversation: first, expectedSize: 1, entries: [entry(alice.fingerprint, 2)] });
        const unknown = append({ conversation: second, expectedSize: 1, entries: [entry(randomHex(32), 1)] });
        const twice = append({
          conversation: second,
          expectedSize: 1,
          entries: [entry(alice.fingerprint, 1)],
        });
        const outcomes = await Promise.allSettled([unknown, good, twice].map((one) => store.log.append(one)));
        expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
        expect([await store.log.size(first), await store.log.size(second)]).toEqual([2, 1]);
      });

      test("append() allows one open direct conversation per pair, in either order", async () => {
        const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
        const direct = (conversation: Hex, pair: readonly [Hex, Hex]) =>
          append({ conversation, entries: [entry(alice.fingerprint, 1)], create: { kind: "direct", pair } });
        const [first, second, third] = [randomHex(16), randomHex(16), randomHex(16)];
        const outcomes = await Promise.all([
          store.log.append(direct(first, [alice.person, bob.person])),
          store.log.append(direct(second, [bob.person, alice.person])),
        ]);
        // Whichever it is, there is one, and the other is told which.
        const [winner, loser] = outcomes[0].kind === "appended" ? [first, second] : [second, first];
        expect(outcomes).toContainEqual({ kind: "appended" });
        expect(outcomes).toContainEqual({ kind: "pair_exists", conversation: winner });
        expect([await store.log.size(winner), await store.log.size(loser)]).toEqual([1, 0]);
        const close = append({
          conversation: winner,
          expectedSize: 1,
          entries: [entry(alice.fingerprint, 2)],
          closes: true,
        });
        expect(await store.log.append(close)).toEqual({ kind: "appended" });
        expect(await store.log.append(direct(third, [bob.person, alice.person]))).toEqual({
          kind: "appended",
        });
      });

      test("releasePair() lets the pair open another, and frees nothing that is not its own", async () => {
        const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
        const direct = (conversation: Hex) =>
          store.log.append(
            append({
              conversation,
              entries: [entry(alice.fingerprint, 1)],
              create: { kind: "direct", pair: [alice.person, bob.person] },
            }),
          );
        const [first, second, third] = [randomHex(16), randomHex(16), randomHex(16)];
        expect(await direct(first)).toEqual({ kind: "appended" });
        await store.log.releasePair(randomHex(16));
        expect(await direct(second)).toEqual({ kind: "pair_exists", conversation: first });
        await store.log.releasePair(first);
        expect(await direct(second)).toEqual({ kind: "appended" });
        await store.log.releasePair(first);
        expect(await direct(third)).toEqual({ kind: "pair_exists", conversation: second });
        // The log of the first is as it was.
        expect(await store.log.size(first)).toBe(1);
        const next = append({
          conversation: first,
          expectedSize: 1,
          entries: [entry(alice.fingerprint, 2)],
        });
        expect(await store.log.append(next)).toEqual({ kind: "appended" });
      });

      test("append() refuses a blob that is not there or somebody else's, and stores nothing then", async () => {
        const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
        const conversation = await conversationOf(store, alice, bob);
        const mine = await putBlob(store, alice.person, systemRandom(20));
        for (const [sha256, owner] of [
          [randomHex(32), alice.person],
          [mine, bob.person],
        ] as const) {
          const blobs = [{ sha256, role: "group" as const, index: 1, owner }];
          const outcome = await store.log.append(
            append({ conversation, expectedSize: 1, entries: [entry(alice.fingerprint, 2)], blobs }),
          );
          expect(outcome).toEqual({ kind: "blob_missing", sha256 });
        }
        expect(await store.log.size(conversation)).toBe(1);
        expect(await store.log.entryBySeqno(conversation, alice.fingerprint, 2)).toBeUndefined();
      });

      test("visibleSize() follows joining, leaving and joining again", async () => {
        const [alice, bob, eve] = await Promise.all([1, 2, 3].map(() => withCertificate(store)));
        if (alice === undefined || bob === undefined || eve === undefined) throw new Error("no certificates");
        const conversation = await conversationOf(store, alice, bob);
        const change = (kind: "joined" | "gone", index: number) =>
          store.log.append(
            append({
              conversation,
              expectedSize: index,
              entries: [entry(alice.fingerprint, index + 1)],
              members: [{ change: kind, fingerprint: bob.fingerprint, index }],
            }),
          );
        const visible = (person: Hex) => store.log.visibleSize(conversation, person);
        expect([await visible(bob.person), await visible(eve.person)]).toEqual([1, 0]);
        await change("gone", 1);
        expect(await visible(bob.person)).toBe(2);
        await store.log.append(
          append({ conversation, expectedSize: 2, entries: [entry(alice.fingerprint, 3)] }),
        );
        expect([await visible(alice.person), await visible(bob.person)]).toEqual([3, 2]);
        expect(await store.log.members(conversation)).toEqual([alice.person]);
        const readers = async () =>
          new Map((await store.log.readers(conversation)).map(({ person, until }) => [person, until]));
        expect(await readers()).toEqual(
          new Map([
            [alice.person, undefined],
            [bob.person, 2],
          ]),
        );
        await change("joined", 3);
        expect((await readers()).get(bob.person)).toBeUndefined();
        expect(await store.log.readers(randomHex(16))).toEqual([]);
        expect([await visible(bob.person), await visible(eve.person)]).toEqual([4, 0]);
        expect(await store.log.visibleSize(randomHex(16), alice.person)).toBe(0);
      });

      test("appendInTurn() of many at the same time: each is judged by what those before it have left", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, i) =>
            store.log.appendInTurn(conversation, async () => {
              const expectedSize = await store.log.size(conversation);
              const entries = [entry(alice.fingerprint, i + 2)] as const;
              return { append: append({ conversation, expectedSize, entries }), expectedSize };
            }),
          ),
        );
        expect(results.every(({ outcome }) => outcome?.kind === "appended")).toBe(true);
        expect(results.map(({ judged }) => judged.expectedSize).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
        expect(await store.log.size(conversation)).toBe(9);
      });

      test("appendInTurn() stores nothing when nothing may stand or the judge fails", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const nothing = await store.log.appendInTurn(conversation, async () => ({
          append: undefined,
          why: "refused",
        }));
        expect(nothing).toEqual({ judged: { append: undefined, why: "refused" }, outcome: undefined });
        const failed = store.log.appendInTurn(conversation, () => Promise.reject(new RangeError("bad")));
        await expect(failed).rejects.toThrow(RangeError);
        const missing = randomHex(32);
        const { outcome } = await store.log.appendInTurn(conversation, async () => ({
          append: append({
            conversation,
            expectedSize: 1,
            entries: [entry(alice.fingerprint, 2)],
            blobs: [{ sha256: missing, role: "commit", index: 1, owner: alice.person }],
          }),
        }));
        expect(outcome).toEqual({ kind: "blob_missing", sha256: missing });
        expect(await store.log.size(conversation)).toBe(1);
        expect(
          await store.log.append(
            append({ conversation, expectedSize: 1, entries: [entry(alice.fingerprint, 2)] }),
          ),
        ).toEqual({ kind: "appended" });
      });

      test("conversationsOf() pages by id with the sizes that the person sees", async () => {
        const alice = await withCertificate(store);
        const ids = [];
        for (let i = 0; i < 5; i++) ids.push(await conversationOf(store, alice));
        ids.sort();
        const page = (after: Hex | undefined) =>
          store.log.conversationsOf({ person: alice.person, after, limit: 3 });
        const first = await page(undefined);
        expect(first).toEqual(ids.slice(0, 3).map((conversation) => ({ conversation, size: 1 })));
        expect((await page(first.at(-1)?.conversation)).map((one) => one.conversation)).toEqual(ids.slice(3));
        expect(
          await store.log.conversationsOf({ person: randomHex(32), after: undefined, limit: 3 }),
        ).toEqual([]);
      });

      test("conversations() pages through all of them by id", async () => {
        const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
        const mine = [await conversationOf(store, alice), await conversationOf(store, bob)];
        const found: { conversation: Hex; size: number }[] = [];
        for (let after: Hex | undefined; ; ) {
          const page = await store.log.conversations({ after, limit: 2 });
          found.push(...page);
          after = page.at(-1)?.conversation;
          if (after === undefined) break;
        }
        const ids = found.map(({ conversation }) => conversation);
        expect(ids).toEqual([...new Set(ids)].sort());
        for (const conversation of mine) expect(found).toContainEqual({ conversation, size: 1 });
      });

      test("entries() keeps to limit and bytes but gives at least one, and can be asked again at once", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const more = [2, 3, 4].map((seqno) => entry(alice.fingerprint, seqno, { line: "x".repeat(100) }));
        const [second, ...rest] = more;
        if (second === undefined) throw new Error("no entries");
        await store.log.append(append({ conversation, expectedSize: 1, entries: [second, ...rest] }));
        const indexes = async (limit: number, maxBytes: number) =>
          (await store.log.entries({ conversation, from: 1, limit, maxBytes })).map(({ index }) => index);
        expect(await indexes(2, 1_000)).toEqual([1, 2]);
        expect(await indexes(10, 299)).toEqual([1, 2]);
        expect(await indexes(10, 300)).toEqual([1, 2, 3]);
        expect(await indexes(10, 1)).toEqual([1]);
        expect(await store.log.entries({ conversation, from: 4, limit: 9, maxBytes: 999 })).toEqual([]);
      });

      test("certificatesVisibleTo() shows one's own, servers' and those of shared conversations only", async () => {
        const [alice, bob, carol, eve] = await Promise.all([1, 2, 3, 4].map(() => withCertificate(store)));
        if (!alice || !bob || !carol || !eve) throw new Error("no certificates");
        const server = await withCertificate(store, { role: "server" });
        const conversation = await conversationOf(store, alice, bob);
        const all = [alice, bob, carol, server].map(({ fingerprint }) => fingerprint);
        const seenBy = async (person: Hex) =>
          (await store.accounts.certificatesVisibleTo(person, all)).map(({ fingerprint }) => fingerprint);
        expect(await seenBy(alice.person)).toEqual(
          [alice, bob, server].map(({ fingerprint }) => fingerprint),
        );
        expect(await seenBy(eve.person)).toEqual([server.fingerprint]);
        const change = (kind: "joined" | "gone", { fingerprint }: CertificateRecord, index: number) =>
          store.log.append(
            append({
              conversation,
              expectedSize: index,
              entries: [entry(alice.fingerprint, index + 1)],
              members: [{ change: kind, fingerprint, index }],
            }),
          );
        await change("gone", bob, 1);
        await change("joined", carol, 2);
        expect(await seenBy(bob.person)).toEqual([alice, bob, server].map(({ fingerprint }) => fingerprint));
        expect(await seenBy(carol.person)).toHaveLength(4);
      });
    });

    describeExpiry(
      () => ({ store, other }),
      () => backend.openAgain(),
    );

    describe("receipts", () => {
      test("save() lets one of two changes through and keeps the newest", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const record = (version: number, text: string) => ({
          conversation,
          size: 1,
          statement: bytes("statement"),
          signedData: bytes(text),
          version,
        });
        expect(await store.receipts.receipt(conversation, 1)).toBeUndefined();
        expect(
          await Promise.all([
            store.receipts.save(record(1, "a"), t0),
            other.receipts.save(record(1, "b"), t0),
          ]),
        ).toContain(false);
        expect(await store.receipts.save(record(3, "c"), t0)).toBe(false);
        expect(await store.receipts.save(record(2, "d"), t0)).toBe(true);
        expect(await other.receipts.receipt(conversation, 1)).toEqual(record(2, "d"));
        expect(await store.receipts.save({ ...record(1, "e"), conversation: randomHex(16) }, t0)).toBe(false);
      });

      test("sizes() lists those of one conversation, the smallest first", async () => {
        const alice = await withCertificate(store);
        const conversation = await conversationOf(store, alice);
        const other = await conversationOf(store, alice);
        expect(await store.receipts.sizes(conversation)).toEqual([]);
        for (const [id, size] of [
          [conversation, 20],
          [conversation, 3],
          [other, 7],
        ] as const)
          await store.receipts.save(
            { conversation: id, size, statement: bytes("s"), signedData: bytes("d"), version: 1 },
            t0,
          );
        expect(await store.receipts.sizes(conversation)).toEqual([3, 20]);
        expect(await store.receipts.sizes(randomHex(16))).toEqual([]);
      });
    });

    describe("restoration", () => {
      test("begin() hears nobody yet and forgets which key packages were used; end() ends the wait", async () => {
        const [a, b] = [await withCertificate(store), await withCertificate(store)];
        const made = (expiresAtMs: number) => ({
          digest: randomHex(32),
          package: systemRandom(10),
          expiresAtMs,
        });
        await store.keyPackages.publish({
          fingerprint: a.fingerprint,
          device: randomHex(32),
          oneTime: [made(t0 + day)],
          lastResort: made(t0 + day),
          maxOneTime: 10,
          nowMs: t0,
        });
        expect(await store.restoration.current()).toBeUndefined();
        await store.restoration.end();
        expect(await store.restoration.current()).toBeUndefined();
        for (const atMs of [t0, t0 + 1]) {
          expect(await store.restoration.begin({ atMs, after: await other.restoration.current() })).toBe(
            true,
          );
          expect(await other.restoration.current()).toEqual({ stage: "waiting", atMs });
          expect(await store.restoration.unheard([a.fingerprint, b.fingerprint])).toHaveLength(2);
          await store.restoration.hear(b.fingerprint);
          await store.restoration.hear(b.fingerprint);
          expect(await other.restoration.unheard([a.fingerprint, b.fingerprint])).toEqual([a.fingerprint]);
        }
        expect(await store.keyPackages.count(a.fingerprint, t0)).toEqual({ oneTime: 0, lastResort: false });
        expect((await store.keyPackages.take(a.fingerprint, t0))?.lastResort).toBe(true);
        await other.restoration.end();
        expect(await store.restoration.current()).toEqual({ stage: "over", atMs: t0 + 1 });
      });

      test("begin() begins one wait of two that were begun at once, and who was heard in it stays heard", async () => {
        const [a, first, second] = [await withCertificate(store), randomHex(16), randomHex(16)];
        const begin = (one: Store, wait: Omit<Wait, "after">, after: Restoration | undefined) =>
          one.restoration.begin({ ...wait, after });
        for (const atMs of [t0 + 10, t0 + 11]) {
          const after = await store.restoration.current();
          const begun = await Promise.all(
            [store, other].map((one) => begin(one, { atMs, claim: first }, after)),
          );
          expect(begun.toSorted()).toEqual([false, true]);
          await store.restoration.hear(a.fingerprint);
          expect(await begin(other, { atMs: t0 + 12 }, after)).toBe(false);
          expect(await other.restoration.unheard([a.fingerprint])).toEqual([]);
          expect(await other.restoration.current()).toEqual({ stage: "claimed", atMs });
        }
        for (let i = 0; i < 2; i++) await other.restoration.claim(second);
        // A later loss is no reason to forget those that wait.
        const third = randomHex(16);
        await begin(store, { atMs: t0 + 13, claim: third }, await other.restoration.current());
        for (const one of [first, second, third]) expect(await other.restoration.isClaimed(one)).toBe(true);
        expect(await store.restoration.isClaimed(randomHex(16))).toBe(false);
        await begin(other, { atMs: t0 + 14 }, await other.restoration.current());
        expect(await store.restoration.current()).toEqual({ stage: "waiting", atMs: t0 + 14 });
        expect(await store.restoration.isClaimed(first)).toBe(false);
      });
    });
  });

  describe(`${name}, its end`, () => {
    test("close() finishes what was asked for, later calls reject, and everything is there when opened again", async () => {
      const backend = await makeBackend();
      const store = await backend.open();
      const alice = await withCertificate(store);
      const conversation = randomHex(16);
      const pending = store.log.append(append({ conversation, entries: [entry(alice.fingerprint, 1)] }));
      await store.close();
      expect(await pending).toEqual({ kind: "appended" });
      await expect(store.log.size(conversation)).rejects.toMatchObject({ code: "CLOSED" });
      await expect(
        store.control.setDisabled({ account: 1, disabled: true, nowMs: t0 }),
      ).rejects.toMatchObject({ code: "CLOSED" });
      const again = await backend.openAgain();
      expect(await again.log.size(conversation)).toBe(1);
      await again.close();
      await backend.cleanUp();
    });

    test("sweep() deletes expired key packages, tickets, endings and counters", async () => {
      const backend = await makeBackend();
      const store = await backend.open();
      const { fingerprint } = await withCertificate(store);
      await store.keyPackages.publish({
        fingerprint,
        device: randomHex(32),
        oneTime: [{ digest: randomHex(32), package: systemRandom(10), expiresAtMs: t0 + day }],
        lastResort: undefined,
        maxOneTime: 10,
        nowMs: t0,
      });
      const counter = { subject: "address:192.0.2.1", delayMs: () => 10 * day };
      const reserve = (nowMs: number) =>
        store.accounts.reserveAttempt({ counted: [counter], consulted: [], nowMs });
      await reserve(t0);
      const username = "swept";
      const once = { email: "swept@example.org", username, passwordHash: "$once", oneTimeUntilMs: t0 };
      await store.control.add({ ...once, nowMs: t0 });
      const account = (await store.accounts.byUsername(username))?.id ?? 0;
      await store.control.setDisabled({ account, disabled: true, nowMs: t0 });
      await store.control.setDisabled({ account, disabled: false, nowMs: t0 });
      const ticket = { hash: randomHex(32), expiresAtMs: t0 + day };
      const next = { hash: randomHex(32), expiresAtMs: t0 };
      await store.tickets.issue({ ...once, account, fingerprint, next: ticket, nowMs: t0 });
      const redeem = () => store.tickets.redeem({ hash: ticket.hash, fingerprint, next, nowMs: t0 });
      await store.sweep(sweepAt(t0 + day - 1));
      expect(await store.control.endings(0)).toHaveLength(1);
      expect((await redeem())?.account.id).toBe(account);
      next.hash = randomHex(32);
      expect(await store.keyPackages.count(fingerprint, t0)).toEqual({ oneTime: 1, lastResort: false });
      expect(await reserve(t0 + day)).toBe(9 * day);
      await store.sweep(sweepAt(t0 + day));
      expect(await store.keyPackages.count(fingerprint, t0)).toEqual({ oneTime: 0, lastResort: false });
      expect(await reserve(t0 + day)).toBe(0);
      expect(await redeem()).toBeUndefined();
      expect(await store.control.endings(0)).toEqual([]);
      expect(await store.control.lastEnding()).toBeGreaterThan(0);
      await store.close();
      await backend.cleanUp();
    });
  });
}
