import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { createDevice, type Device } from "../../src/group/device.ts";
import { createKeyPackage, type KeyPackagePair } from "../../src/group/keyPackage.ts";
import type { Certificate } from "../../src/pki/certificate.ts";
import { type RunningServer, type ServerOptions, startServer } from "../../src/server/server.ts";
import type { LogLevel } from "../../src/server/serverLog.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";
import { RawClient } from "./rawClient.ts";

const day = 86_400_000;

/** A person with a certificate, a device key and a password. */
export interface Person {
  readonly username: string;
  readonly email: string;
  readonly password: string;
  readonly issued: Issued;
  readonly certificate: Certificate;
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  readonly device: Device;
}

export function newDevice({ chain, key }: Issued): Device {
  return createDevice({ chain, key, seed32: systemRandom(32), expiresMs: Date.now() + 100 * day });
}

export function newKeyPackage(
  device: Device,
  over: { lastResort?: boolean; notBeforeMs?: number; notAfterMs?: number } = {},
): Promise<KeyPackagePair> {
  return createKeyPackage({
    device,
    notBeforeMs: Date.now() - 3_600_000,
    notAfterMs: Date.now() + 30 * day,
    lastResort: false,
    random: systemRandom,
    ...over,
  });
}

/** A CA, a server certificate, a store on the disk, and servers on it, one after the other. */
export class TestServer {
  readonly authority: TestAuthority;
  readonly identity: Issued;
  readonly folder = mkdtempSync(join(tmpdir(), "securechat-server-"));
  readonly lines: { readonly level: LogLevel; readonly message: string }[] = [];
  /** Added to the server's clock, ms. */
  skewMs = 0;
  #frozenAtMs: number | undefined;
  /** Where the server keeps what it keeps. */
  openStore: () => Promise<Store>;
  /** Stands between the server and its store. */
  wrapStore: (store: Store) => Store = (store) => store;
  #running: RunningServer | undefined;
  #people = new Map<string, Person>();
  #clients: RawClient[] = [];

  private constructor(authority: TestAuthority, identity: Issued, openStore?: () => Promise<Store>) {
    this.authority = authority;
    this.identity = identity;
    this.openStore = openStore ?? (() => openSqliteStore({ file: this.file }));
  }

  /**
   * @param made the CA that users come from, the server's certificate and its store; by default of its own, of p256 keys, and a
   *   file in its folder
   */
  static async create(
    options: Partial<ServerOptions> = {},
    made: { authority?: TestAuthority; identity?: Issued; openStore?: () => Promise<Store> } = {},
  ): Promise<TestServer> {
    const authority = made.authority ?? (await createTestAuthority({ nowMs: Date.now() }));
    const identity = made.identity ?? (await authority.issueServer(["localhost", "127.0.0.1"]));
    const server = new TestServer(authority, identity, made.openStore);
    await server.start(options);
    return server;
  }

  get file(): string {
    return join(this.folder, "securechat.db");
  }

  get running(): RunningServer {
    if (this.#running === undefined) throw new Error("the server is stopped");
    return this.#running;
  }

  get port(): number {
    return this.running.port;
  }

  get log(): string {
    return this.lines.map(({ level, message }) => `[${level}] ${message}`).join("\n");
  }

  async start(options: Partial<ServerOptions> = {}): Promise<void> {
    const store = this.wrapStore(await this.openStore());
    try {
      this.#running = await startServer({
        host: "127.0.0.1",
        port: 0,
        chain: this.identity.chain,
        key: this.identity.key,
        anchors: [this.authority.ca],
        store,
        registration: "open",
        random: systemRandom,
        now: () => (this.#frozenAtMs ?? Date.now()) + this.skewMs,
        log: (level, message) => this.lines.push({ level, message }),
        ...options,
      });
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** From now on the server's clock moves by `skewMs` only, whatever the load of the machine. */
  freezeClock(): void {
    this.#frozenAtMs = Date.now();
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  /** Ends everything and removes the folder. */
  async dispose(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.stop();
    rmSync(this.folder, { recursive: true });
  }

  /** @returns the person of this name, the same one each time */
  async person(username: string): Promise<Person> {
    const known = this.#people.get(username);
    if (known !== undefined) return known;
    const person = await this.newPerson(username);
    this.#people.set(username, person);
    return person;
  }

  async newPerson(
    username: string,
    options: Parameters<TestAuthority["issueUser"]>[2] = {},
  ): Promise<Person> {
    const email = `${username}@example.org`;
    const issued = await this.authority.issueUser(username, email, options);
    return personOf(issued, username, email);
  }

  /** Shakes hands and no more. */
  async dial(person: Pick<Person, "chain" | "key">): Promise<RawClient> {
    const client = await RawClient.connect(this.port, person, { ca: this.authority.ca });
    this.#clients.push(client);
    return client;
  }

  async register(person: Person): Promise<RawClient> {
    const { email, username, password } = person;
    const client = await this.dial(person);
    await client.expect("authenticated", { type: "register", email, username, password });
    return client;
  }

  async login(person: Person): Promise<RawClient> {
    const { email, password } = person;
    const client = await this.dial(person);
    await client.expect("authenticated", { type: "login", email, password });
    return client;
  }
}

export function personOf(issued: Issued, username: string, email: string): Person {
  const { certificate, chain, key } = issued;
  const password = `password of ${username}`;
  return { username, email, password, issued, certificate, chain, key, device: newDevice(issued) };
}
