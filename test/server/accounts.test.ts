import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { type Person, personOf, TestServer } from "./testServer.ts";

const minute = 60_000;

describe("register", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.create();
  });
  afterAll(() => server.dispose());

  const register = ({ email, username, password }: Person, over: object = {}) =>
    ({ type: "register", email, username, password, ...over }) as const;

  test("creates the account of the certificate's person and says what waits for it", async () => {
    const alice = await server.person("alice");
    const client = await server.dial(alice);
    const before = Date.now();
    const answer = await client.expect("authenticated", register(alice));
    expect(answer).toMatchObject({
      username: "alice",
      email: "alice@example.org",
      one_time_key_packages: 0,
      last_resort_key_package: false,
    });
    expect(answer.time).toBeGreaterThanOrEqual(before);
  });

  test("refuses a second registration of the same person as TAKEN", async () => {
    const taken = await server.person("taken");
    await server.register(taken);
    expect(await (await server.dial(taken)).refusalCode(register(taken))).toBe("TAKEN");
  });

  test("of the same person twice at once creates one account", async () => {
    const twice = await server.person("twice");
    const clients = [await server.dial(twice), await server.dial(twice)];
    const answers = await Promise.all(clients.map((client) => client.request(register(twice))));
    expect(answers.map(({ type }) => type).sort()).toEqual(["authenticated", "refused"]);
  });

  test("refuses a username or email that is not the certificate's", async () => {
    const carol = await server.person("carol");
    const client = await server.dial(carol);
    expect(await client.refusalCode(register(carol, { username: "carl" }))).toBe("IDENTITY_MISMATCH");
    expect(await client.refusalCode(register(carol, { email: "carl@example.org" }))).toBe(
      "IDENTITY_MISMATCH",
    );
    expect(await client.refusalCode(register(carol, { email: "Carol@example.org" }))).toBe(
      "IDENTITY_MISMATCH",
    );
    expect((await client.request(register(carol))).type).toBe("authenticated");
  });

  test("refuses a password of 7 characters, the username and the email; 8 characters are enough", async () => {
    const dave = await server.person("dave1234");
    const client = await server.dial(dave);
    for (const password of ["1234567", "🔑🔑🔑🔑🔑🔑🔑", "dave1234", "DAVE1234", dave.email])
      expect(await client.refusalCode(register(dave, { password }))).toBe("WEAK_PASSWORD");
    expect((await client.request(register(dave, { password: "12345678" }))).type).toBe("authenticated");
  });

  test("refuses a second certificate with the issuer and serial of a known one", async () => {
    const erin = await server.person("erin");
    await server.register(erin);
    const db = new Database(server.file);
    db.run("UPDATE certificates SET fingerprint = ? WHERE fingerprint = ?", [
      "ab".repeat(32),
      erin.certificate.fingerprint,
    ]);
    db.run("DELETE FROM users WHERE username = 'erin'");
    db.close();
    expect(await (await server.dial(erin)).refusalCode(register(erin))).toBe("CERTIFICATE_INVALID");
  });
});

describe("login", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.create();
    server.freezeClock();
  });
  afterAll(() => server.dispose());

  const login = ({ email, password }: Person, over: object = {}) =>
    ({ type: "login", email, password, ...over }) as const;
  const wrong = (person: Person) => login(person, { password: "a wrong password" });

  test("takes the password of the account, in any Unicode normal form", async () => {
    const alice = { ...(await server.person("alice")), password: "Pässwörter" };
    (await server.register({ ...alice, password: alice.password.normalize("NFC") })).close();
    const client = await server.dial(alice);
    const answer = await client.request(login(alice, { password: alice.password.normalize("NFD") }));
    expect(answer.type).toBe("authenticated");
  });

  test("says the same about a wrong password and an account that does not exist", async () => {
    const bob = await server.person("bob");
    await server.register(bob);
    const nobody = await server.person("nobody");
    const ofBob = await (await server.dial(bob)).refusal(wrong(bob));
    const ofNobody = await (await server.dial(nobody)).refusal(wrong(nobody));
    expect(ofBob).toEqual(ofNobody);
    expect(ofBob.code).toBe("AUTHENTICATION_FAILED");
  });

  test("compares the certificate first: another's account can't be tried, locked or probed", async () => {
    const victim = await server.person("victim");
    await server.register(victim);
    const mallory = await server.person("mallory");
    const client = await server.dial(mallory);
    const { email } = victim;
    for (let i = 0; i < 8; i++)
      expect(await client.refusalCode(login(mallory, { email, password: "guess number" }))).toBe(
        "IDENTITY_MISMATCH",
      );
    const unknown = login(mallory, { email: "ghost@example.org" });
    expect(await client.refusal(unknown)).toEqual(await client.refusal(login(mallory, { email })));
    expect((await server.login(victim)).alert).toBeUndefined();
  });

  test("makes the account wait longer and longer after five failures, and forgets them at a success", async () => {
    const carol = await server.person("carol");
    await server.register(carol);
    const client = await server.dial(carol);
    for (let i = 0; i < 5; i++) expect(await client.refusalCode(wrong(carol))).toBe("AUTHENTICATION_FAILED");
    const first = await client.refusal(login(carol));
    expect(first.code).toBe("TRY_LATER");
    expect(first.detail).toBe("1000");
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      server.skewMs += 16 * minute;
      expect(await client.refusalCode(wrong(carol))).toBe("AUTHENTICATION_FAILED");
      waits.push(Number((await client.refusal(login(carol))).detail));
    }
    expect(waits).toEqual([
      ...[2, 4, 8, 16, 32, 64, 128, 256, 512].map((s) => s * 1_000),
      ...[15, 15, 15].map((m) => m * minute),
    ]);
    server.skewMs += 15 * minute;
    expect((await client.request(login(carol))).type).toBe("authenticated");
    const again = await server.dial(carol);
    for (let i = 0; i < 5; i++) expect(await again.refusalCode(wrong(carol))).toBe("AUTHENTICATION_FAILED");
  });

  test("lets no parallel attempts past the delay", async () => {
    const dan = await server.person("dan");
    await server.register(dan);
    const clients = await Promise.all(Array.from({ length: 12 }, () => server.dial(dan)));
    const codes = await Promise.all(clients.map((client) => client.refusalCode(wrong(dan))));
    expect(codes.filter((code) => code === "AUTHENTICATION_FAILED")).toHaveLength(5);
    expect(codes.filter((code) => code === "TRY_LATER")).toHaveLength(7);
  });

  test("keeps the failures across a restart", async () => {
    const eve = await server.person("eve");
    await server.register(eve);
    const client = await server.dial(eve);
    for (let i = 0; i < 5; i++) await client.refusalCode(wrong(eve));
    await server.stop();
    await server.start();
    expect(await (await server.dial(eve)).refusalCode(login(eve))).toBe("TRY_LATER");
  });

  test("tells only who knows the password that the account is disabled", async () => {
    const frank = await server.person("frank");
    await server.register(frank);
    const store = await openSqliteStore({ file: server.file });
    const account = await store.accounts.byEmail(frank.email);
    await store.control.setDisabled({ account: account?.id ?? 0, disabled: true, nowMs: Date.now() });
    await store.close();
    const client = await server.dial(frank);
    expect(await client.refusalCode(wrong(frank))).toBe("AUTHENTICATION_FAILED");
    expect(await client.refusalCode(login(frank))).toBe("ACCOUNT_DISABLED");
  });

  test("moves the account to a renewed certificate over the same key, and not to one over another key", async () => {
    const grace = await server.person("grace");
    await server.register(grace);
    const otherKey = await server.newPerson("grace");
    const client = await server.dial(otherKey);
    expect(await client.refusalCode(login({ ...otherKey, password: grace.password }))).toBe(
      "IDENTITY_MISMATCH",
    );
    const issued = await server.authority.issueUser("grace", grace.email, { pkcs8: grace.issued.pkcs8 });
    const renewed = personOf(issued, "grace", grace.email);
    await server.login(renewed);
    const db = new Database(server.file, { readonly: true });
    const row = db
      .query(
        "SELECT c.fingerprint FROM users u JOIN certificates c ON c.id = u.certificate WHERE u.username = 'grace'",
      )
      .get();
    db.close();
    expect(row).toEqual({ fingerprint: renewed.certificate.fingerprint });
  });

  test("is refused twice on one connection, and before it nothing else is done", async () => {
    const heidi = await server.person("heidi");
    const client = await server.dial(heidi);
    expect(await client.refusalCode({ type: "list_conversations", after: null })).toBe("UNEXPECTED");
    expect((await client.request({ type: "ping" })).type).toBe("pong");
    const { email, username, password } = heidi;
    await client.expect("authenticated", { type: "register", email, username, password });
    expect(await client.refusalCode(login(heidi))).toBe("UNEXPECTED");
    expect((await client.request({ type: "list_conversations", after: null })).type).toBe("conversations");
  });

  test("writes neither passwords nor hashes into the log", async () => {
    const ivan = await server.person("ivan");
    await server.register(ivan);
    await (await server.dial(ivan)).refusalCode(wrong(ivan));
    expect(server.log).toContain("Client authenticated: ivan");
    expect(server.log).toContain("login refused: AUTHENTICATION_FAILED");
    expect(server.log).not.toContain("a wrong password");
    expect(server.log).not.toContain("password of");
    expect(server.log).not.toContain("argon2");
  });
});

test("registration that is closed refuses newcomers and lets accounts in", async () => {
  const server = await TestServer.create();
  const alice = await server.person("alice");
  await server.register(alice);
  await server.stop();
  await server.start({ registration: "closed" });
  const bob = await server.person("bob");
  const { email, username, password } = bob;
  const client = await server.dial(bob);
  expect(await client.refusalCode({ type: "register", email, username, password })).toBe(
    "REGISTRATION_CLOSED",
  );
  expect((await server.login(alice)).alert).toBeUndefined();
  await server.dispose();
});

test("passwords are stored as Argon2id with 19 MiB and two passes", async () => {
  const server = await TestServer.create();
  await server.register(await server.person("alice"));
  const db = new Database(server.file, { readonly: true });
  const row = db.query<{ pwd_hash: string; salt: unknown }, []>("SELECT pwd_hash, salt FROM users").get();
  db.close();
  expect(row?.pwd_hash).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
  expect(row?.salt).toBeNull();
  await server.dispose();
});
