import type { Subprocess } from "bun";
import type { ServerLog } from "../server/serverLog.ts";
import { exitCodes } from "./cliError.ts";

const firstDelayMs = 500;
const longestDelayMs = 30_000;
/** Who has lived so long is begun again as if it had never failed. */
const steadyMs = 60_000;
/** How long workers may take to end when they are told to. A server that stops takes no longer than 12 s. */
const stopMs = 20_000;

interface SupervisorOptions {
  readonly count: number;
  /** Starts a worker, from 1 to `count`. */
  readonly spawn: (worker: number) => Subprocess;
  readonly log: ServerLog;
}

/** Keeps a number of worker processes running: one that ends is followed by another, after a delay that grows. */
export class WorkerSupervisor {
  readonly #options: SupervisorOptions;
  readonly #children = new Map<number, Subprocess>();
  readonly #pauses = new Set<() => void>();
  readonly #unusable = Promise.withResolvers<number>();
  readonly #keepers: readonly Promise<void>[];
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#keepers = Array.from({ length: options.count }, (_, i) => this.#keep(i + 1));
  }

  /** Resolves with an exit code when no worker can work with what it was given; never otherwise. */
  get unusable(): Promise<number> {
    return this.#unusable.promise;
  }

  signal(signal: "SIGHUP"): void {
    for (const child of this.#children.values()) child.kill(signal);
  }

  /** Has all workers end, some by force. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const wake of this.#pauses) wake();
    for (const child of this.#children.values()) child.kill("SIGTERM");
    const force = setTimeout(() => {
      for (const child of this.#children.values()) child.kill("SIGKILL");
    }, stopMs);
    await Promise.all(this.#keepers);
    clearTimeout(force);
  }

  async #keep(worker: number): Promise<void> {
    const { log } = this.#options;
    let failures = 0;
    for (let generation = 1; !this.#stopping; generation++) {
      const startedMs = performance.now();
      const { how, exitCode } = await this.#run(worker);
      if (this.#stopping) return;
      // Settings that can't be used stay so. Later it may be a file that is just being written.
      if (generation === 1 && exitCode === exitCodes.usage) {
        log("ERROR", `Worker ${worker} can't start (${how})`);
        this.#unusable.resolve(exitCode);
        return;
      }
      if (performance.now() - startedMs >= steadyMs) failures = 0;
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16));
      failures += 1;
      log("ERROR", `Worker ${worker} has ended (${how}), another one starts in ${delayMs / 1000} s`);
      await this.#pause(delayMs);
    }
  }

  /** @returns how it ended; the system may have no room for another process at the moment */
  async #run(worker: number): Promise<{ how: string; exitCode?: number }> {
    let child: Subprocess;
    try {
      child = this.#options.spawn(worker);
    } catch (error) {
      return { how: error instanceof Error ? error.message : "it was not started" };
    }
    this.#children.set(worker, child);
    this.#options.log("INFO", `Worker ${worker} is process ${child.pid}`);
    const exitCode = await child.exited;
    this.#children.delete(worker);
    return { how: String(child.signalCode ?? `exit code ${exitCode}`), exitCode };
  }

  /** Resolves after `ms`, or earlier when everything ends. */
  async #pause(ms: number): Promise<void> {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#pauses.add(resolve);
      timer = setTimeout(() => {
        this.#pauses.delete(resolve);
        resolve();
      }, ms);
    });
    clearTimeout(timer);
  }
}
