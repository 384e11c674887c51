import { expect, test } from "bun:test";
import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasPostgres } from "./postgresServer.ts";

test.skipIf(!hasPostgres)(
  "PostgresServer dies with the process that started it, even when that is killed",
  async () => {
    const script = new URL("./startPostgresUntilKilled.ts", import.meta.url).pathname;
    const child = Bun.spawn([process.execPath, script], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await child.stdout.getReader().read();
    const pid = Number(new TextDecoder().decode(value).trim());
    expect(isRunning(pid)).toBe(true);
    child.kill("SIGKILL");
    await child.exited;
    while (isRunning(pid)) await Bun.sleep(20);
    for (const name of readdirSync(tmpdir()))
      if (name.startsWith(`securechat-postgres-${child.pid}-`))
        rmSync(join(tmpdir(), name), { recursive: true });
  },
  60_000,
);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
