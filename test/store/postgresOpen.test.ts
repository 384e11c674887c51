import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import { postgresSchemaVersion } from "../../src/store/postgresMigrations.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { encodePem } from "../server/pemFile.ts";
import { certificateRecord } from "./certificateRecord.ts";
import { logFixture } from "./logFixture.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";

// A real database on a loaded machine.
setDefaultTimeout(60_000);

async function opens(address: PostgresAddress, rootCertificates?: string): Promise<void> {
  await (
    await openPostgresStore({ address, ...(rootCertificates === undefined ? {} : { rootCertificates }) })
  ).close();
}

/** @returns code and message of the refusal */
async function refusal(address: PostgresAddress, rootCertificates?: string): Promise<string> {
  const error: unknown = await opens(address, rootCertificates).then(
    () => "it was opened",
    (reason: unknown) => reason,
  );
  return error instanceof Error && "code" in error ? `${String(error.code)} ${error.message}` : String(error);
}

describe.skipIf(!hasPostgres)("openPostgresStore()", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 60_000);
  afterAll(() => server.dispose());

  test("refuses a wrong password, an unknown user and an unknown database as CANNOT_OPEN", async () => {
    const address = server.createDatabase();
    expect(await refusal({ ...address, password: "wrong" })).toMatch(
      /^CANNOT_OPEN .*password authentication/,
    );
    expect(await refusal({ ...address, password: undefined })).toMatch(/^CANNOT_OPEN /);
    expect(await refusal({ ...address, user: "nobody" })).toMatch(/^CANNOT_OPEN /);
    expect(await refusal({ ...address, database: "nowhere" })).toMatch(/^CANNOT_OPEN .*does not exist/);
  });

  test("says UNAVAILABLE when nobody listens, and for a host that takes connections and says nothing", async () => {
    const silent: Server = createServer((socket) => void socket.resume().on("error", () => undefined));
    const port = await new Promise<number>((resolve) =>
      silent.listen(0, "127.0.0.1", () => {
        const at = silent.address();
        resolve(typeof at === "object" && at !== null ? at.port : 0);
      }),
    );
    const address = { ...server.address("postgres"), port };
    const opening = openPostgresStore({ address, connectTimeoutMs: 300 });
    await expect(opening).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const overTls = openPostgresStore({ address: { ...address, sslMode: "require" }, connectTimeoutMs: 300 });
    await expect(overTls).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await new Promise((resolve) => silent.close(resolve));
    expect(await refusal(address)).toMatch(/^UNAVAILABLE /);
  });

  test("opens through the socket in a folder", async () => {
    const address = server.createDatabase();
    await opens({ ...address, host: server.folder });
  });

  test("migrates once when several open an empty database at the same time", async () => {
    const address = server.createDatabase();
    const stores = await Promise.all([1, 2, 3, 4].map(() => openPostgresStore({ address })));
    const record = certificateRecord();
    await stores[0]?.accounts.putCertificate(record, 1);
    expect(await stores[3]?.accounts.certificates([record.fingerprint])).toEqual([record]);
    expect(server.sql(address.database, "SELECT version FROM securechat_schema")).toEqual([
      String(postgresSchemaVersion),
    ]);
    for (const store of stores) await store.close();
  });

  test("brings a store of the first schema up to date, by one of two that open it, and keeps accounts and logs", async () => {
    const address = server.createDatabase();
    const store = await openPostgresStore({ address });
    const certificate = certificateRecord();
    const account = { email: "a@example.org", username: "a", passwordHash: "$hash", certificate, nowMs: 5 };
    await store.accounts.create(account);
    const log = await logFixture(store);
    const conversation = await log.begin();
    await store.log.append(log.message(conversation, 1, 2));
    const page = { conversation, from: 0, limit: 10, maxBytes: 10_000 };
    const entries = await store.log.entries(page);
    await store.close();
    const schema = () =>
      server.sql(
        address.database,
        `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
         FROM information_schema.columns WHERE table_schema = 'public'
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`,
      );
    const current = schema();
    const later = ["crls", "tickets", "session_endings", "expired_conversations", "store_place"];
    const restoration = ["restoration", "restoration_heard", "restoration_claims"];
    const columns = ["sessions", "last_login_at", "one_time_until", "allows_new_key"];
    server.sql(
      address.database,
      `DROP TABLE ${[...later, ...restoration].join(", ")};
       DROP INDEX blob_references_conversation;
       ALTER TABLE users ${columns.map((column) => `DROP COLUMN ${column}`).join(", ")};
       UPDATE securechat_schema SET version = 1`,
    );
    const [again, other] = await Promise.all([1, 2].map(() => openPostgresStore({ address })));
    if (again === undefined || other === undefined) throw new Error("there are two");
    expect(schema()).toEqual(current);
    expect(await again.accounts.byEmail("a@example.org")).toMatchObject({
      ...{ passwordHash: "$hash", certificate, disabled: false },
      ...{ lastLoginAtMs: undefined, oneTimeUntilMs: undefined, allowsNewKey: false },
    });
    expect(await other.log.entries(page)).toEqual(entries);
    expect((await again.log.append(log.message(conversation, 2, 3))).kind).toBe("appended");
    expect(await other.control.lastEnding()).toBe(0);
    for (const one of [again, other]) await one.close();
  });

  test("refuses a schema that is newer than its own", async () => {
    const address = server.createDatabase();
    await opens(address);
    server.sql(address.database, "UPDATE securechat_schema SET version = version + 1");
    expect(await refusal(address)).toMatch(/^NEWER_SCHEMA .*use a newer one/);
  });

  test("refuses the tables of some other program and leaves them as they are", async () => {
    const address = server.createDatabase();
    server.sql(address.database, "CREATE TABLE members (name TEXT)");
    expect(await refusal(address)).toMatch(/^NOT_A_STORE .*members/);
    expect(
      server.sql(
        address.database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace",
      ),
    ).toEqual(["members"]);
  });

  test("refuses a database that is not in UTF-8", async () => {
    const address = server.createDatabase("TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    expect(await refusal(address)).toMatch(/^CANNOT_OPEN .*UTF8/);
  });

  test("refuses a role that may not create tables", async () => {
    const address = server.createDatabase();
    server.sql(
      address.database,
      `CREATE ROLE reader LOGIN PASSWORD 'reader'; REVOKE CREATE ON SCHEMA public FROM PUBLIC`,
    );
    expect(await refusal({ ...address, user: "reader", password: "reader" })).toMatch(
      /^CANNOT_OPEN .*permission denied/,
    );
  });

  test("stores durably for a role that is configured not to wait for the disk", async () => {
    const address = server.createDatabase();
    server.sql(address.database, `ALTER DATABASE ${address.database} SET synchronous_commit = off`);
    const store = await openPostgresStore({ address });
    // What PostgreSQL itself believes of our session, asked through a column default.
    server.sql(
      address.database,
      "ALTER TABLE certificates ADD COLUMN seen TEXT DEFAULT current_setting('synchronous_commit')",
    );
    await store.accounts.putCertificate(certificateRecord(), 1);
    expect(server.sql(address.database, "SELECT seen FROM certificates")).toEqual(["on"]);
    await store.close();
  });

  test("reads bytes from a database that is set to write them in the older form", async () => {
    const address = server.createDatabase();
    server.sql(address.database, `ALTER DATABASE ${address.database} SET bytea_output = 'escape'`);
    const store = await openPostgresStore({ address });
    const record = certificateRecord();
    await store.accounts.putCertificate(record, 1);
    expect(await store.accounts.certificates([record.fingerprint])).toEqual([record]);
    await store.close();
  });

  test("refuses a server that does not wait for the disk", async () => {
    const careless = await PostgresServer.start(["fsync = off"]);
    try {
      expect(await refusal(careless.createDatabase())).toMatch(/^CANNOT_OPEN .*fsync/);
    } finally {
      await careless.dispose();
    }
  }, 60_000);

  test("refuses to go on without TLS when it was asked for", async () => {
    const address = server.createDatabase();
    for (const sslMode of ["require", "verify-ca", "verify-full"] as const)
      expect(await refusal({ ...address, sslMode })).toMatch(/^UNAVAILABLE .*no TLS/);
  });
});

describe.skipIf(!hasPostgres)("openPostgresStore() over TLS", () => {
  let server: PostgresServer;
  let ca: string;
  let otherCa: string;
  beforeAll(async () => {
    const [authority, other] = [await createTestAuthority(), await createTestAuthority()];
    const issued = await authority.issueServer("localhost");
    const text = (der: Uint8Array) => new TextDecoder().decode(encodePem("CERTIFICATE", der));
    [ca, otherCa] = [text(authority.ca.der), text(other.ca.der)];
    server = await PostgresServer.start();
    const files = {
      "server.crt": text(issued.certificate.der),
      "server.key": encodePem("PRIVATE KEY", issued.pkcs8),
    };
    const { uid, gid } = statSync(server.dataFolder);
    for (const [name, content] of Object.entries(files)) {
      const file = join(server.dataFolder, name);
      writeFileSync(file, content);
      chmodSync(file, 0o600);
      chownSync(file, uid, gid);
    }
    server.configure(["ssl = on"]);
    await server.halt();
    await server.run();
  }, 60_000);
  afterAll(() => server.dispose());

  test("verify-full demands the CA and the name, verify-ca the CA, require neither", async () => {
    const address = { ...server.createDatabase(), host: "localhost" };
    const full = { ...address, sslMode: "verify-full" } as const;
    await opens(full, ca);
    expect(await refusal(full, otherCa)).toMatch(/^UNAVAILABLE /);
    expect(await refusal(full)).toMatch(/^UNAVAILABLE /);
    expect(await refusal({ ...full, host: "127.0.0.1" }, ca)).toMatch(/^UNAVAILABLE /);
    const byAddress = { ...address, host: "127.0.0.1" };
    await opens({ ...byAddress, sslMode: "verify-ca" }, ca);
    expect(await refusal({ ...byAddress, sslMode: "verify-ca" }, otherCa)).toMatch(/^UNAVAILABLE /);
    await opens({ ...byAddress, sslMode: "require" });
  });

  test("every connection is in TLS, the one that listens too", async () => {
    const address = server.createDatabase();
    const store = await openPostgresStore({
      address: { ...address, host: "localhost", sslMode: "verify-full" },
      rootCertificates: ca,
    });
    const stop = await store.changes?.follow({ changed: () => undefined, missed: () => undefined });
    const record = certificateRecord({ chain: [new Uint8Array(300_000).fill(7)] });
    await Promise.all([1, 2, 3].map((nowMs) => store.accounts.putCertificate(record, nowMs)));
    expect(await store.accounts.certificates([record.fingerprint])).toEqual([record]);
    const sessions = server.sql(
      address.database,
      `SELECT s.ssl, count(*) > 1 FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
       WHERE a.datname = '${address.database}' AND a.application_name = 'securechat' GROUP BY s.ssl`,
    );
    expect(sessions).toEqual(["t|t"]);
    await stop?.();
    await store.close();
  });
});
