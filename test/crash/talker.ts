import { existsSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { TestLink } from "../client/testLink.ts";
import type { Prng } from "../fuzz/prng.ts";
import { environment, executable, type JsonEvent, passwordOf, type World } from "../scenario/world.ts";
import { Ticks } from "./ticks.ts";
import { parseEvent, Victim } from "./victim.ts";

/** Lines of one life that are typed and not accepted. */
const maxAhead = 8;
/** How a client may end that nobody killed: done, not countersigned yet, no connection; or refused, for one of two reasons: a
 *  killed registration has succeeded, or the other one is not there yet. */
const plainExits = [0, 3, 4];
const plainRefusals = ["error TAKEN", "error NO_SUCH_PERSON"];

/** A message that stands, as somebody says. */
export interface Placed {
  readonly index: number;
  readonly from: string;
  readonly seqno: number;
  readonly text: string;
}

interface Told extends Placed {
  readonly event: "sent" | "message";
  /** Which of the talker's clients told it. */
  readonly life: number;
}

/** Somebody who types without end at a client that is killed all the time, and starts it again on the same vault. */
export class Talker {
  readonly name: string;
  /** Chunks on the own cable and events that were printed. */
  readonly ticks = new Ticks();
  /** Texts in the order in which they were typed. */
  readonly typed: string[] = [];
  /** Those that the client said to have in its vault. */
  readonly kept = new Set<string>();
  /** Those of them whose vault was lost before anybody said that they stand. */
  readonly lost = new Set<string>();
  readonly told: Told[] = [];
  /** How often each warning, error and exit code came. */
  readonly noted = new Map<string, number>();
  readonly #world: World;
  readonly #peer: string;
  readonly #random: Prng;
  readonly #link: TestLink;
  readonly #serverIsUp: () => Promise<void>;
  #victim: Victim | undefined;
  #between: () => void = () => {};
  #isRegistered = false;
  #isTyping = true;
  #isOver = false;
  #hasLostVault = false;
  #ahead = 0;
  #life = 0;
  #gone = Promise.withResolvers<void>();
  #listeners: ((event: JsonEvent) => void)[] = [];

  constructor(options: {
    world: World;
    name: string;
    peer: string;
    random: Prng;
    port: () => number;
    serverIsUp: () => Promise<void>;
  }) {
    this.#world = options.world;
    this.name = options.name;
    this.#peer = options.peer;
    this.#random = options.random;
    this.#serverIsUp = options.serverIsUp;
    this.#link = new TestLink(options.port, () => this.ticks.tick());
  }

  get hasLostVault(): boolean {
    return this.#hasLostVault;
  }

  get #refusals(): number {
    return plainRefusals.reduce((sum, what) => sum + (this.noted.get(what) ?? 0), 0);
  }

  get vaultFile(): string {
    return this.#world.path(this.name, "certs", `${this.name}_vault.db`);
  }

  /** Evidence folders, the newest last. */
  get folders(): string[] {
    const root = this.#world.path(this.name, "transcripts");
    if (!existsSync(root)) return [];
    return readdirSync(root)
      .sort((a, b) => a.length - b.length || a.localeCompare(b))
      .map((folder) => join(root, folder));
  }

  /** One client after the other until `finish`. @throws when one ends as it should not */
  async run(): Promise<void> {
    while (!this.#isOver) {
      const victim = this.#start();
      this.#victim = victim;
      const refusals = this.#refusals;
      const exitCode = await victim.exited;
      this.#victim = undefined;
      this.#count(`exit ${exitCode ?? "killed"}`);
      const isRefused = exitCode === 1 && this.#refusals > refusals;
      if (exitCode !== undefined && !plainExits.includes(exitCode) && !isRefused)
        throw new Error(`${this.name}'s client ended with ${exitCode}:\n${victim.lastWords}`);
      this.#between();
      this.#between = () => {};
      if (exitCode === 4) await this.#serverIsUp();
    }
    this.#gone.resolve();
  }

  /** @param between what happens to the files before the next start @returns whether there was somebody to kill */
  async kill(between: () => void = () => {}): Promise<boolean> {
    const victim = this.#victim;
    if (victim === undefined) return false;
    this.#between = between;
    await victim.kill();
    return true;
  }

  /** To be called between two lives. */
  loseVault(): void {
    this.#hasLostVault = true;
    for (const ending of ["", "-wal", "-shm"]) rmSync(`${this.vaultFile}${ending}`, { force: true });
    const standing = new Set(this.told.map(({ text }) => text));
    for (const text of this.kept) if (!standing.has(text)) this.lost.add(text);
  }

  /** To be called between two lives: what a machine may leave that loses power, or a hand that slips. */
  tearFiles(): void {
    for (const folder of this.folders)
      for (const name of readdirSync(folder)) {
        const file = join(folder, name);
        // Receipts are flushed before they get their names.
        if (!name.startsWith("receipt") && this.#random.once(2))
          truncateSync(file, this.#random.below(1 + statSync(file).size));
      }
  }

  /** Ends the input of the client that runs, as `quit` does. */
  endInput(): void {
    this.#victim?.endInput();
  }

  /** Types this at one client after the other until it stands, each time with another number. */
  async insist(text: string): Promise<void> {
    for (let attempt = 1, isSent = false; !isSent; attempt++) {
      const words = `${this.name} ${text} ${attempt}`;
      const outcome = this.next(
        (event) => event.event === "authenticated" || (event.event === "sent" && event.text === words),
      );
      this.say(words);
      isSent = (await outcome).event === "sent";
    }
  }

  /** What to print when a run hangs. */
  get state(): string {
    const noted = JSON.stringify(Object.fromEntries(this.noted));
    return `${this.name}: ${noted}, ${this.typed.length} typed, ${this.kept.size} kept\n${this.#victim?.lastWords ?? "not running"}`;
  }

  stopTyping(): void {
    this.#isTyping = false;
  }

  /** Ends the last client. @returns when it has its receipt and is gone */
  async quit(): Promise<void> {
    this.#isOver = true;
    const receipt = this.next(({ event, countersigned }) => event === "receipt" && countersigned === true);
    this.endInput();
    await receipt;
    await this.#gone.promise;
  }

  /** @returns all messages whose words are here */
  async history(): Promise<Placed[]> {
    const answer = this.next(({ event }) => event === "history");
    this.type("/history 900000");
    const { messages } = (await answer) as { messages: JsonEvent[] };
    return messages.filter(({ text }) => text !== undefined).map(placedOf);
  }

  type(text: string): void {
    this.#victim?.type([text]);
  }

  say(text: string): void {
    this.typed.push(text);
    this.type(text);
  }

  /** @returns the next event that matches */
  next(matches: (event: JsonEvent) => boolean): Promise<JsonEvent> {
    return new Promise((resolve) => {
      const listener = (event: JsonEvent) => {
        if (!matches(event)) return;
        this.#listeners = this.#listeners.filter((one) => one !== listener);
        resolve(event);
      };
      this.#listeners.push(listener);
    });
  }

  async dispose(): Promise<void> {
    this.#isOver = true;
    await this.kill();
    this.#link.stop();
  }

  #start(): Victim {
    this.#ahead = 0;
    this.#life += 1;
    const victim = new Victim(
      [
        ...[executable, "connect", `localhost:${this.#link.port}`, "--as", this.name, "--to", this.#peer],
        ...["--json", this.#isRegistered ? "--login" : "--register"],
      ],
      {
        folder: this.#world.path(this.name),
        env: environment(passwordOf(this.name)),
        onLine: (line) => this.#note(parseEvent(line)),
      },
    );
    this.ticks.tick();
    this.#typeMore(victim);
    return victim;
  }

  #typeMore(victim = this.#victim): void {
    if (!this.#isTyping || victim === undefined) return;
    const lines: string[] = [];
    for (let left = this.#random.small(4); left > 0 && this.#ahead < maxAhead; left--) {
      lines.push(`${this.name} ${this.typed.length}`);
      this.typed.push(`${this.name} ${this.typed.length}`);
      this.#ahead += 1;
    }
    if (lines.length > 0) victim.type(lines);
  }

  #note(event: JsonEvent): void {
    this.ticks.tick();
    switch (event.event) {
      case "authenticated":
        this.#isRegistered = true;
        this.#typeMore();
        break;
      case "kept":
        this.kept.add(String(event.text));
        this.#typeMore();
        break;
      case "sent":
        this.#ahead -= 1;
        this.#tell("sent", { ...event, from: this.name });
        this.#typeMore();
        break;
      case "message":
        this.#tell("message", event);
        this.#typeMore();
        break;
      case "membership":
        this.#count(`membership ${event.action} by ${event.by}`);
        break;
      case "warning":
      case "error":
        this.#count(`${event.event} ${event.code}`);
        if (event.code === "TAKEN") this.#isRegistered = true;
    }
    for (const listener of this.#listeners) listener(event);
  }

  #tell(event: "sent" | "message", told: JsonEvent): void {
    this.told.push({ event, ...placedOf(told), life: this.#life });
  }

  #count(what: string): void {
    this.noted.set(what, (this.noted.get(what) ?? 0) + 1);
  }
}

function placedOf({ index, from, seqno, text }: JsonEvent): Placed {
  return { index: Number(index), from: String(from), seqno: Number(seqno), text: String(text) };
}
