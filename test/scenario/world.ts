import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Subprocess } from "bun";
import { ChildProcess, type Finished } from "../../src/cli/childProcess.ts";
import { TerminalProcess } from "./terminalProcess.ts";

const root = resolve(import.meta.dir, "../..");
const given = process.env.SECURECHAT_EXECUTABLE;
/** What all scenarios run: the executable that this variable names, such as a release that is to be tried, or our own. */
export const executable = given === undefined ? join(root, "dist/securechat") : resolve(given);

if (given === undefined) {
  // Whoever runs one scenario alone gets the executable that belongs to the sources as they stand.
  const build = Bun.spawnSync([process.execPath, join(root, "bin/build.ts"), "--if-changed"], {
    stderr: "pipe",
  });
  if (build.exitCode !== 0) throw new Error(`the executable can't be built:\n${build.stderr}`);
}

/** For `setDefaultTimeout`, which holds for one file: no scenario waits for time, but a loaded machine may need some. */
export const patienceMs = 60_000;

export type Provider = "native" | "noble";

/** A line of `connect --json`. */
export type JsonEvent = Record<string, unknown>;

export interface RunOptions {
  readonly env?: Record<string, string>;
  /** Standard input; without it there is none. */
  readonly input?: string;
}

export interface JoinOptions {
  readonly args?: readonly string[];
  readonly to?: string;
  /** The first time: with an account of its own. */
  readonly register?: boolean;
  readonly provider?: Provider;
  /** As the client names the server. */
  readonly host?: string;
}

/** What a child gets of this process's environment: nothing of it may change what a scenario shows. */
export function environment(extra: Record<string, string> = {}): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "TMPDIR", "TZ", "SECURECHAT_CRYPTO"]) {
    const value = process.env[name];
    if (value !== undefined) out[name] = value;
  }
  return { ...out, ...extra };
}

/**
 * A temporary folder with an organisation's CA, one folder a party, and the processes of the compiled executable that a
 * test starts in there. `dispose` ends them all and removes the folder.
 */
export class World {
  readonly root = mkdtempSync(join(tmpdir(), "securechat-scenario-"));
  readonly #children: (ChildProcess | TerminalProcess)[] = [];
  readonly #running = new Set<Subprocess>();

  static async create(people: readonly string[] = ["alice", "bob"]): Promise<World> {
    const world = new World();
    try {
      await world.#found(people);
    } catch (error) {
      await world.dispose();
      throw error;
    }
    return world;
  }

  path(...parts: readonly string[]): string {
    return join(this.root, ...parts);
  }

  /** Runs a command of the executable in a party's folder, to its end. */
  run(folder: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.runProgram(this.path(folder), [executable, ...args], options);
  }

  /** Runs any program to its end. */
  async runProgram(
    folder: string,
    command: readonly string[],
    { env = {}, input }: RunOptions = {},
  ): Promise<Finished> {
    const child = Bun.spawn([...command], {
      cwd: folder,
      env: environment(env),
      stdin: input === undefined ? "ignore" : new TextEncoder().encode(input),
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#running.add(child);
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    this.#running.delete(child);
    return { exitCode, stdout, stderr };
  }

  async succeed(folder: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const done = await this.run(folder, args, options);
    if (done.exitCode !== 0)
      throw new Error(
        `securechat ${args.join(" ")} ended with ${done.exitCode}:\n${done.stdout}${done.stderr}`,
      );
    return done;
  }

  start(folder: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const child = new ChildProcess(folder, [executable, ...args], { folder: this.path(folder), env });
    this.#children.push(child);
    return child;
  }

  /** Starts the executable by way of a shell: `script` ends with `exec "$@"`. */
  startLimited(
    folder: string,
    script: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): ChildProcess {
    const command = ["sh", "-c", script, "sh", executable, ...args];
    const child = new ChildProcess(folder, command, { folder: this.path(folder), env });
    this.#children.push(child);
    return child;
  }

  /** Starts a command on a terminal of its own. */
  startOnTerminal(
    folder: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): TerminalProcess {
    const child = new TerminalProcess([executable, ...args], {
      folder: this.path(folder),
      env: environment(env),
    });
    this.#children.push(child);
    return child;
  }

  /** @returns the server and the port it listens on */
  async startServer(
    args: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<{ server: ChildProcess; port: number }> {
    const server = this.start("server", ["serve", "--host", "127.0.0.1", "--port", "0", ...args], env);
    const port = await server.waitFor("listening", (line) => /Server running on \S+:(\d+)/.exec(line)?.[1]);
    return { server, port: Number(port) };
  }

  /** Starts a client that speaks JSON and waits until it has logged in. @param ports of the server, or of its nodes */
  async join(
    name: string,
    ports: number | readonly number[],
    options: JoinOptions = {},
  ): Promise<ChildProcess> {
    const { args = [], to, register = true, provider = "native", host = "localhost" } = options;
    const client = this.start(
      name,
      [
        ...["connect", addressOf(ports, host), "--as", name, register ? "--register" : "--login", "--json"],
        ...(to === undefined ? [] : ["--to", to]),
        ...args,
      ],
      { ...passwordOf(name), SECURECHAT_CRYPTO: provider },
    );
    await client.waitForEvent(`${name}'s login`, ({ event }) => event === "authenticated");
    return client;
  }

  /** Runs a client to the end of its input. */
  chat(
    name: string,
    ports: number | readonly number[],
    args: readonly string[],
    { input = "", env = {} }: RunOptions = {},
  ): Promise<Finished> {
    return this.run(name, ["connect", addressOf(ports), "--as", name, ...args], {
      input,
      env: { ...passwordOf(name), ...env },
    });
  }

  async dispose(): Promise<void> {
    for (const child of this.#children) child.stop("SIGKILL");
    for (const child of this.#running) child.kill("SIGKILL");
    await Promise.all([...this.#children, ...this.#running].map((child) => child.exited));
    rmSync(this.root, { recursive: true, force: true });
  }

  async #found(people: readonly string[]): Promise<void> {
    for (const name of ["org", "server", ...people])
      mkdirSync(join(this.root, name, "certs"), { recursive: true });
    await this.succeed("org", ["ca", "init"]);
    const server = ["--server", "--cn", "localhost", "--ip", "127.0.0.1", "--dns", "localhost"];
    await this.succeed("org", ["issue", ...server, "--out", "certs/server"]);
    for (const name of people)
      await this.succeed("org", ["issue", "--cn", name, "--email", `${name}@example.org`]);
    for (const name of ["server", ...people])
      for (const file of ["ca_cert.pem", `${name}_cert.pem`, `${name}_key.pem`])
        copyFileSync(this.path("org", "certs", file), this.path(name, "certs", file));
  }
}

function addressOf(ports: number | readonly number[], host = "localhost"): string {
  return [ports]
    .flat()
    .map((port) => `${host}:${port}`)
    .join(",");
}

/** The environment variable with the password of this person's account. */
export function passwordOf(name: string): Record<string, string> {
  return { SECURECHAT_PASSWORD: `password of ${name}` };
}

/** @returns whether this event is a message with this text */
export function isMessage(text: string): (event: JsonEvent) => boolean {
  return (event) => event.event === "message" && event.text === text;
}

/** @returns the events that a client printed; throws for a line that is none */
export function eventsOf(stdout: string): JsonEvent[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonEvent);
}

/** Ends a client's input and waits for its countersigned receipt. @returns the evidence folder, as the client names it */
export async function quit(client: ChildProcess): Promise<{ folder: string; exitCode: number }> {
  client.endInput();
  const receipt = await client.waitForEvent(
    "countersigned receipt",
    ({ event, countersigned }) => event === "receipt" && countersigned === true,
  );
  return { folder: String(receipt.folder), exitCode: await client.exited };
}
