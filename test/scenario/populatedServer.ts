import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { issueCertificate } from "../../src/pki/issue.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { certificateRecord } from "../../src/server/person.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";
import { encodePem } from "../server/pemFile.ts";
import { type Member, ServerAccess } from "./serverAccess.ts";
import { executable } from "./world.ts";

/** What the server's process holds, as the system counts it. */
export interface Footprint {
  /** Resident memory, bytes. */
  readonly rss: number;
  /** User and system time so far, s. */
  readonly cpu: number;
}

const hour = 3_600_000;

/**
 * The compiled executable as a server on a store that has accounts already, so that thousands can log in: their password
 * hashes are made with Argon2id's smallest parameters and their certificates are over one key.
 */
export class PopulatedServer extends ServerAccess {
  readonly #folder: string;
  readonly #process: Subprocess;

  private constructor(
    folder: string,
    child: Subprocess,
    options: ConstructorParameters<typeof ServerAccess>[0],
  ) {
    super(options);
    this.#folder = folder;
    this.#process = child;
  }

  /** @param accounts how many; @param flags of `serve` */
  static async start(accounts: number, flags: readonly string[] = []): Promise<PopulatedServer> {
    const folder = mkdtempSync(join(tmpdir(), "securechat-populated-"));
    let child: Subprocess | undefined;
    try {
      const authority = await createTestAuthority();
      const identity = await authority.issueServer(["localhost", "127.0.0.1"]);
      const pkcs8 = await crypto().generatePrivateKey("p256");
      const members = await populate(join(folder, "securechat.db"), { authority, pkcs8, accounts });
      writeCredentials(join(folder, "certs"), { authority, identity });
      child = spawn(folder, flags);
      const port = await listening(folder, child);
      const { certificate } = identity;
      return new PopulatedServer(folder, child, { port, ca: authority.ca, certificate, pkcs8, members });
    } catch (error) {
      child?.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Whether the process still runs. */
  get isRunning(): boolean {
    return runs(this.#process);
  }

  footprint(): Footprint {
    const { pid } = this.#process;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // proc(5): fields 14 and 15 of stat, in ticks of 10 ms; the name in field 2 may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      rss: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
      cpu: (Number(fields[11]) + Number(fields[12])) / 100,
    };
  }

  async dispose(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const logName = "server.log";

function runs({ exitCode, signalCode }: Subprocess): boolean {
  return exitCode === null && signalCode === null;
}

function writeCredentials(
  certs: string,
  { authority, identity }: { authority: TestAuthority; identity: Issued },
): void {
  mkdirSync(certs);
  writeFileSync(join(certs, "ca_cert.pem"), encodePem("CERTIFICATE", authority.ca.der));
  writeFileSync(join(certs, "server_cert.pem"), encodePem("CERTIFICATE", identity.certificate.der));
  writeFileSync(join(certs, "server_key.pem"), encodePem("PRIVATE KEY", identity.pkcs8), { mode: 0o600 });
}

function spawn(folder: string, flags: readonly string[]): Subprocess {
  const { PATH = "", HOME = "" } = process.env;
  const log = Bun.file(join(folder, logName));
  return Bun.spawn([executable, "serve", "--host", "127.0.0.1", "--port", "0", ...flags], {
    cwd: folder,
    env: { PATH, HOME, SECURECHAT_CRYPTO: crypto().name },
    stdin: "ignore",
    stdout: log,
    stderr: log,
  });
}

async function listening(folder: string, child: Subprocess): Promise<number> {
  for (;;) {
    const log = readFileSync(join(folder, logName), "utf8");
    const port = /Server running on \S+:(\d+)/.exec(log)?.[1];
    if (port !== undefined) return Number(port);
    if (!runs(child)) throw new Error(`the server did not start:\n${log}`);
    await Bun.sleep(20);
  }
}

async function populate(
  file: string,
  { authority, pkcs8, accounts }: { authority: TestAuthority; pkcs8: Uint8Array; accounts: number },
): Promise<Member[]> {
  const key = crypto().importPrivateKey(pkcs8);
  const password = "a password that all of them have";
  const passwordHash = await Bun.password.hash(password, {
    algorithm: "argon2id",
    memoryCost: 8,
    timeCost: 1,
  });
  const nowMs = Date.now();
  const store = await openSqliteStore({ file });
  const members: Member[] = [];
  const created: Promise<unknown>[] = [];
  for (let i = 0; i < accounts; i++) {
    const username = `user${i}`;
    const email = `${username}@example.org`;
    const der = issueCertificate({
      issuer: authority.ca,
      issuerKey: authority.caKey,
      subjectSpki: key.spki,
      profile: { kind: "user", username, email },
      notBeforeMs: nowMs - hour,
      notAfterMs: nowMs + 24 * hour,
      random: systemRandom,
    });
    const certificate = decodeCertificate(der);
    const verified = verifyPath({
      leaf: certificate,
      intermediates: [],
      anchors: [authority.ca],
      crls: [],
      purpose: "client",
      atMs: nowMs,
    });
    created.push(
      store.accounts.create({
        email,
        username,
        passwordHash,
        certificate: certificateRecord(verified, "user"),
        nowMs,
      }),
    );
    members.push({ username, email, password, certificate, chain: [der], key });
  }
  await Promise.all(created);
  await store.close();
  return members;
}
