import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import type { ChildProcess, Finished } from "../../src/cli/childProcess.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { parsePem } from "../../src/pki/pem.ts";
import type { AlertCode } from "../../src/wire/handshakeMessages.ts";
import { type TestAuthority, testAuthorityOf } from "../pki/testAuthority.ts";
import { type Credential, readCredential } from "../scenario/serverHere.ts";
import { World } from "../scenario/world.ts";
import { type Identity, RawClient } from "../server/rawClient.ts";
import { TestConversation } from "../server/testConversation.ts";
import { type Person, personOf } from "../server/testServer.ts";

/** Where a refused post would have to be seen. */
interface Onlookers {
  readonly conversation: Hex;
  /** A member other than the one who posts. */
  readonly others: RawClient;
}

/** What a process keeps: rows by table, SHA-256 by file. Two of them are equal when nothing has changed. */
export type Kept = Readonly<Record<string, readonly string[]>>;

/**
 * A server that really runs, an organisation whose CA key is at hand, and peers that speak the protocol by hand: they can say
 * what no client of ours would.
 */
export class HostilePeers {
  readonly world: World;
  readonly authority: TestAuthority;
  readonly identity: Credential;
  readonly server: ChildProcess;
  readonly port: number;
  readonly #clients: RawClient[] = [];
  #pairs = 0;

  private constructor(
    world: World,
    files: { authority: TestAuthority; identity: Credential },
    running: { server: ChildProcess; port: number },
  ) {
    this.world = world;
    this.authority = files.authority;
    this.identity = files.identity;
    this.server = running.server;
    this.port = running.port;
  }

  /** @param people who have certificate files and run the executable */
  static async create(
    people: readonly string[] = [],
    serve: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<HostilePeers> {
    const world = await World.create(people);
    try {
      const { certificate } = await readCredential(world.path("org/certs/ca"));
      const [caPkcs8 = new Uint8Array(0)] = parsePem(
        readFileSync(world.path("org/certs/ca_key.pem"), "utf8"),
        "PRIVATE KEY",
      );
      const authority = testAuthorityOf(certificate, caPkcs8);
      const identity = await readCredential(world.path("server/certs/server"));
      return new HostilePeers(world, { authority, identity }, await world.startServer(serve, env));
    } catch (error) {
      await world.dispose();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.world.dispose();
  }

  async person(name: string): Promise<Person> {
    const email = `${name}@example.org`;
    return personOf(await this.authority.issueUser(name, email), name, email);
  }

  /** Shakes hands and no more. */
  async dial(identity: Identity): Promise<RawClient> {
    const client = await RawClient.connect(this.port, identity, { ca: this.authority.ca });
    this.#clients.push(client);
    return client;
  }

  async register(person: Person): Promise<RawClient> {
    const { email, username, password } = person;
    const client = await this.dial(person);
    await client.expect("authenticated", { type: "register", email, username, password });
    return client;
  }

  /** Two people who are connected, with a direct conversation of one entry. */
  async pair() {
    this.#pairs += 1;
    const [alice, bob] = [await this.person(`alice${this.#pairs}`), await this.person(`bob${this.#pairs}`)];
    const [aliceClient, bobClient] = [await this.register(alice), await this.register(bob)];
    const conversation = new TestConversation(this, alice, bob);
    await conversation.post(aliceClient, await conversation.create(aliceClient, alice, [bob]));
    await bobClient.push("pushed");
    return { alice, bob, aliceClient, bobClient, conversation };
  }

  /** @returns the alert with which the server refuses a handshake, and what it logged about it */
  async refusedHandshake(identity: Identity): Promise<{ alert: AlertCode | undefined; log: string }> {
    const before = this.server.output.length;
    try {
      await this.dial(identity);
    } catch (error) {
      if (!(error instanceof ChannelError) || error.code !== "PEER_ALERT") throw error;
      const said = "Client disconnected: ";
      const isNew = (line: string) => line.includes(said) && this.server.output.indexOf(line) >= before;
      const line = await this.server.waitFor("the end of the session in the log", (one) =>
        isNew(one) ? one : undefined,
      );
      return { alert: error.alert, log: line.slice(line.indexOf(said) + said.length) };
    }
    throw new Error("the handshake was accepted");
  }

  /**
   * Posts a line that must be refused, and demands that nothing has come of it: not in the store, nor in the files, nor in
   * the log as its members see it, nor in anybody's inbox.
   *
   * @returns the code of the refusal
   */
  async refusedPost(from: RawClient, line: string, { conversation, others }: Onlookers): Promise<string> {
    const look = async () => {
      const request = { type: "fetch_entries", conversation, from: 0, limit: 256 } as const;
      const { entries, checkpoint } = await others.expect("entries", request);
      return { kept: this.kept(), entries, root: checkpoint.root, pushes: others.pendingPushes };
    };
    const before = await look();
    const code = await from.refusalCode({ type: "post", line });
    expect(await look()).toEqual(before);
    return code;
  }

  /** How many sessions have begun so far. */
  get sessions(): number {
    return this.server.output.split("] Client connected from ").length - 1;
  }

  /** Waits until so many sessions have ended: from then on nothing of them is under way in the server. */
  async ended(sessions: number): Promise<void> {
    let count = 0;
    await this.server.waitFor(`the end of ${sessions} sessions`, (line) => {
      if (line.includes("] Client disconnected: ")) count += 1;
      return count >= sessions ? count : undefined;
    });
  }

  /** Everything that the server has kept. */
  kept(): Kept {
    return { ...keptFiles(this.world.path("server")), ...keptRows(this.world.path("server/securechat.db")) };
  }

  /** Runs the executable's client to the end of its input. */
  chat(name: string, port: number, args: readonly string[], input = ""): Promise<Finished> {
    return this.world.chat(name, port, [...args, "--json"], { input });
  }
}

/**
 * The rows of every table of a SQLite file, which a process may have open, but for how many bytes somebody has asked to be
 * stored: what is refused counts in that, too.
 */
export function keptRows(file: string): Kept {
  using database = new Database(file, { readonly: true });
  const tables = database
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all();
  const rowsOf = (name: string) =>
    database
      .query<Record<string, unknown>, []>(`SELECT * FROM "${name}"`)
      .all()
      .filter(({ subject }) => !String(subject).startsWith("storage:"))
      .map((row) =>
        JSON.stringify(row, (_, value) => (value instanceof Uint8Array ? encodeHex(sha256(value)) : value)),
      );
  return Object.fromEntries(tables.map(({ name }) => [`table ${name}`, rowsOf(name)]));
}

/** The files of a folder and those below it, but for databases, which are looked at by their rows. */
export function keptFiles(folder: string): Kept {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.db(-wal|-shm|-journal|-lock)?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(files.map((file) => [file, [encodeHex(sha256(readFileSync(file)))]]));
}
