import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A temporary folder in which the `openssl` program works as an independent judge. */
export interface OpensslFolder extends Disposable {
  /** @returns the full path of a file written there */
  write(name: string, content: string | Uint8Array): string;
  path(name: string): string;
  /** Runs openssl in the folder. */
  run(...args: string[]): { ok: boolean; output: string };
}

export function opensslFolder(): OpensslFolder {
  const folder = mkdtempSync(join(tmpdir(), "securechat-openssl-"));
  return {
    path: (name) => join(folder, name),
    write(name, content) {
      writeFileSync(join(folder, name), content, { mode: 0o600 });
      return join(folder, name);
    },
    run(...args) {
      const { exitCode, stdout, stderr } = Bun.spawnSync(["openssl", ...args], {
        cwd: folder,
        stdin: "ignore",
      });
      return { ok: exitCode === 0, output: stdout.toString() + stderr.toString() };
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
