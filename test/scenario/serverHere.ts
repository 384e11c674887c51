import { readFileSync } from "node:fs";
import type { PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { decodePrivateKey } from "../../src/pki/keyFile.ts";
import { parsePem } from "../../src/pki/pem.ts";
import { type RunningServer, type ServerOptions, startServer } from "../../src/server/server.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import type { World } from "./world.ts";

export interface Credential {
  readonly certificate: Certificate;
  readonly key: PrivateKey;
}

/** @param prefix of the two files, as `issue --out` takes it */
export async function readCredential(prefix: string): Promise<Credential> {
  return {
    certificate: readCertificate(`${prefix}_cert.pem`),
    key: await decodePrivateKey(readFileSync(`${prefix}_key.pem`, "utf8")),
  };
}

function readCertificate(file: string): Certificate {
  const [der = new Uint8Array(0)] = parsePem(readFileSync(file, "utf8"), "CERTIFICATE");
  return decodeCertificate(der);
}

/** A world's server inside of this process, with a good certificate and a store that does as the test wants. */
export async function startServerHere(
  world: World,
  wrap: (store: Store) => Store = (store) => store,
  over: Partial<ServerOptions> = {},
): Promise<RunningServer> {
  const { certificate, key } = await readCredential(world.path("server/certs/server"));
  const store = await openSqliteStore({ file: world.path("server/securechat.db") });
  return await startServer({
    host: "127.0.0.1",
    port: 0,
    chain: [certificate.der],
    key,
    anchors: [readCertificate(world.path("org/certs/ca_cert.pem"))],
    store: wrap(store),
    registration: "open",
    random: systemRandom,
    now: Date.now,
    log: () => {},
    ...over,
  });
}
