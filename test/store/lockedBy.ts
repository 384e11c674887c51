import { SQL } from "bun";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";

/** A transaction of another client that has done this and doesn't end before it is released. */
export async function lockedBy(
  at: PostgresAddress,
  statement: string,
): Promise<{ release(): Promise<void> }> {
  const { host, port, database, user, password = "" } = at;
  const client = new SQL({
    adapter: "postgres",
    hostname: host,
    port,
    database,
    username: user,
    password,
    max: 1,
  });
  const session = await client.reserve();
  await session`BEGIN`;
  await session.unsafe(statement);
  return {
    async release() {
      await session`ROLLBACK`;
      session.release();
      await client.end();
    },
  };
}
