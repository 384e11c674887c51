import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { RawClient } from "./rawClient.ts";
import { newDevice, newKeyPackage, type Person, TestServer } from "./testServer.ts";

const day = 86_400_000;

describe("key packages", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.create({ limits: { oneTimeKeyPackages: 4 } });
  });
  afterAll(() => server.dispose());

  const packages = async (person: Person, count: number) =>
    Promise.all(
      Array.from({ length: count }, async () => (await newKeyPackage(person.device)).publicPackage),
    );
  const publish = (list: readonly Uint8Array[], last_resort: Uint8Array | null = null) =>
    ({ type: "publish_key_packages", packages: list, last_resort }) as const;
  const fetch = (username: string) => ({ type: "fetch_key_packages", username }) as const;
  const taken = async (client: RawClient, username: string) => {
    const [one, ...others] = (await client.expect("key_packages", fetch(username))).packages;
    expect(others).toEqual([]);
    if (one === undefined) throw new Error("no package");
    return { hex: encodeHex(one.package), lastResort: one.last_resort };
  };

  test("that are published are counted, handed out once each, and then the last-resort one again and again", async () => {
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    const [aliceClient, bobClient] = [await server.register(alice), await server.register(bob)];
    const oneTime = await packages(alice, 2);
    const lastResort = (await newKeyPackage(alice.device, { lastResort: true })).publicPackage;
    expect(await aliceClient.expect("published", publish(oneTime, lastResort))).toMatchObject({
      one_time: 2,
      last_resort: true,
    });
    const got = [await taken(bobClient, "alice"), await taken(bobClient, "alice")];
    expect(got).toEqual(oneTime.map((one) => ({ hex: encodeHex(one), lastResort: false })));
    for (let i = 0; i < 2; i++)
      expect(await taken(bobClient, "alice")).toEqual({ hex: encodeHex(lastResort), lastResort: true });
    expect(await aliceClient.expect("published", publish([]))).toMatchObject({
      one_time: 0,
      last_resort: false,
    });
    aliceClient.close();
    const { email, password } = alice;
    const again = await (await server.dial(alice)).expect("authenticated", {
      type: "login",
      email,
      password,
    });
    expect(again).toMatchObject({ one_time_key_packages: 0, last_resort_key_package: false });
  });

  test("of somebody unknown are NOT_FOUND, of somebody who has none NO_KEY_PACKAGE", async () => {
    const carol = await server.person("carol");
    const client = await server.register(carol);
    expect(await client.refusalCode(fetch("nobody"))).toBe("NOT_FOUND");
    expect(await client.refusalCode(fetch("carol"))).toBe("NO_KEY_PACKAGE");
  });

  test("are refused when they are not good ones of the session's certificate", async () => {
    const dave = await server.person("dave");
    const client = await server.register(dave);
    const foreign = (await newKeyPackage((await server.person("erin")).device)).publicPackage;
    const [good] = await packages(dave, 1);
    if (good === undefined) throw new Error("no package");
    const tampered = good.slice();
    tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1;
    const expired = (await newKeyPackage(dave.device, { notAfterMs: Date.now() - 1_000 })).publicPackage;
    const future = (await newKeyPackage(dave.device, { notBeforeMs: Date.now() + 3_600_000 })).publicPackage;
    const lastResort = (await newKeyPackage(dave.device, { lastResort: true })).publicPackage;
    const otherDevice = (await newKeyPackage(newDevice(dave.issued))).publicPackage;
    const bad: [readonly Uint8Array[], Uint8Array | null][] = [
      [[foreign], null],
      [[tampered], null],
      [[expired], null],
      [[future], null],
      [[lastResort], null],
      [[], good],
      [[good, otherDevice], null],
      [[good.subarray(0, 100)], null],
      [[new Uint8Array(500)], null],
    ];
    for (const [list, last] of bad)
      expect(await client.refusalCode(publish(list, last))).toBe("BAD_KEY_PACKAGE");
    expect(await client.expect("published", publish([]))).toMatchObject({ one_time: 0, last_resort: false });
  });

  test("over the limit are refused as a whole, repeated ones change nothing", async () => {
    const frank = await server.person("frank");
    const client = await server.register(frank);
    const list = await packages(frank, 3);
    await client.expect("published", publish(list));
    expect(await client.expect("published", publish(list))).toMatchObject({ one_time: 3 });
    expect(await client.refusalCode(publish(await packages(frank, 2)))).toBe("TOO_MANY");
    expect(await client.expect("published", publish(await packages(frank, 1)))).toMatchObject({
      one_time: 4,
    });
  });

  test("of a new device replace those of the old one", async () => {
    const grace = await server.person("grace");
    const client = await server.register(grace);
    await client.expect("published", publish(await packages(grace, 2)));
    const fresh = (await newKeyPackage(newDevice(grace.issued))).publicPackage;
    expect(await client.expect("published", publish([fresh]))).toMatchObject({ one_time: 1 });
    expect((await taken(client, "grace")).hex).toBe(encodeHex(fresh));
  });

  test("of who is revoked or disabled are not handed out", async () => {
    const [rita, dora] = [await server.person("rita"), await server.person("dora")];
    for (const person of [rita, dora])
      await (await server.register(person)).expect("published", publish(await packages(person, 2)));
    const client = await server.register(await server.person("olga"));
    await taken(client, "rita");
    await taken(client, "dora");
    server.running.replaceCrl(server.authority.crl([{ certificate: rita.certificate }]).der);
    const store = await openSqliteStore({ file: server.file });
    const account = (await store.accounts.byUsername("dora"))?.id ?? 0;
    await store.control.setDisabled({ account, disabled: true, nowMs: Date.now() });
    await store.close();
    expect(await client.refusalCode(fetch("rita"))).toBe("NO_KEY_PACKAGE");
    expect(await client.refusalCode(fetch("dora"))).toBe("NO_KEY_PACKAGE");
  });

  test("wait for 90 days at most", async () => {
    const heidi = await server.person("heidi");
    const client = await server.register(heidi);
    const long = (await newKeyPackage(heidi.device, { notAfterMs: Date.now() + 99 * day })).publicPackage;
    await client.expect("published", publish([long]));
    server.skewMs = 91 * day;
    expect(await client.refusalCode(fetch("heidi"))).toBe("NO_KEY_PACKAGE");
    server.skewMs = 0;
  });
});

test("who takes key packages too fast is told when to come again, per target and in all", async () => {
  const server = await TestServer.create({
    limits: {
      keyPackageTakes: { capacity: 4, refillMs: 60_000 },
      keyPackageTakesPerTarget: { capacity: 2, refillMs: 600_000 },
    },
  });
  const [alice, bob] = [await server.person("alice"), await server.person("bob")];
  const client = await server.register(alice);
  await server.register(bob);
  const fetch = (username: string) => client.refusal({ type: "fetch_key_packages", username });
  for (let i = 0; i < 2; i++) expect((await fetch("bob")).code).toBe("NO_KEY_PACKAGE");
  const perTarget = await fetch("bob");
  expect(perTarget.code).toBe("TRY_LATER");
  expect(Number(perTarget.detail)).toBeGreaterThan(500_000);
  expect((await fetch("alice")).code).toBe("NO_KEY_PACKAGE");
  const inAll = await fetch("alice");
  expect(inAll.code).toBe("TRY_LATER");
  expect(Number(inAll.detail)).toBeLessThanOrEqual(60_000);
  await server.dispose();
});

test("who publishes key packages too often is told when to come again, and what was published stays", async () => {
  const server = await TestServer.create({
    limits: { keyPackagePublications: { capacity: 2, refillMs: 60_000 } },
  });
  const [alice, bob] = [await server.person("alice"), await server.person("bob")];
  const [client, bobClient] = [await server.register(alice), await server.register(bob)];
  const { publicPackage } = await newKeyPackage(alice.device);
  const publish = (packages: readonly Uint8Array[]) =>
    ({ type: "publish_key_packages", packages, last_resort: null }) as const;
  await client.expect("published", publish([publicPackage]));
  await client.expect("published", publish([]));
  const refused = await client.refusal(publish([(await newKeyPackage(alice.device)).publicPackage]));
  expect(refused.code).toBe("TRY_LATER");
  expect(Number(refused.detail)).toBeGreaterThan(50_000);
  const fetch = { type: "fetch_key_packages", username: "alice" } as const;
  expect((await bobClient.expect("key_packages", fetch)).packages).toHaveLength(1);
  expect(await bobClient.refusalCode(fetch)).toBe("NO_KEY_PACKAGE");
  await server.dispose();
});
