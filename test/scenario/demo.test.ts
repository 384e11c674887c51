import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finished } from "../../src/cli/childProcess.ts";
import { executable, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

describe("demo, with nothing but the executable in an empty folder", () => {
  let world: World;
  let done: Finished;
  let seconds: number;
  let stay: string;
  const folder = mkdtempSync(join(tmpdir(), "securechat-empty-"));

  beforeAll(async () => {
    world = new World();
    stay = world.path("kept");
    copyFileSync(executable, join(folder, "securechat"));
    const started = performance.now();
    done = await world.runProgram(folder, ["./securechat", "demo", "--keep", stay]);
    seconds = (performance.now() - started) / 1000;
  });

  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await world.dispose();
  });

  test("ends with exit code 0 in under 10 seconds", () => {
    expect([done.exitCode, done.stderr]).toEqual([0, ""]);
    expect(seconds).toBeLessThan(10);
  });

  test("tells its six steps, and that every check held", () => {
    expect(done.stdout.match(/^\d(?=\. )/gm)).toEqual(["1", "2", "3", "4", "5", "6"]);
    expect(done.stdout).not.toContain("✗");
    for (const claim of [
      "both transcripts are the same file, byte for byte",
      "the words are nowhere in the server's folder or log",
      "the tampered copy is refused",
      "the forged folder is refused",
    ])
      expect(done.stdout).toContain(`✓ ${claim}`);
  });

  test("leaves nothing where it was started", () => {
    expect(readdirSync(folder)).toEqual(["securechat"]);
  });

  test("names the evidence that it leaves, which proves what it said", async () => {
    expect(done.stdout).toContain(`The evidence is in ${join(stay, "auditor/evidence")}`);
    const auditor = join(stay, "auditor");
    const verify = (name: string, ...args: string[]) =>
      world.runProgram(auditor, [executable, "verify", name, ...args, "--ca", "ca_cert.pem"]);
    const genuine = await verify("evidence", "--disclosure", "disclosed.json");
    expect(genuine.exitCode).toBe(0);
    expect(genuine.stdout).toContain("Confirmed: 48 200, valid until Friday.");
    expect((await verify("tampered")).exitCode).toBe(1);
    expect((await verify("forged")).exitCode).toBe(1);
  });

  test("the command that it recommends works as it stands there", async () => {
    const command = /^ {3}(cd .* --ca ca_cert\.pem)$/m.exec(done.stdout)?.[1] ?? "false";
    const again = await world.runProgram(folder, ["sh", "-c", command]);
    expect(again.stdout).toStartWith("Verdict: VALID");
    expect(again.exitCode).toBe(0);
  });
});

describe("demo --keep", () => {
  let world: World;
  beforeAll(() => {
    world = new World();
  });
  afterAll(() => world.dispose());

  test("refuses a folder that is not empty, exit code 2, and leaves it as it is", async () => {
    mkdirSync(world.path("full"));
    writeFileSync(world.path("full/mine.txt"), "mine");
    const done = await world.runProgram(world.root, [executable, "demo", "--keep", "full"]);
    expect(done.stderr).toMatch(/^securechat: \/[^\n]*full is not empty\n$/);
    expect([done.exitCode, done.stdout]).toEqual([2, ""]);
    expect(readdirSync(world.path("full"))).toEqual(["mine.txt"]);
  });
});
