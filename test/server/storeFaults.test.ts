import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { ClientScript } from "./clientScript.ts";
import { type Fault, FaultyStore } from "./faultyStore.ts";
import { type Person, personOf, TestServer } from "./testServer.ts";

// Many servers, one after the other, on a machine that others use too.
setDefaultTimeout(60_000);

const backends: readonly {
  readonly name: string;
  readonly skip: boolean;
  readonly faults: readonly Fault[];
  /** Whether a call fails in every step that makes it, or in the first one alone. */
  readonly everywhere: boolean;
  readonly begin: () => Promise<{ open: (file: string) => Promise<Store>; end: () => Promise<void> }>;
}[] = [
  {
    name: "SQLite",
    skip: false,
    faults: ["lost", "stored"],
    everywhere: true,
    begin: async () => ({ open: (file) => openSqliteStore({ file }), end: async () => {} }),
  },
  {
    name: "PostgreSQL",
    skip: !hasPostgres,
    // What was never asked of a backend is the same for all.
    faults: ["stored"],
    everywhere: false,
    begin: async () => {
      const database = await PostgresServer.start();
      return {
        open: () => openPostgresStore({ address: database.createDatabase(), maxConnections: 2 }),
        end: () => database.dispose(),
      };
    },
  },
];

for (const { name, skip, faults, everywhere, begin } of backends)
  describe.skipIf(skip)(`whichever call of the store fails (${name})`, () => {
    let authority: TestAuthority;
    let identity: Issued;
    let people: readonly [Person, Person, Person];
    let backend: Awaited<ReturnType<(typeof backends)[number]["begin"]>>;
    beforeAll(async () => {
      backend = await begin();
      authority = await createTestAuthority();
      identity = await authority.issueServer(["localhost", "127.0.0.1"]);
      const made = (username: string) =>
        authority.issueUser(username).then((issued) => personOf(issued, username, `${username}@example.org`));
      people = [await made("alice"), await made("bob"), await made("carol")];
    });
    afterAll(() => backend.end());

    /** Runs the script on a fresh store; `before` is called before each of its steps. */
    async function run(before: (store: FaultyStore, step: number) => void): Promise<FaultyStore> {
      const server = await TestServer.create({}, { authority, identity });
      await server.stop();
      let faulty: FaultyStore | undefined;
      server.openStore = () => backend.open(`${server.folder}/faulty.db`);
      server.wrapStore = (store) => {
        faulty = new FaultyStore(store);
        return faulty.store;
      };
      await server.start();
      if (faulty === undefined) throw new Error("there is no store");
      const script = new ClientScript(server, people);
      for (const [i, step] of script.steps.entries()) {
        before(faulty, i);
        await step();
      }
      before(faulty, script.steps.length);
      await script.check();
      await server.dispose();
      return faulty;
    }

    for (const fault of faults)
      test(`${fault === "lost" ? "without" : "after"} storing, the same request again does what it asked for once`, async () => {
        const from: number[] = [];
        const reference = await run((store) => from.push(store.calls.length));
        // Which calls each step makes. One fails in a step and run.
        const made = from.map((start, i) => [...new Set(reference.calls.slice(start, from[i + 1]))]);
        expect(new Set(made.flat()).size).toBeGreaterThan(32);
        const calls = everywhere ? made : made.map((ofStep, i) => ofStep.filter(isNewIn(made.slice(0, i))));
        for (let round = 0; round < Math.max(...calls.map(({ length }) => length)); round++) {
          const armed = calls.map((ofStep) => ofStep[round]);
          const store = await run((faulty, step) => faulty.arm(armed[step], fault));
          expect(store.failed).toEqual(armed.filter((call) => call !== undefined));
        }
      });
  });

/** @returns whether none of the earlier steps makes the call */
function isNewIn(earlier: readonly (readonly string[])[]): (call: string) => boolean {
  const known = new Set(earlier.flat());
  return (call) => !known.has(call);
}
