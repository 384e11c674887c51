/** Runs the `openssl` program, the independent judge. */
export function openssl(...args: readonly string[]): { ok: boolean; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["openssl", ...args], {
    stdout: "pipe",
    stderr: "pipe",
  });
  return { ok: exitCode === 0, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Runs `openssl` and @throws when it fails */
export function requireOpenssl(...args: readonly string[]): string {
  const { ok, stdout, stderr } = openssl(...args);
  if (!ok) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
  return stdout;
}
