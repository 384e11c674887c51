import { setDefaultTimeout } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hex } from "../../src/base/hex.ts";
import { type Client, type ClientEvent, type ClientOptions, openClient } from "../../src/client/client.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { Person, TestServer } from "../server/testServer.ts";
import { TestLink } from "./testLink.ts";

// Several clients and a server with real keys, on a machine that others use too.
setDefaultTimeout(60_000);

type EventOf<T extends ClientEvent["event"]> = Extract<ClientEvent, { event: T }>;

/** A person with a folder of their own, and clients on it, one after the other. */
export class Party {
  readonly person: Person;
  readonly folder: string;
  readonly events: ClientEvent[] = [];
  readonly link: TestLink;
  /** Added to the client's clock, ms. */
  skewMs = 0;
  readonly #server: TestServer;
  #client: Client | undefined;
  #waiting: (() => void)[] = [];

  constructor(server: TestServer, person: Person) {
    this.person = person;
    this.folder = mkdtempSync(join(tmpdir(), `securechat-${person.username}-`));
    this.#server = server;
    this.link = new TestLink(() => server.port);
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error(`${this.person.username} has no client`);
    return this.#client;
  }

  get vaultFile(): string {
    return join(this.folder, "vault.db");
  }

  get transcripts(): string {
    return join(this.folder, "transcripts");
  }

  async open(options: Partial<ClientOptions> = {}): Promise<Client> {
    const { chain, key } = this.person;
    this.#client = await openClient({
      host: "127.0.0.1",
      port: this.link.port,
      chain,
      key,
      anchors: [this.#server.authority.ca],
      vaultFile: this.vaultFile,
      transcriptsFolder: this.transcripts,
      history: true,
      random: systemRandom,
      now: () => Date.now() + this.skewMs,
      onEvent: (event) => {
        this.events.push(event);
        for (const wake of this.#waiting.splice(0)) wake();
      },
      ...options,
    });
    return this.#client;
  }

  async register(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await this.open(options);
    await client.connect();
    const { email, username, password } = this.person;
    await client.register({ email, username, password });
    return client;
  }

  async login(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await this.open(options);
    await client.connect();
    const { email, password } = this.person;
    await client.login({ email, password });
    return client;
  }

  async quit(): Promise<void> {
    const client = this.client;
    this.#client = undefined;
    await client.quit();
  }

  /**
   * Kills the client now: cuts its connection, and goes on as a party that finds what was on the disk, the vault with its
   * write-ahead log and the transcripts.
   */
  kill(): Party {
    const next = new Party(this.#server, this.person);
    next.skewMs = this.skewMs;
    for (const name of ["vault.db", "vault.db-wal", "transcripts"])
      if (existsSync(join(this.folder, name)))
        cpSync(join(this.folder, name), join(next.folder, name), { recursive: true });
    this.link.cut();
    return next;
  }

  of<T extends ClientEvent["event"]>(type: T): EventOf<T>[] {
    return this.events.filter((event): event is EventOf<T> => event.event === type);
  }

  get texts(): string[] {
    return this.of("message").map(({ text }) => text);
  }

  /** Resolves when the condition holds after some event. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  folderOf(conversation: Hex): string {
    const found = this.client.conversations().find((one) => one.conversation === conversation);
    if (found === undefined) throw new Error("no such conversation");
    return join(this.transcripts, found.folder);
  }

  transcript(conversation: Hex): string {
    return readFileSync(join(this.folderOf(conversation), "transcript.jsonl"), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async dispose(): Promise<void> {
    this.link.cut();
    await this.#client?.quit().catch(() => undefined);
    this.link.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
