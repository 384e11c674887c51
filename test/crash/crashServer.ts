import { environment, executable, type World } from "../scenario/world.ts";
import { Ticks } from "./ticks.ts";
import { Victim } from "./victim.ts";

/** A server that is killed all the time, and started again on its port and database. */
export class CrashServer {
  /** Lines that it printed. */
  readonly ticks = new Ticks();
  readonly #world: World;
  #victim: Victim | undefined;
  #port = 0;
  #listening = Promise.withResolvers<void>();
  #isListening = false;
  #isOver = false;

  constructor(world: World) {
    this.#world = world;
  }

  get port(): number {
    return this.#port;
  }

  /** What to print when a run hangs. */
  get state(): string {
    return `server: ${this.#victim?.lastWords ?? "not running"}`;
  }

  listening(): Promise<void> {
    return this.#listening.promise;
  }

  /** One server after the other until `dispose`. @throws when one ends by itself */
  async run(): Promise<void> {
    while (!this.#isOver) {
      const victim = this.#start();
      this.#victim = victim;
      const exitCode = await victim.exited;
      this.#victim = undefined;
      if (exitCode !== undefined) throw new Error(`the server ended with ${exitCode}:\n${victim.lastWords}`);
    }
  }

  /** @returns whether there was one to kill */
  async kill(): Promise<boolean> {
    const victim = this.#victim;
    if (victim === undefined) return false;
    if (this.#isListening) this.#listening = Promise.withResolvers<void>();
    this.#isListening = false;
    await victim.kill();
    return true;
  }

  async dispose(): Promise<void> {
    this.#isOver = true;
    await this.kill();
  }

  #start(): Victim {
    this.ticks.tick();
    return new Victim([executable, "serve", "--host", "127.0.0.1", "--port", String(this.#port)], {
      folder: this.#world.path("server"),
      env: environment(),
      onLine: (line) => {
        this.ticks.tick();
        const port = /Server running on \S+:(\d+)/.exec(line)?.[1];
        if (port === undefined) return;
        this.#port = Number(port);
        this.#isListening = true;
        this.#listening.resolve();
      },
    });
  }
}
