import { chownSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";

const folderPrefix = "securechat-postgres-";
const superuser = "securechat";

/** @returns the folder with `initdb` and `postgres`, newest version first, or `undefined` */
function findBinaries(): string | undefined {
  const folders: string[] = [];
  const config = Bun.which("pg_config");
  if (config !== null) folders.push(Bun.spawnSync([config, "--bindir"]).stdout.toString().trim());
  for (const root of ["/usr/lib/postgresql", "/usr/local/lib/postgresql"])
    if (existsSync(root))
      folders.push(
        ...readdirSync(root)
          .sort((a, b) => Number(b) - Number(a))
          .map((version) => join(root, version, "bin")),
      );
  const onPath = Bun.which("postgres");
  if (onPath !== null) folders.push(join(onPath, ".."));
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

/** Without PostgreSQL's server programs most of the backend can't be tested; root can have them installed. */
function installBinaries(): string | undefined {
  if (process.getuid?.() === 0 && Bun.which("apt-get") !== null) {
    process.stderr.write("PostgreSQL's server programs are missing: installing them with apt-get\n");
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    for (const args of [["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]])
      Bun.spawnSync(["apt-get", "--quiet", ...args], {
        env,
        stdin: "ignore",
        stdout: "ignore",
        stderr: "inherit",
      });
  }
  const found = findBinaries();
  if (found === undefined)
    process.stderr.write(
      "\n*** LEFT OUT: all tests of the PostgreSQL store. There is no PostgreSQL server on this machine; install the package postgresql. ***\n\n",
    );
  return found;
}

const binaries = findBinaries() ?? installBinaries();

/** Whether there is a PostgreSQL to test with; where not, that was said on standard error. */
export const hasPostgres = binaries !== undefined;

/**
 * A PostgreSQL of our own: a cluster in a temporary folder, on a free port of 127.0.0.1 and a socket in the folder, asking for a
 * password, with the durability that it has by default. It dies with this process, however that ends.
 */
export class PostgresServer {
  readonly folder: string;
  readonly port: number;
  readonly password = "a password, with 'quotes'";
  #child: Bun.Subprocess<"ignore", "ignore", number> | undefined;
  #databases = 0;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
  }

  /** @param settings lines for postgresql.conf */
  static async start(settings: readonly string[] = []): Promise<PostgresServer> {
    removeLeftovers();
    const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
    const server = new PostgresServer(folder, await freePort());
    const { uid, gid } = account();
    chownSync(folder, uid, gid);
    const passwordFile = join(folder, "password");
    writeFileSync(passwordFile, server.password);
    chownSync(passwordFile, uid, gid);
    const made = Bun.spawnSync(
      [
        program("initdb"),
        `--pgdata=${server.dataFolder}`,
        `--username=${superuser}`,
        `--pwfile=${passwordFile}`,
        ...["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"],
      ],
      { cwd: folder, uid, gid, stdout: "pipe", stderr: "pipe" },
    );
    if (made.exitCode !== 0) throw new Error(`initdb failed: ${made.stderr.toString()}`);
    server.configure([
      "listen_addresses = '127.0.0.1'",
      `port = ${server.port}`,
      `unix_socket_directories = '${folder}'`,
      "max_connections = 100",
      "shared_buffers = 64MB",
      "log_min_messages = warning",
      ...settings,
    ]);
    await server.run();
    return server;
  }

  get dataFolder(): string {
    return join(this.folder, "data");
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error("PostgreSQL is not running");
    return this.#child.pid;
  }

  /** Appends lines to postgresql.conf, for the next start. */
  configure(lines: readonly string[]): void {
    writeFileSync(join(this.dataFolder, "postgresql.conf"), `\n${lines.join("\n")}\n`, { flag: "a" });
  }

  /** Starts it, again after `kill` or `halt`, and waits until it lets somebody in. */
  async run(): Promise<void> {
    const { uid, gid } = account();
    const command = [program("postgres"), "-D", this.dataFolder];
    const setpriv = Bun.which("setpriv");
    // When this process dies, however it does, PostgreSQL gets QUIT, which ends it at once.
    const tied = setpriv === null ? command : [setpriv, "--pdeathsig", "QUIT", ...command];
    const log = openSync(join(this.folder, "log"), "a", 0o600);
    for (const deadline = performance.now() + 60_000; performance.now() < deadline; ) {
      // It gives up at once while processes of its killed predecessor are still going.
      if (this.#child === undefined || this.#child.exitCode !== null)
        this.#child = Bun.spawn(tied, { cwd: this.folder, uid, gid, stdio: ["ignore", "ignore", log] });
      if (this.#psql("postgres", "SELECT 1").exitCode === 0) return;
      await Bun.sleep(50);
    }
    throw new Error(`PostgreSQL did not start in ${this.folder}`);
  }

  /** As a power cut would, for its processes. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.exited;
    this.#child = undefined;
  }

  /** Halts all of its processes where they are, as a machine that hangs does. */
  suspend(): void {
    this.#signal("SIGSTOP");
  }

  resume(): void {
    this.#signal("SIGCONT");
  }

  #signal(signal: NodeJS.Signals): void {
    // The one that makes the others first: none may come after they were counted.
    process.kill(this.pid, signal);
    const children = Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(this.pid)]).stdout.toString();
    for (const line of children.split("\n")) if (line.trim() !== "") process.kill(Number(line), signal);
  }

  /** Stops it without waiting for clients. */
  async halt(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGINT");
    await child.exited;
    this.#child = undefined;
  }

  /** Stops it and removes the folder. */
  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** @returns the address of a new, empty database */
  createDatabase(options = ""): PostgresAddress {
    this.#databases += 1;
    const database = `test${this.#databases}`;
    this.sql("postgres", `CREATE DATABASE ${database} ${options}`);
    return this.address(database);
  }

  address(database: string): PostgresAddress {
    return {
      host: "127.0.0.1",
      port: this.port,
      database,
      user: superuser,
      password: this.password,
      sslMode: "disable",
      sslRootCertificate: undefined,
    };
  }

  /** Runs SQL with psql, as an independent client. @returns rows, columns separated by `|` */
  sql(database: string, statement: string): string[] {
    const { exitCode, stdout, stderr } = this.#psql(database, statement);
    if (exitCode !== 0) throw new Error(stderr.toString());
    return stdout
      .toString()
      .split("\n")
      .filter((line) => line !== "");
  }

  /** @returns the path of one of PostgreSQL's programs */
  program(name: string): string {
    return program(name);
  }

  #psql(database: string, statement: string) {
    return Bun.spawnSync(
      [
        program("psql"),
        ...["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"],
        ...[`--host=${this.folder}`, `--port=${this.port}`, `--username=${superuser}`],
        `--dbname=${database}`,
        `--command=${statement}`,
      ],
      { env: { ...process.env, PGPASSWORD: this.password }, stdout: "pipe", stderr: "pipe" },
    );
  }
}

function program(name: string): string {
  if (binaries === undefined) throw new Error("there is no PostgreSQL on this machine");
  return join(binaries, name);
}

/** PostgreSQL refuses to be root: then it is the system's `postgres`, or `nobody`. */
function account(): { uid: number; gid: number } {
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  if (own.uid !== 0) return own;
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = ["-u", "-g"].map((flag) => Bun.spawnSync(["id", flag, name]).stdout.toString().trim());
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error("no account to run PostgreSQL as");
}

/** Folders of test runs that were killed. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${folderPrefix}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ESRCH")
        rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
}

/** @returns a port of 127.0.0.1 that nobody listens on at the moment */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
