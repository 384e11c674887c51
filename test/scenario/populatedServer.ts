import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { issueCertificate } from "../../src/pki/issue.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { certificateRecord } from "../../src/server/person.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";
import { encodePem } from "../server/pemFile.ts";
import { RawClient, RawSocket } from "../server/rawClient.ts";
import { newDevice, type Person } from "../server/testServer.ts";
import { executable } from "./world.ts";

/** Somebody who has an account. */
export interface Member {
  readonly username: string;
  readonly email: string;
  readonly password: string;
  readonly certificate: Certificate;
  readonly chain: readonly Uint8Array[];
  readonly key: Issued["key"];
}

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
export class PopulatedServer {
  readonly authority: TestAuthority;
  readonly identity: Issued;
  readonly members: readonly Member[];
  readonly #folder: string;
  readonly #pkcs8: Uint8Array;
  #process: Subprocess | undefined;
  #port = 0;

  private constructor(
    folder: string,
    made: { authority: TestAuthority; identity: Issued; members: Member[]; pkcs8: Uint8Array },
  ) {
    this.#folder = folder;
    this.#pkcs8 = made.pkcs8;
    this.authority = made.authority;
    this.identity = made.identity;
    this.members = made.members;
  }

  /** @param accounts how many; @param flags of `serve` */
  static async start(accounts: number, flags: readonly string[] = []): Promise<PopulatedServer> {
    const folder = mkdtempSync(join(tmpdir(), "securechat-populated-"));
    try {
      const authority = await createTestAuthority();
      const identity = await authority.issueServer(["localhost", "127.0.0.1"]);
      const pkcs8 = await crypto().generatePrivateKey("p256");
      const members = await populate(join(folder, "securechat.db"), { authority, pkcs8, accounts });
      const server = new PopulatedServer(folder, { authority, identity, members, pkcs8 });
      await server.#run(flags);
      return server;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  /** Whether the process still runs. */
  get isRunning(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Its log so far. */
  get log(): string {
    return readFileSync(join(this.#folder, "server.log"), "utf8");
  }

  footprint(): Footprint {
    const pid = this.#process?.pid ?? 0;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // proc(5): fields 14 and 15 of stat, in ticks of 10 ms; the name in field 2 may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      rss: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
      cpu: (Number(fields[11]) + Number(fields[12])) / 100,
    };
  }

  member(index: number): Member {
    const member = this.members[index];
    if (member === undefined) throw new Error(`there are ${this.members.length} accounts`);
    return member;
  }

  /** A person as the helpers for conversations know it. */
  person(index: number): Person {
    const member = this.member(index);
    const issued = { ...member, chain: [...member.chain], pkcs8: this.#pkcs8 };
    return { ...member, issued, device: newDevice(issued) };
  }

  /** @param from the address to connect from, in 127.0.0.0/8 */
  socket(from?: string): Promise<RawSocket> {
    return RawSocket.dial(this.port, from);
  }

  dial(member: Pick<Member, "chain" | "key">, from?: string): Promise<RawClient> {
    return RawClient.connect(this.port, member, { ca: this.authority.ca }, from);
  }

  async login(member: Member, from?: string): Promise<RawClient> {
    const client = await this.dial(member, from);
    const { email, password } = member;
    await client.expect("authenticated", { type: "login", email, password });
    return client;
  }

  async dispose(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run(flags: readonly string[]): Promise<void> {
    const { certificate, pkcs8 } = this.identity;
    const certs = join(this.#folder, "certs");
    mkdirSync(certs);
    writeFileSync(join(certs, "ca_cert.pem"), encodePem("CERTIFICATE", this.authority.ca.der));
    writeFileSync(join(certs, "server_cert.pem"), encodePem("CERTIFICATE", certificate.der));
    writeFileSync(join(certs, "server_key.pem"), encodePem("PRIVATE KEY", pkcs8), { mode: 0o600 });
    const command = [executable, "serve", "--host", "127.0.0.1", "--port", "0", ...flags];
    const log = Bun.file(join(this.#folder, "server.log"));
    const { PATH = "", HOME = "" } = process.env;
    this.#process = Bun.spawn(command, {
      cwd: this.#folder,
      env: { PATH, HOME, SECURECHAT_CRYPTO: crypto().name },
      stdin: "ignore",
      stdout: log,
      stderr: log,
    });
    while (this.#port === 0) {
      if (!this.isRunning) throw new Error(`the server did not start:\n${this.log}`);
      this.#port = Number(/Server running on \S+:(\d+)/.exec(this.log)?.[1] ?? 0);
      await Bun.sleep(20);
    }
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
