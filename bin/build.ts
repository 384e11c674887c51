import { existsSync, mkdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * Compiles the one executable, dist/securechat: `bun bin/build.ts [--if-changed]`. With `--if-changed` an executable
 * that is newer than all sources stays.
 */
const root = resolve(import.meta.dir, "..");
const target = join(root, "dist/securechat");

function newestSourceMs(): number {
  let newest = 0;
  for (const pattern of ["src/**/*.ts", "bin/*.ts", "package.json", "bun.lock", "patches/*"])
    for (const file of new Bun.Glob(pattern).scanSync(root))
      newest = Math.max(newest, statSync(join(root, file)).mtimeMs);
  return newest;
}

if (
  !(
    process.argv.includes("--if-changed") &&
    existsSync(target) &&
    statSync(target).mtimeMs > newestSourceMs()
  )
) {
  mkdirSync(join(root, "dist"), { recursive: true });
  const temporary = `${target}.${process.pid}.tmp`;
  const started = new Date();
  // esm, because cjs byte code bakes build paths into import.meta; nothing is read from the working folder unasked.
  const child = Bun.spawnSync(
    [
      process.execPath,
      "build",
      "--compile",
      "--minify",
      "--bytecode",
      "--format=esm",
      "--splitting",
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
      "bin/securechat.ts",
      "--outfile",
      temporary,
    ],
    { cwd: root, stdout: "pipe", stderr: "pipe" },
  );
  if (child.exitCode !== 0) {
    process.stderr.write(child.stdout.toString() + child.stderr.toString());
    rmSync(temporary, { force: true });
    process.exit(1);
  }
  // A source that changes while this runs makes the executable an old one.
  utimesSync(temporary, started, started);
  renameSync(temporary, target);
  process.stderr.write(`built dist/securechat (${Math.round(statSync(target).size / 1e6)} MB)\n`);
}
