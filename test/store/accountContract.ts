import { describe, expect, test } from "bun:test";
import type { Account } from "../../src/store/accountStore.ts";
import type { Store } from "../../src/store/store.ts";
import { maxTicketsPerAccount } from "../../src/store/ticketStore.ts";
import { certificateRecord, randomHex } from "./certificateRecord.ts";

const hour = 3_600_000;
const day = 24 * hour;
const t0 = 1_790_000_000_000;

/** What every backend has to do for operators and for whoever comes back, on two connections to the same data. */
export function describeAccountParts(stores: () => { store: Store; other: Store }): void {
  const newAccount = async (): Promise<Account> => {
    const username = `u${randomHex(8)}`;
    const created = await stores().store.accounts.create({
      email: `${username}@example.org`,
      username,
      passwordHash: `$hash of ${username}`,
      certificate: certificateRecord(),
      nowMs: t0,
    });
    if (created.kind !== "created") throw new Error(created.kind);
    return created.account;
  };
  const found = async ({ email }: Pick<Account, "email">) => {
    const account = await stores().other.accounts.byEmail(email);
    if (account === undefined) throw new Error("the account is gone");
    return account;
  };
  const fingerprint = randomHex(32);
  const ticket = (expiresAtMs = t0 + hour) => ({ hash: randomHex(32), expiresAtMs });
  const issue = async (account: Account, over: { passwordHash?: string; expiresAtMs?: number } = {}) => {
    const next = ticket(over.expiresAtMs);
    const { id, passwordHash } = account;
    const request = { account: id, passwordHash, fingerprint, next, nowMs: t0 + 1, ...over };
    return (await stores().store.tickets.issue(request)) === undefined ? undefined : next.hash;
  };
  const redeem = async (hash: string | undefined, over: { fingerprint?: string; nowMs?: number } = {}) => {
    const next = ticket();
    const request = { hash: hash ?? randomHex(32), fingerprint, next, nowMs: t0 + 2, ...over };
    const redeemed = await stores().other.tickets.redeem(request as never);
    return redeemed && { id: redeemed.account.id, next: next.hash, lastEnding: redeemed.lastEnding };
  };

  describe("control", () => {
    test("list() gives every account once, page after page, as byEmail() does", async () => {
      const mine = [await newAccount(), await newAccount(), await newAccount()];
      const listed: Account[] = [];
      for (let after = 0; ; ) {
        const page = await stores().other.control.list({ after, limit: 2 });
        listed.push(...page);
        const last = page.at(-1);
        if (last === undefined) break;
        expect(page.length).toBeLessThanOrEqual(2);
        after = last.id;
      }
      const ids = listed.map(({ id }) => id);
      expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
      for (const one of mine) expect(listed.find(({ id }) => id === one.id)).toEqual(await found(one));
    });

    test("add() makes an account without a certificate, and none whose name is taken", async () => {
      const username = `u${randomHex(8)}`;
      const account = {
        email: `${username}@example.org`,
        username,
        passwordHash: "$once",
        oneTimeUntilMs: t0 + day,
        nowMs: t0,
      };
      const { store, other } = stores();
      expect(await store.control.add(account)).toBe("added");
      expect(await found(account)).toMatchObject({
        ...{ username, passwordHash: "$once", createdAtMs: t0, oneTimeUntilMs: t0 + day },
        ...{ certificate: undefined, disabled: false, allowsNewKey: false, lastLoginAtMs: undefined },
      });
      expect(await other.control.add({ ...account, username: "another" })).toBe("taken");
      expect(await other.control.add({ ...account, email: "another@example.org" })).toBe("taken");
    });

    test("resetPassword() puts a one-time password in place until the owner's own replaces it", async () => {
      const account = await newAccount();
      const { store, other } = stores();
      const reset = { account: account.id, passwordHash: "$once", oneTimeUntilMs: t0 + day, nowMs: t0 };
      await store.control.resetPassword({ ...reset, allowsNewKey: true });
      expect(await found(account)).toMatchObject({
        passwordHash: "$once",
        oneTimeUntilMs: t0 + day,
        allowsNewKey: true,
      });
      const own = { account: account.id, earlier: "$once", passwordHash: "$own" };
      expect(await other.accounts.replacePassword(own)).toBe("replaced");
      expect(await found(account)).toMatchObject({
        passwordHash: "$own",
        oneTimeUntilMs: undefined,
        allowsNewKey: false,
      });
    });

    test("endings() tells of disabling and resetting in their order, enabling is none", async () => {
      const [first, second] = [await newAccount(), await newAccount()];
      const { store, other } = stores();
      const before = await other.control.lastEnding();
      const change = { account: first.id, nowMs: t0 };
      await store.control.setDisabled({ ...change, disabled: true });
      expect((await found(first)).disabled).toBe(true);
      await store.control.setDisabled({ ...change, disabled: false });
      expect((await found(first)).disabled).toBe(false);
      const reset = { passwordHash: "$once", oneTimeUntilMs: t0, allowsNewKey: false, nowMs: t0 };
      await store.control.resetPassword({ account: second.id, ...reset });
      const endings = await other.control.endings(before);
      expect(endings.map(({ account, reason }) => ({ account, reason }))).toEqual([
        { account: first.id, reason: "disabled" },
        { account: second.id, reason: "reset" },
      ]);
      const [one, two] = endings.map(({ number }) => number);
      expect(before < (one ?? 0) && (one ?? 0) < (two ?? 0)).toBe(true);
      expect(await other.control.lastEnding()).toBe(two ?? 0);
      expect(await other.control.endings(two ?? 0)).toEqual([]);
    });
  });

  describe("tickets", () => {
    test("redeem() on another connection gives the account and hands out the next ticket", async () => {
      const account = await newAccount();
      const first = await issue(account);
      expect((await found(account)).lastLoginAtMs).toBe(t0 + 1);
      const entered = await redeem(first);
      expect(entered?.id).toBe(account.id);
      expect((await found(account)).lastLoginAtMs).toBe(t0 + 2);
      expect((await redeem(entered?.next))?.id).toBe(account.id);
    });

    test("redeem() refuses a ticket that is unknown, of another certificate, or past its time", async () => {
      const account = await newAccount();
      const hash = await issue(account, { expiresAtMs: t0 + hour });
      expect(await redeem(randomHex(32))).toBeUndefined();
      expect(await redeem(hash, { fingerprint: randomHex(32) })).toBeUndefined();
      expect(await redeem(hash, { nowMs: t0 + hour })).toBeUndefined();
      expect((await redeem(hash, { nowMs: t0 + hour - 1 }))?.id).toBe(account.id);
    });

    test("a used ticket is good again until the next one is known to have arrived", async () => {
      const account = await newAccount();
      const first = await issue(account);
      const lost = await redeem(first);
      const second = await redeem(first);
      await stores().store.tickets.dropEarlier(account.id, second?.next as never);
      expect(await redeem(first)).toBeUndefined();
      expect(await redeem(lost?.next)).toBeUndefined();
      expect((await redeem(second?.next))?.id).toBe(account.id);
    });

    test("dropEarlier() leaves those that were handed out later, and all when it has gone itself", async () => {
      const [account, other] = [await newAccount(), await newAccount()];
      const [first, others] = [await issue(account), await issue(other)];
      const second = await issue(account);
      const { tickets } = stores().store;
      await tickets.dropEarlier(account.id, first as never);
      await tickets.dropEarlier(account.id, randomHex(32));
      await tickets.dropEarlier(account.id, others as never);
      expect((await redeem(first))?.id).toBe(account.id);
      expect((await redeem(second))?.id).toBe(account.id);
      expect((await redeem(others))?.id).toBe(other.id);
    });

    test("an account keeps a bounded number of tickets, the newest", async () => {
      const account = await newAccount();
      const hashes: (string | undefined)[] = [];
      for (let i = 0; i <= maxTicketsPerAccount; i++) hashes.push(await issue(account));
      expect(await redeem(hashes[0])).toBeUndefined();
      // The oldest that is left goes with the next one that is handed out: the last is asked for first.
      expect((await redeem(hashes.at(-1)))?.id).toBe(account.id);
    });

    test("issue() hands out nothing for a password that has been replaced or an account that is disabled", async () => {
      const account = await newAccount();
      expect(await issue(account, { passwordHash: "$another" })).toBeUndefined();
      await stores().other.control.setDisabled({ account: account.id, disabled: true, nowMs: t0 });
      expect(await issue(account)).toBeUndefined();
      expect((await found(account)).lastLoginAtMs).toBeUndefined();
    });

    test("issue() and redeem() tell the last ending that they come after, also when it is long gone", async () => {
      const account = await newAccount();
      const { store, other } = stores();
      const issued = () =>
        store.tickets.issue({
          ...{ account: account.id, passwordHash: account.passwordHash, nowMs: t0 },
          ...{ fingerprint, next: ticket() },
        });
      expect(await issued()).toBe(await store.control.lastEnding());
      await other.control.setDisabled({ account: account.id, disabled: true, nowMs: t0 });
      await other.control.setDisabled({ account: account.id, disabled: false, nowMs: t0 });
      const lastEnding = await store.control.lastEnding();
      expect((await other.control.endings(lastEnding - 1)).map((ending) => ending.account)).toEqual([
        account.id,
      ]);
      await store.sweep({ nowMs: t0, unnamedBlobMs: day, welcomeMs: day, counterMs: 0 });
      expect(await other.control.endings(0)).toEqual([]);
      expect(await issued()).toBe(lastEnding);
      expect((await redeem(await issue(account)))?.lastEnding).toBe(lastEnding);
    });

    const change = { nowMs: t0 };
    const once = { passwordHash: "$once", oneTimeUntilMs: t0, allowsNewKey: false };
    test.each([
      [
        "setDisabled(), also after enabling again",
        async ({ id }: Account) => {
          await stores().other.control.setDisabled({ ...change, account: id, disabled: true });
          await stores().other.control.setDisabled({ ...change, account: id, disabled: false });
        },
      ],
      [
        "resetPassword()",
        ({ id }: Account) => stores().other.control.resetPassword({ ...change, ...once, account: id }),
      ],
      [
        "replacePassword()",
        ({ id, passwordHash: earlier }: Account) =>
          stores().other.accounts.replacePassword({ account: id, earlier, passwordHash: "$own" }),
      ],
      [
        "bindCertificate()",
        ({ id }: Account) =>
          stores().other.accounts.bindCertificate({
            ...change,
            account: id,
            certificate: certificateRecord(),
          }),
      ],
    ])("%s deletes the account's tickets and nobody else's", async (_, act) => {
      const [account, bystander] = [await newAccount(), await newAccount()];
      const [hash, kept] = [await issue(account), await issue(bystander)];
      await act(account);
      expect(await redeem(hash)).toBeUndefined();
      expect((await redeem(kept))?.id).toBe(bystander.id);
    });

    test("extend() lets a ticket live longer", async () => {
      const account = await newAccount();
      const hash = await issue(account, { expiresAtMs: t0 + 10 });
      await stores().other.tickets.extend([hash as never], t0 + hour);
      expect((await redeem(hash, { nowMs: t0 + 10 }))?.id).toBe(account.id);
    });

    test("many at once: each gets its own account, none that of another", async () => {
      const accounts = await Promise.all(Array.from({ length: 40 }, newAccount));
      const hashes = await Promise.all(accounts.map((account) => issue(account)));
      const asked = [...hashes, ...Array.from({ length: 10 }, () => undefined)];
      const entered = await Promise.all(asked.map((hash) => redeem(hash)));
      expect(entered.map((one) => one?.id)).toEqual([
        ...accounts.map(({ id }) => id),
        ...Array.from({ length: 10 }, () => undefined),
      ]);
    });

    test("disabling during a storm of redeem() leaves no ticket that works", async () => {
      const account = await newAccount();
      const hash = await issue(account);
      const { store, other } = stores();
      const entered = Promise.all(Array.from({ length: 20 }, () => redeem(hash)));
      await store.control.setDisabled({ ...change, account: account.id, disabled: true });
      const late = (await entered).flatMap((one) => (one === undefined ? [] : [one.next]));
      await other.control.setDisabled({ ...change, account: account.id, disabled: false });
      for (const next of [hash, ...late]) expect(await redeem(next)).toBeUndefined();
    });
  });
}
