import { readFileSync } from "node:fs";
import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { startServer } from "../../src/server/server.ts";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";

// A server in a process of its own, for tests that kill it. Prints its port.
useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
const [config] = process.argv.slice(2);
if (config === undefined) throw new Error("usage: serveUntilKilled.ts CONFIG");
const { file, address, ca, chain, pkcs8 } = JSON.parse(readFileSync(config, "utf8")) as {
  file: string;
  address?: PostgresAddress;
  ca: string;
  chain: string[];
  pkcs8: string;
};
const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));
const server = await startServer({
  host: "127.0.0.1",
  port: 0,
  chain: chain.map(bytes),
  key: crypto().importPrivateKey(bytes(pkcs8)),
  anchors: [decodeCertificate(bytes(ca))],
  store: address === undefined ? await openSqliteStore({ file }) : await openPostgresStore({ address }),
  registration: "open",
  random: systemRandom,
  now: Date.now,
  log: () => undefined,
});
// For a profile, which is written at the end.
process.once("SIGINT", () => process.exit(0));
process.stdout.write(`${server.port}\n`);
