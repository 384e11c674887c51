import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { forkAt, without, withoutReceipts } from "./forkedEvidence.ts";
import { type Files, folderOf, type MadeEvidence, makeEvidence, pem } from "./madeEvidence.ts";

const program = resolve(import.meta.dir, "../../bin/securechat.ts");
let root: string;
let made: MadeEvidence;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "securechat-verify-"));
  made = await makeEvidence();
  const other = forkAt(made, 2);
  other.post(other.message(made.bob, { ts: other.now + 1 }));
  write("alice", made.files);
  write("bob", await folderOf({ ...made, conversation: other }));
  write("older", await folderOf({ ...made, conversation: forkAt(made, 3) }));
  write("bare", without(withoutReceipts(made.files), "checkpoints.jsonl"));
  write("elsewhere", (await makeEvidence(made.organisation)).files);
  writeFileSync(join(root, "ca.pem"), pem(made.organisation.ca));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(folder: string, files: Files): void {
  mkdirSync(join(root, folder));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(root, folder, name), bytes);
}

/** The real command line in a process of its own. */
async function verify(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return await verifyIn(".", ...args);
}

async function verifyIn(
  folder: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([process.execPath, program, "verify", ...args], {
    cwd: join(root, folder),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

describe("securechat verify A B", () => {
  test.each([
    ["alice", "alice", 0, "VALID"],
    ["alice", "older", 0, "VALID"],
    ["alice", "bob", 1, "FORK"],
    ["alice", "bare", 3, "INCOMPLETE"],
    ["alice", "elsewhere", 2, "UNRELATED"],
  ])("%s %s ends with %d %s", async (a, b, code, verdict) => {
    const done = await verify(a, b, "--ca", "ca.pem");
    expect([done.code, done.stderr]).toEqual([code, ""]);
    expect(done.stdout).toStartWith(`Verdict: ${verdict}`);
    const json = await verify(a, b, "--ca", "ca.pem", "--json");
    expect(json.code).toBe(code);
    expect(JSON.parse(json.stdout)).toMatchObject({ verdict: verdict.toLowerCase(), a: { name: a } });
  });

  test("writes the proof, which verifies by itself, and overwrites nothing", async () => {
    const done = await verify("alice", "bob", "--ca", "ca.pem", "--out", "proof");
    expect([done.code, done.stderr.includes("the proof is in proof")]).toEqual([1, true]);
    expect(readdirSync(join(root, "proof")).length).toBe(8);
    const proof = await verify("proof", "--ca", "ca.pem");
    expect([proof.code, proof.stdout.startsWith("Verdict: FORK")]).toEqual([1, true]);
    const json = await verify("proof", "--ca", "ca.pem", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ verdict: "fork", server: "chat.example.org" });
    expect((await verify("proof")).code).toBe(3);
    expect((await verify("alice", "bob", "--ca", "ca.pem", "--out", "proof")).code).toBe(2);
  });

  test("accuses no other server than the one that is demanded", async () => {
    await verify("alice", "bob", "--ca", "ca.pem", "--out", "accusation");
    for (const [server, code, verdict] of [
      ["Chat.Example.org", 1, "Verdict: FORK"],
      ["other.example.org", 1, "Verdict: INVALID"],
    ] as const)
      for (const folders of [["alice", "bob"], ["accusation"]]) {
        const done = await verify(...folders, "--ca", "ca.pem", "--server", server);
        expect([done.code, done.stdout.split(":", 2).join(":")]).toEqual([code, verdict]);
      }
  });

  test("writes nothing when nothing is proven", async () => {
    const done = await verify("alice", "older", "--ca", "ca.pem", "--out", "nothing");
    expect([done.code, done.stderr.includes("no proof")]).toEqual([0, true]);
    expect(existsSync(join(root, "nothing"))).toBe(false);
  });

  test("refuses what belongs to one folder, and a third one", async () => {
    expect((await verify("alice", "bob", "--transcript", "x")).code).toBe(2);
    expect((await verify("alice", "bob", "older")).code).toBe(2);
    expect((await verify("alice", "bob", "--receipt", "alice/receipt.json")).code).toBe(2);
    expect((await verify("alice", "nowhere")).code).toBe(2);
  });
});

describe("securechat verify FOLDER", () => {
  test("calls a transcript that can't be read unusable input, and not a false one", async () => {
    const done = await verify("alice", "--transcript", "bob", "--ca", "ca.pem");
    expect([done.code, done.stdout]).toEqual([2, ""]);
    expect(done.stderr).toStartWith("securechat: can't read bob: ");
  });

  test("takes certificates that the verifier brings in any form, also such as nothing needs", async () => {
    const text = Buffer.from(pem(made.alice.certificate)).toString();
    writeFileSync(join(root, "crlf.pem"), `Certificate of alice\r\n${text.replaceAll("\n", "\r\n")}${text}`);
    writeFileSync(join(root, "other.pem"), pem((await made.organisation.user("carol")).certificate));
    const done = await verify("alice", "--cert", "crlf.pem", "--cert", "other.pem", "--ca", "ca.pem");
    expect([done.code, done.stderr]).toEqual([0, ""]);
    write("uncertified", without(made.files, "certificates.pem"));
    expect((await verify("uncertified", "--cert", "crlf.pem", "--ca", "ca.pem")).code).toBe(0);
    writeFileSync(join(root, "broken.pem"), text.replace("END", "AND"));
    const broken = await verify("alice", "--cert", "broken.pem", "--ca", "ca.pem");
    expect([broken.code, broken.stdout]).toEqual([2, ""]);
  });

  test.each(["transcript.jsonl", "certificates.pem", "crl.pem", "receipt.p7s"])(
    "reads no link, pipe or folder in place of %s",
    async (name) => {
      for (const [folder, put] of [
        ["link", (path: string) => symlinkSync(join(root, "ca.pem"), path)],
        ["pipe", (path: string) => Bun.spawnSync(["mkfifo", path])],
        ["folder", (path: string) => mkdirSync(path)],
      ] as const) {
        const place = `${name}-${folder}`;
        write(place, without(made.files, name));
        put(join(root, place, name));
        const done = await verify(place, "--ca", "ca.pem");
        expect([place, done.code, done.stderr]).toEqual([
          place,
          2,
          `securechat: ${join(place, name)} is no regular file\n`,
        ]);
      }
    },
    30_000,
  );
});

describe("securechat verify without --ca", () => {
  const ca = "certs/ca_cert.pem";
  /** A folder with a CA of its maker's own where the default is looked for by whoever stands in it. */
  function writeWithCa(folder: string, files: Files): void {
    write(folder, files);
    mkdirSync(join(root, folder, "certs"));
    writeFileSync(join(root, folder, ca), pem(made.organisation.ca));
  }

  test("takes no anchor from the folder that the verifier stands in", async () => {
    writeWithCa("crafted", made.files);
    for (const args of [
      ["."],
      ["../crafted"],
      [".", "../alice"],
      ["../alice", "."],
      ["--receipt", "receipt.json"],
      ["--receipt", "../alice/receipt.json", "--transcript", "transcript.jsonl"],
    ]) {
      const done = await verifyIn("crafted", ...args);
      expect([args, done.code, done.stdout.slice(0, 19)]).toEqual([args, 3, "Verdict: INCOMPLETE"]);
      expect(done.stderr).toContain(`${ca} lies in the evidence itself`);
    }
    expect((await verifyIn("crafted", ".", "--ca", ca)).code).toBe(0);
    expect((await verifyIn("crafted", "../alice")).code).toBe(0);
  });

  test("takes none through a link in that folder, and none from a proof of a fork", async () => {
    write("linked", made.files);
    symlinkSync(join(root, "crafted", "certs"), join(root, "linked", "certs"));
    expect((await verifyIn("linked", ".")).code).toBe(3);
    await verify("alice", "bob", "--ca", "ca.pem", "--out", "accusation");
    mkdirSync(join(root, "accusation", "certs"));
    writeFileSync(join(root, "accusation", ca), pem(made.organisation.ca));
    const proof = await verifyIn("accusation", ".");
    expect([proof.code, proof.stdout.slice(0, 22)]).toEqual([3, "Verdict: INDETERMINATE"]);
  });
});
