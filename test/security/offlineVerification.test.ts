import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Report } from "../../src/evidence/report.ts";
import { isMessage, patienceMs, quit, World } from "../scenario/world.ts";

/*
 * The fourth heading of the original's security tests, test_security_offline_verify.py, under its five names: `verify` and OpenSSL
 * on the evidence of a session of the running executables, after every key, vault and server is gone. A change of each byte of
 * each file is tried in test/scenario/verify.test.ts, evidence that a forger makes with good keys in test/evidence.
 */

setDefaultTimeout(patienceMs);

const talk = ["first", "second, with a | and a ||", "third: 🙂", "fourth", "fifth", "sixth"];

let world: World;
/** The evidence folders as both sides wrote them. */
const folders = { alice: "", bob: "" };
let copies = 0;

beforeAll(async () => {
  world = await World.create();
  const { server, port } = await world.startServer();
  const bob = await world.join("bob", port);
  const alice = await world.join("alice", port, { to: "bob" });
  for (const [i, text] of talk.entries()) {
    const [from, to] = i % 2 === 0 ? [alice, bob] : [bob, alice];
    if (i === 1) bob.type("/to alice");
    from.type(text);
    await to.waitForEvent(text, isMessage(text));
  }
  alice.type(`/disclose all ${world.path("words.json")}`);
  await alice.waitForEvent("the disclosure", ({ event }) => event === "disclosed");
  folders.bob = world.path("bob", (await quit(bob)).folder);
  folders.alice = world.path("alice", (await quit(alice)).folder);
  server.stop();
  await server.exited;
  for (const name of ["alice", "bob", "server"]) rmSync(world.path(name, "certs"), { recursive: true });
  rmSync(world.path("server/securechat.db"));
  rmSync(world.path("org/certs/ca_key.pem"));
});
afterAll(() => world?.dispose());

const file = (folder: string, name: string) => `${folder}/${name}`;

async function judge(
  folder: string,
  ...more: readonly string[]
): Promise<{ exitCode: number; report: Report }> {
  const { exitCode, stdout, stderr } = await world.run("org", ["verify", folder, ...more, "--json"]);
  expect(stderr).toBe("");
  return { exitCode, report: JSON.parse(stdout) as Report };
}

interface Outcome {
  readonly exitCode: number;
  readonly verdict: string;
  readonly codes: readonly string[];
}

/** What the evidence is called when one file of a copy is as `change` makes it. */
const otherDigit = (digit: string) => (digit === "9" ? "8" : "9");
const otherLetter = (letter: string) => (letter === "A" ? "B" : "A");

async function changed(name: string, change: (content: Buffer) => Buffer | string): Promise<Outcome> {
  const folder = world.path(`copy-${copies++}`);
  cpSync(folders.alice, folder, { recursive: true });
  const before = readFileSync(file(folder, name));
  const after = change(before);
  expect(Buffer.from(after).equals(before)).toBe(false);
  writeFileSync(file(folder, name), after);
  const { exitCode, report } = await judge(folder);
  const codes = report.findings.filter(({ level }) => level === "error").map(({ code }) => code);
  return { exitCode, verdict: report.verdict, codes };
}

const refused = (...codes: readonly string[]): Outcome => ({
  exitCode: 1,
  verdict: "invalid",
  codes: expect.arrayContaining([...codes]),
});

const lines = (change: (lines: string[]) => readonly string[]) => (content: Buffer) =>
  `${change(content.toString().trimEnd().split("\n")).join("\n")}\n`;
const edit = (index: number, change: (line: string) => string) =>
  lines((all) => all.map((line, i) => (i === index ? change(line) : line)));

describe("test_security_offline_verify: verify", () => {
  test("test_basic_offline_verification: says valid, and OpenSSL says so of the receipt and of an entry", async () => {
    const { exitCode, report } = await judge(folders.alice);
    expect([exitCode, report.verdict]).toEqual([0, "valid"]);
    const ca = world.path("org/certs/ca_cert.pem");
    const openssl = (...args: string[]) => world.runProgram(folders.alice, ["openssl", ...args]);
    const receipt = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "receipt.p7s", "-CAfile", ca];
    const good = await openssl(...receipt, "-content", "receipt.json", "-out", "/dev/null");
    expect([good.exitCode, good.stderr]).toEqual([0, expect.stringContaining("successful")]);
    const bad = await openssl(...receipt, "-content", "transcript.jsonl", "-out", "/dev/null");
    expect(bad.exitCode).not.toBe(0);
    // What the receipt says of the transcript is what sha256sum says.
    const { size, transcript_sha256 } = JSON.parse(readFileSync(file(folders.alice, "receipt.json"), "utf8"));
    const prefix = ["sh", "-c", `head -n ${size} transcript.jsonl | sha256sum`];
    expect((await world.runProgram(folders.alice, prefix)).stdout).toStartWith(transcript_sha256);
  });

  test("test_tampered_transcript_detection: an entry changed, added, taken out, twice or elsewhere", async () => {
    const transcript = (change: (content: Buffer) => string) => changed("transcript.jsonl", change);
    const entry = refused("ENTRY_REFUSED");
    expect(await transcript(edit(2, (line) => line.replace('"seqno":', '"seqno":1')))).toEqual(entry);
    expect(await transcript(edit(2, (line) => line.replace(/(?<="at":\d+)\d(?!\d)/, otherDigit)))).toEqual(
      entry,
    );
    expect(await transcript(edit(2, (line) => line.replace(/(?<="ct":")./, otherLetter)))).toEqual(entry);
    expect(
      await transcript(lines((all) => [...all, "99|9999|tampered_ct|tampered_sig|tampered_fp"])),
    ).toEqual(entry);
    expect(await transcript(lines((all) => [...all, all.at(-1) ?? ""]))).toEqual(entry);
    expect(await transcript(lines((all) => all.filter((_, i) => i !== 3)))).toEqual(entry);
    expect(await transcript(lines(([a = "", b = "", c = "", ...rest]) => [a, c, b, ...rest]))).toEqual(entry);
  });

  test("test_tampered_signature_detection: of an entry, of the receipt, and of a checkpoint", async () => {
    expect(
      await changed(
        "transcript.jsonl",
        edit(2, (line) => line.replace(/(?<="sig":".{20})./, otherLetter)),
      ),
    ).toEqual(refused("ENTRY_REFUSED"));
    const flipAt = (at: number) => (content: Buffer) => {
      const out = Buffer.from(content);
      out[at] = (out[at] ?? 0) ^ 1;
      return out;
    };
    const size = readFileSync(file(folders.alice, "receipt.p7s")).length;
    for (const at of [size - 1, Math.floor(size / 2), 40])
      expect(await changed("receipt.p7s", flipAt(at))).toEqual(refused("SIGNED_DATA_REFUSED"));
    const checkpoint = edit(0, (line) => line.replace(/(?<="sig":".{20})./, otherLetter));
    expect(await changed("checkpoints.jsonl", checkpoint)).toEqual(refused("CHECKPOINT_REFUSED"));
  });

  test("test_multiple_messages_verification: proves the words of all messages, their authors and their order", async () => {
    const { exitCode, report } = await judge(folders.alice, "--disclosure", world.path("words.json"));
    expect([exitCode, report.verdict, report.messages]).toEqual([0, "valid", talk.length]);
    expect(report.words.map(({ username, text }) => `${username}: ${text}`)).toEqual(
      talk.map((text, i) => `${i % 2 === 0 ? "alice" : "bob"}: ${text}`),
    );
    expect(report.withheld).toEqual([]);
    // Verifying changes nothing and says the same as often as it is asked.
    expect(await judge(folders.alice, "--disclosure", world.path("words.json"))).toEqual({
      exitCode,
      report,
    });
  });

  test("test_client_and_server_receipts: both sides' folders are valid, with their own and the server's signature", async () => {
    for (const [name, folder] of Object.entries(folders)) {
      const { exitCode, report } = await judge(folder);
      expect([name, exitCode, report.verdict]).toEqual([name, 0, "valid"]);
      const signers = report.receipts.flatMap(({ signers: all }) =>
        all.map((one) => `${one.role} ${one.name}`),
      );
      expect(signers).toEqual(expect.arrayContaining([`member ${name}`, "server localhost"]));
    }
    const done = await world.run("org", ["verify", folders.alice, folders.bob, "--json"]);
    expect(done.exitCode).toBe(0);
  });

  test("a receipt with another range, member, size or server is none", async () => {
    const receipt = (from: RegExp, to: string) =>
      changed("receipt.json", (content) => content.toString().replace(from, to));
    for (const [from, to, code] of [
      [/"last_seq":\d+/, '"last_seq":77', "STATEMENT_MISMATCH"],
      [/"first_seq":\d+/, '"first_seq":77', "STATEMENT_MALFORMED"],
      [/"username":"bob"/, '"username":"eve"', "STATEMENT_MISMATCH"],
      [/"size":\d+/, '"size":1', "STATEMENT_MISMATCH"],
      [/"transcript_sha256":"../, '"transcript_sha256":"00', "STATEMENT_MISMATCH"],
      [/"name":"localhost"/, '"name":"elsewhere"', "STATEMENT_MISMATCH"],
    ] as const)
      expect([to, await receipt(from, to)]).toEqual([to, refused(code)]);
  });
});
