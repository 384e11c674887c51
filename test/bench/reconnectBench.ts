import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeHex } from "../../src/base/hex.ts";
import { dialServer } from "../../src/client/channelLink.ts";
import { ClientError } from "../../src/client/clientError.ts";
import { Connection, defaultTimeouts } from "../../src/client/connection.ts";
import { growingDelays, Reconnection } from "../../src/client/reconnection.ts";
import { crypto, sha256, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { certificateRecord } from "../../src/server/person.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { createTestAuthority, type Issued } from "../pki/testAuthority.ts";
import { executable } from "../scenario/world.ts";
import { cpuSeconds } from "./cpuSeconds.ts";

/**
 * Everybody comes back at once, as after an outage: clients with real handshakes, the client's own delays and a ticket each,
 * against the compiled server on SQLite with its default limits. Prints figures, judges nothing:
 * `bun test/bench/reconnectBench.ts [clients] [clients per address]`, `SECURECHAT_CRYPTO` as everywhere.
 */
useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
const count = Number(process.argv[2] ?? 2_000);
const folder = mkdtempSync(join(tmpdir(), "securechat-bench-"));
const clientsPerAddress = Number(process.argv[3] ?? 200);

const authority = await createTestAuthority({ nowMs: Date.now() });
const serverIssued = await authority.issueServer(["localhost", "127.0.0.1"]);
const file = join(folder, "securechat.db");
const clients = await makeClients();
const server = await startServer();

// The loopback network is 127.0.0.0/8: each address in it is a client's machine.
const dial = Bun.connect;
let source = "127.0.0.1";
Object.defineProperty(Bun, "connect", {
  value: (options: Parameters<typeof dial>[0]) => dial({ ...options, localAddress: source } as never),
});

const failures = new Map<string, number>();
const waits: number[] = [];
const open: Connection[] = [];
let attempts = 0;
let givenUp = 0;
const cpuBefore = cpuSeconds(server.child.pid);
const startedMs = performance.now();
await Promise.all(clients.map(comeBack));
const seconds = (performance.now() - startedMs) / 1000;
const cpu = cpuSeconds(server.child.pid) - cpuBefore;

waits.sort((a, b) => a - b);
const percentile = (part: number) =>
  ((waits[Math.min(waits.length - 1, Math.floor(waits.length * part))] ?? 0) / 1000).toFixed(2);
process.stdout.write(
  `${crypto().name}, ${count} clients come back at once, ${clientsPerAddress} from one address
all of them after                       ${seconds.toFixed(1)} s, p50 ${percentile(0.5)} s, p99 ${percentile(0.99)} s
given up                                ${givenUp}
attempts                                ${attempts}, of which in vain ${[...failures].map(([why, n]) => `${n} (${why})`).join(", ") || "none"}
server CPU a client                     ${((cpu * 1000) / count).toFixed(2)} ms
`,
);
for (const connection of open) connection.close(new ClientError("CONNECTION_LOST", "closed"));
server.child.kill();
await server.child.exited;
rmSync(folder, { recursive: true });
process.exit(givenUp === 0 ? 0 : 1);

interface StormClient {
  readonly issued: Issued;
  readonly source: string;
  ticket: Uint8Array;
}

/** With accounts and tickets as the server would have made them. */
async function makeClients(): Promise<StormClient[]> {
  const store = await openSqliteStore({ file });
  const made = await Promise.all(
    Array.from({ length: count }, async (_, i): Promise<StormClient> => {
      const username = `user${i}`;
      const issued = await authority.issueUser(username);
      const { certificate } = issued;
      const nowMs = Date.now();
      const verified = verifyPath({
        ...{ leaf: certificate, intermediates: [], anchors: [authority.ca], crls: [] },
        ...{ purpose: "client", atMs: nowMs },
      });
      const passwordHash = `$of ${username}`;
      const created = await store.accounts.create({
        ...{ email: `${username}@example.org`, username, passwordHash, nowMs },
        certificate: certificateRecord(verified, "user"),
      });
      if (created.kind !== "created") throw new Error(created.kind);
      const ticket = systemRandom(32);
      const next = { hash: encodeHex(sha256(ticket)), expiresAtMs: nowMs + 3_600_000 };
      const { fingerprint } = certificate;
      await store.tickets.issue({ account: created.account.id, passwordHash, fingerprint, next, nowMs });
      const address = Math.floor(i / clientsPerAddress);
      return { issued, ticket, source: `127.0.${1 + (address >> 8)}.${address & 255}` };
    }),
  );
  await store.close();
  return made;
}

async function startServer() {
  const place = (name: string, label: string, ders: readonly Uint8Array[]) => {
    const path = join(folder, name);
    writeFileSync(path, ders.map((der) => formatPem(label, der)).join(""), { mode: 0o600 });
    return path;
  };
  const command = [executable, "serve", "--host", "127.0.0.1", "--port", "0", "--db", file];
  const files = [
    ...["--cert", place("server_cert.pem", "CERTIFICATE", serverIssued.chain)],
    ...["--key", place("server_key.pem", "PRIVATE KEY", [serverIssued.pkcs8])],
    ...["--ca", place("ca_cert.pem", "CERTIFICATE", [authority.ca.der])],
  ];
  const child = Bun.spawn([...command, ...files], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const log = child.stdout.getReader();
  const decoder = new TextDecoder();
  for (let text = ""; ; ) {
    text += decoder.decode((await log.read()).value);
    const port = /Server running on \S+:(\d+)/.exec(text)?.[1];
    if (port === undefined) continue;
    // Whoever doesn't read stops the server.
    void (async () => {
      while (!(await log.read()).done);
    })();
    return { child, port: Number(port) };
  }
}

/** One client from the loss of its connection to its next session. */
function comeBack(client: StormClient): Promise<void> {
  const lostMs = performance.now();
  return new Promise((resolve) => {
    const reconnection: Reconnection = new Reconnection({
      policy: growingDelays(systemRandom),
      attempt: async () => {
        attempts += 1;
        try {
          await resume(client);
        } catch (error) {
          const why = error instanceof ClientError ? (error.refusal ?? error.code) : String(error);
          failures.set(why, 1 + (failures.get(why) ?? 0));
          throw error;
        }
        waits.push(performance.now() - lostMs);
        reconnection.succeeded();
        resolve();
      },
      onGivenUp: () => {
        givenUp += 1;
        resolve();
      },
      onEvent: () => undefined,
    });
    reconnection.start(new ClientError("CONNECTION_LOST", "the server was restarted"));
  });
}

async function resume(client: StormClient): Promise<void> {
  const { chain, key } = client.issued;
  source = client.source;
  const { connectMs, handshakeMs } = defaultTimeouts;
  const link = await dialServer({
    ...{ host: "127.0.0.1", port: server.port, chain, key, random: systemRandom, connectMs, handshakeMs },
    verifyServer: ([leaf, ...others]) => {
      if (leaf === undefined) throw new Error("no certificate");
      return verifyPath({
        ...{ leaf: decodeCertificate(leaf), intermediates: others.map(decodeCertificate), crls: [] },
        ...{ anchors: [authority.ca], purpose: "server", host: "127.0.0.1", atMs: Date.now() },
      });
    },
    onStep: () => undefined,
  });
  const connection = new Connection(link, {
    timeouts: defaultTimeouts,
    onPush: () => undefined,
    onClose: () => undefined,
  });
  try {
    client.ticket = (await connection.request({ type: "resume", ticket: client.ticket })).ticket;
    // What every client asks first; it shows that the ticket has arrived.
    await connection.request({ type: "list_conversations", after: null });
    open.push(connection);
  } catch (error) {
    connection.close(new ClientError("CONNECTION_LOST", "the login failed"));
    throw error;
  }
}
