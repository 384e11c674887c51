import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { encodeHex } from "../base/hex.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { type ChildOptions, ChildProcess, type Finished, runToEnd, selfCommand } from "./childProcess.ts";

/** What alice and bob say to each other, in this order. */
export const demoScript = [
  { from: "alice", text: "Hello bob, can you confirm the price of 48 200?" },
  { from: "alice", text: "The buyer decides today." },
  { from: "bob", text: "Confirmed: 48 200, valid until Friday." },
  { from: "alice", text: "Thank you, I pass it on." },
] as const;

/** Called before each command that the demonstration runs, with the folder it runs in and the command line. */
export type Narrate = (folder: string, commandLine: string) => void;

export interface Talk {
  /** Evidence folders of the two, complete with receipts. */
  readonly alice: string;
  readonly bob: string;
  /** alice's disclosure of bob's answer alone. */
  readonly disclosure: string;
  readonly serverLog: string;
}

/**
 * One organisation with its own folder for everybody: org has the CA, server, alice and bob have their own keys only.
 * All commands are separate processes of this program.
 */
export class DemoOrganisation {
  readonly #root: string;
  readonly #narrate: Narrate;

  constructor(root: string, narrate: Narrate) {
    this.#root = root;
    this.#narrate = narrate;
  }

  folder(name: string): string {
    return join(this.#root, name);
  }

  /** Makes the CA and three certificates, and hands each to its owner together with the CA certificate. */
  async found(): Promise<void> {
    const org = this.folder("org");
    for (const name of ["org", "server", "alice", "bob"])
      mkdirSync(join(this.folder(name), "certs"), { recursive: true });
    await this.#run("org", ["ca", "init", "--name", "Example Org CA"]);
    await this.#run("org", [
      "issue",
      "--server",
      "--cn",
      "localhost",
      "--ip",
      "127.0.0.1",
      "--dns",
      "localhost",
      "--out",
      "certs/server",
    ]);
    for (const name of ["alice", "bob"])
      await this.#run("org", ["issue", "--cn", name, "--email", `${name}@example.org`]);
    for (const name of ["server", "alice", "bob"])
      for (const file of ["ca_cert.pem", `${name}_cert.pem`, `${name}_key.pem`])
        copyFileSync(join(org, "certs", file), join(this.folder(name), "certs", file));
  }

  /** Starts the server, lets the two talk by the script, and ends everything in order. */
  async talk(): Promise<Talk> {
    const server = this.#start("server", ["serve", "--host", "127.0.0.1", "--port", "0"]);
    const port = await server.waitFor("listening", (line) => /Server running on \S+:(\d+)/.exec(line)?.[1]);
    const address = `localhost:${port}`;
    const bob = this.#start("bob", ["connect", address, "--as", "bob", "--register", "--json"]);
    await bob.waitForEvent("bob's login", ({ event }) => event === "authenticated");
    const alice = this.#start("alice", [
      "connect",
      address,
      "--as",
      "alice",
      "--register",
      "--to",
      "bob",
      "--json",
    ]);
    const both = { alice, bob };
    let disclosed = -1;
    for (const [index, { from, text }] of demoScript.entries()) {
      if (from === "bob" && demoScript.findIndex((line) => line.from === "bob") === index)
        bob.type("/to alice");
      both[from].type(text);
      const receiver = from === "alice" ? bob : alice;
      const message = await receiver.waitForEvent(
        `message ${index + 1}`,
        (event) => event.event === "message" && event.text === text,
      );
      if (from === "bob") disclosed = Number(message.index);
    }
    const disclosure = join(this.folder("alice"), "disclosed.json");
    alice.type(`/disclose ${disclosed} ${disclosure}`);
    const folders: Record<string, string> = {};
    // The last words were alice's: bob acknowledges them as he ends, and she still gets that.
    for (const [name, client] of Object.entries({ bob, alice })) {
      client.endInput();
      const receipt = await client.waitForEvent(
        `${name}'s countersigned receipt`,
        ({ event, countersigned }) => event === "receipt" && countersigned === true,
      );
      folders[name] = join(this.folder(name), String(receipt.folder));
      const exitCode = await client.exited;
      if (exitCode !== 0) throw new Error(`${name}'s client ended with ${exitCode}:\n${client.output}`);
    }
    server.stop();
    await server.exited;
    return {
      alice: folders.alice ?? "",
      bob: folders.bob ?? "",
      disclosure,
      serverLog: server.output,
    };
  }

  async #run(folder: string, args: readonly string[]): Promise<Finished> {
    this.#narrate(folder, `securechat ${args.map(quote).join(" ")}`);
    const done = await runToEnd([...selfCommand(), ...args], { folder: this.folder(folder) });
    if (done.exitCode !== 0)
      throw new Error(`securechat ${args.join(" ")} ended with ${done.exitCode}:\n${done.stderr}`);
    return done;
  }

  #start(folder: string, args: readonly string[]): ChildProcess {
    this.#narrate(folder, `securechat ${args.map(quote).join(" ")}`);
    const options: ChildOptions = {
      folder: this.folder(folder),
      // Everybody has a password of their own, gone with the demonstration.
      env: { SECURECHAT_PASSWORD: encodeHex(systemRandom(16)) },
    };
    return new ChildProcess(folder, [...selfCommand(), ...args], options);
  }
}

function quote(argument: string): string {
  return /^[A-Za-z0-9_./:@=-]+$/.test(argument) ? argument : `'${argument}'`;
}
