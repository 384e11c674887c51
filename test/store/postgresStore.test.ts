import { afterAll, beforeAll, describe, setDefaultTimeout } from "bun:test";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";
import { describeStore } from "./storeContract.ts";

// A real database on a loaded machine.
setDefaultTimeout(60_000);

describe.skipIf(!hasPostgres)("PostgreSQL", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 60_000);
  afterAll(() => server.dispose());

  describeStore("PostgreSQL store", async () => {
    const address = server.createDatabase();
    return {
      open: () => openPostgresStore({ address }),
      openAgain: () => openPostgresStore({ address }),
      cleanUp: async () => undefined,
    };
  });
});
