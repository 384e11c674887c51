import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Finished, runToEnd } from "../../src/cli/childProcess.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { type Crl, parseCrlFile } from "../../src/pki/crl.ts";
import { parsePem } from "../../src/pki/pem.ts";

/** How the command line is run from its sources: one process a command, as an operator has it. */
export const securechat: readonly string[] = [
  process.execPath,
  resolve(import.meta.dir, "../../bin/securechat.ts"),
];

export type Environment = Record<string, string>;

/** A line of the index, as far as tests look at it. */
export interface IndexLine {
  readonly type: string;
  readonly serial?: string;
  readonly name?: string;
  readonly kind?: string;
  readonly number?: number;
  readonly revoked?: { readonly at: number; readonly reason: string } | null;
}

/** A temporary folder in which `securechat` and, as an independent judge, `openssl` run. */
export class CliFolder {
  readonly root = mkdtempSync(join(tmpdir(), "securechat-cli-"));

  path(name: string): string {
    return join(this.root, name);
  }

  async run(commandLine: string, env: Environment = {}): Promise<Finished> {
    return await runToEnd([...securechat, ...words(commandLine)], { folder: this.root, env });
  }

  /** @returns what it printed on stdout; a failure fails the test */
  async succeed(commandLine: string, env: Environment = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(commandLine, env);
    if (exitCode !== 0) throw new Error(`securechat ${commandLine} ended with ${exitCode}:\n${stderr}`);
    return stdout;
  }

  /** @returns the exit code and what it said on stderr; a success fails the test */
  async fail(commandLine: string, env: Environment = {}): Promise<{ exitCode: number; stderr: string }> {
    const { exitCode, stderr } = await this.run(commandLine, env);
    if (exitCode === 0) throw new Error(`securechat ${commandLine} succeeded`);
    return { exitCode, stderr };
  }

  async openssl(commandLine: string): Promise<{ ok: boolean; output: string }> {
    const done = await runToEnd(["openssl", ...words(commandLine)], { folder: this.root });
    return { ok: done.exitCode === 0, output: done.stdout + done.stderr };
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  write(name: string, content: string | Uint8Array, mode = 0o600): void {
    writeFileSync(this.path(name), content, { mode });
  }

  certificates(name: string): Certificate[] {
    return parsePem(this.read(name), "CERTIFICATE").map((der) => decodeCertificate(der));
  }

  certificate(name: string): Certificate {
    const [first] = this.certificates(name);
    if (first === undefined) throw new Error(`no certificate in ${name}`);
    return first;
  }

  crl(name = "certs/ca_crl.pem"): Crl {
    return parseCrlFile(readFileSync(this.path(name)));
  }

  index(name = "certs/ca_index.jsonl"): IndexLine[] {
    const lines = this.read(name).split("\n");
    if (lines.pop() !== "") throw new Error("the index does not end with a line end");
    return lines.map((line) => JSON.parse(line) as IndexLine);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Splits at blanks; what stands in single quotes stays together. */
function words(commandLine: string): string[] {
  return [...commandLine.matchAll(/'([^']*)'|[^\s']+/g)].map(([whole, quoted]) => quoted ?? whole);
}
