import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync } from "node:fs";
import fc from "fast-check";
import type { Hex } from "../../src/base/hex.ts";
import { ServerError } from "../../src/server/serverError.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { damageSqlite, sqliteColumns } from "../store/sqliteDamage.ts";
import { type Damage, damagesOf, nameOf } from "../store/storeDamage.ts";
import type { RawClient } from "./rawClient.ts";
import { directConversation } from "./testConversation.ts";
import { newKeyPackage, type Person, TestServer } from "./testServer.ts";

/*
 * Whoever can write to the database can deny service; it must not be able to crash the server, to have it lay the fault at a
 * client's door, or to have it sign for a log that it has not judged.
 */

setDefaultTimeout(60_000);

const runs = Number(process.env.SECURECHAT_FUZZ_RUNS ?? 12);

let server: TestServer;
let alice: Person;
let bob: Person;
let conversation: Hex;
/** The line that comes next, and the blob that the first entry names. */
let next: () => string;
let damages: readonly Damage[];
const honest = () => `${server.file}.honest`;

beforeAll(async () => {
  server = await TestServer.create();
  const pair = await directConversation(server, ["alice", "bob"]);
  ({ alice, bob } = pair);
  conversation = pair.conversation.id;
  for (let i = 0; i < 3; i++)
    await pair.conversation.post(pair.aliceClient, pair.conversation.message(alice));
  next = () => pair.conversation.message(alice);
  for (const [person, client] of [
    [alice, pair.aliceClient],
    [bob, pair.bobClient],
  ] as const) {
    const [oneTime, lastResort] = await Promise.all([
      newKeyPackage(person.device),
      newKeyPackage(person.device, { lastResort: true }),
    ]);
    const packages = { packages: [oneTime.publicPackage], last_resort: lastResort.publicPackage };
    await client.expect("published", { type: "publish_key_packages", ...packages });
  }
  await server.stop();
  copyFileSync(server.file, honest());
  damages = damagesOf(sqliteColumns(server.file));
});
afterAll(() => server?.dispose());

/** What a client asks for in a session. @returns how each request ended: the type of its answer or the code of its refusal */
async function useEverything(): Promise<string[]> {
  const ends: string[] = [];
  const person = alice;
  let client: RawClient;
  try {
    client = await server.dial(person);
    const ask = async (request: Parameters<RawClient["request"]>[0]) => {
      const answer = await client.request(request);
      ends.push(answer.type === "refused" ? answer.code : answer.type);
    };
    await ask({ type: "login", email: person.email, password: person.password });
    await ask({ type: "list_conversations", after: null });
    await ask({ type: "fetch_entries", conversation, from: 0, limit: 256 });
    await ask({ type: "fetch_certificates", fingerprints: [bob.certificate.fingerprint] });
    await ask({ type: "fetch_key_packages", username: "bob" });
    await ask({ type: "post", line: next() });
    client.close();
  } catch (error) {
    // The server ended the connection: with a word to the client about it.
    const said = error instanceof Error ? error.message : String(error);
    if (!/the connection ended: [a-z_]+$/.test(said)) throw error;
    ends.push(said);
  }
  return ends;
}

async function withDamage(one: readonly Damage[]): Promise<readonly string[]> {
  copyFileSync(honest(), server.file);
  if (!one.map((each) => damageSqlite(server.file, each)).some(Boolean)) return ["undamaged"];
  try {
    await server.start();
  } catch (error) {
    if (error instanceof StoreError || error instanceof ServerError) return [error.code];
    throw error;
  }
  try {
    return await useEverything();
  } finally {
    await server.stop();
  }
}

describe("a server on a damaged database", () => {
  test("serves as before on one that is not damaged", async () => {
    copyFileSync(honest(), server.file);
    await server.start();
    expect(await useEverything()).toEqual([
      ...["authenticated", "conversations", "entries", "certificates", "key_packages", "accepted"],
    ]);
    await server.stop();
  });

  test("answers or refuses with a code whatever the rows hold, and never blames the entry that is posted", async () => {
    const rules = ["BAD_SIGNATURE", "MALFORMED", "BAD_BODY", "TIME_ORDER", "CERTIFICATE_INVALID"];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...damages), { minLength: 1, maxLength: 2 }),
        async (chosen) => {
          const ends = await withDamage(chosen);
          expect(ends.length).toBeGreaterThan(0);
          const blamed = ends.filter((end) => rules.includes(end));
          expect([chosen.map(nameOf), blamed]).toEqual([chosen.map(nameOf), []]);
        },
      ),
      { numRuns: runs, endOnFailure: true },
    );
  });

  const column = (table: string, name: string) =>
    damages.filter((one) => one.table === table && one.column === name);

  test.each([
    ["entries", "line"],
    ["entries", "at"],
    ["entries", "root"],
  ])("signs nothing over a log whose %s.%s was changed", async (table, name) => {
    const [damaged] = column(table, name);
    if (damaged === undefined) throw new Error(`no ${table}.${name}`);
    copyFileSync(honest(), server.file);
    damageSqlite(server.file, {
      ...damaged,
      table: "log_states",
      column: "state",
      type: "bytes",
      value: new Uint8Array(1),
    });
    damageSqlite(server.file, damaged);
    await server.start();
    expect((await useEverything()).at(-1)).toBe("INTERNAL");
    expect(server.log).toContain("in the store is damaged");
    await server.stop();
  });

  test("has no password hashed at the cost that a row asks for", async () => {
    copyFileSync(honest(), server.file);
    const greedy = { table: "users", column: "pwd_hash", type: "text" } as const;
    const hash = `$argon2id$v=19$m=4194304,t=2,p=1$${"A".repeat(22)}$${"A".repeat(43)}`;
    damageSqlite(server.file, { ...greedy, value: hash });
    await server.start();
    const before = performance.now();
    const client = await server.dial(alice);
    const { email, password } = alice;
    expect(await client.refusalCode({ type: "login", email, password })).toBe("INTERNAL");
    expect(performance.now() - before).toBeLessThan(3_000);
    client.close();
    await server.stop();
  });
});
