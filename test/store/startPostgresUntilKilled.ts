import { PostgresServer } from "./postgresServer.ts";

// Starts a PostgreSQL, prints its process and waits for the end.
const server = await PostgresServer.start();
process.stdout.write(`${server.pid}\n`);
setInterval(() => undefined, 1_000);
