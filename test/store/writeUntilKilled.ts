import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { certificateRecord } from "./certificateRecord.ts";

// Creates accounts without end and prints the email of each when the store says that it is durable.
const [file] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: writeUntilKilled.ts FILE");
const store = await openSqliteStore({ file });
for (let i = 0; ; i++) {
  const username = `u${i}`;
  const email = `${username}@example.org`;
  await store.accounts.create({
    email,
    username,
    passwordHash: "$",
    certificate: certificateRecord(),
    nowMs: i,
  });
  process.stdout.write(`${email}\n`);
}
