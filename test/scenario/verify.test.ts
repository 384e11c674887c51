import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Finished } from "../../src/cli/childProcess.ts";
import type { Finding, Report } from "../../src/evidence/report.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { parsePem } from "../../src/pki/pem.ts";
import { executable, isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

/** What a terminal would obey: a colour, the bell, a line of its own, text that runs backwards. */
const hostile = "plain \u001b[31mred\u001b]0;title\u0007 \u202ebackwards\u0000 end";
const answer = "an answer in two forms: 🙂";
const files = ["certificates.pem", "checkpoints.jsonl", "receipt.json", "receipt.p7s", "transcript.jsonl"];

/** @returns alice's evidence folder, with one more file that discloses both messages */
async function converse(world: World): Promise<string> {
  const { server, port } = await world.startServer();
  const bob = await world.join("bob", port);
  const alice = await world.join("alice", port, { to: "bob" });
  alice.type(hostile);
  await bob.waitForEvent("alice's message", isMessage(hostile));
  bob.type("/to alice");
  bob.type(answer);
  await alice.waitForEvent("bob's answer", isMessage(answer));
  alice.type(`/disclose all ${world.path("disclosed.json")}`);
  await alice.waitForEvent("the disclosure", ({ event }) => event === "disclosed");
  await quit(bob);
  const { folder } = await quit(alice);
  server.stop();
  await server.exited;
  return world.path("alice", folder);
}

function caOf(world: World): string {
  return world.path("org/certs/ca_cert.pem");
}

const canUnshare = [
  ["unshare", "-n"],
  ["unshare", "-rn"],
].find((command) => Bun.which("unshare") !== null && Bun.spawnSync([...command, "true"]).exitCode === 0);
if (canUnshare === undefined)
  console.error(
    "SKIPPED: this machine lets nobody make a network namespace, so `verify` without a network was NOT shown",
  );

describe("verify", () => {
  let world: World;
  /** alice's folder as she has it; every test works on a copy. */
  let original: string;
  let copies = 0;

  beforeAll(async () => {
    world = await World.create();
    original = await converse(world);
    // From here on nobody has a key, a vault or a server.
    for (const name of ["alice", "bob", "server"]) rmSync(world.path(name, "certs"), { recursive: true });
    for (const name of readdirSync(world.path("server"))) rmSync(world.path("server", name));
    rmSync(world.path("org/certs/ca_key.pem"));
  });
  afterAll(() => world?.dispose());

  /** @returns a folder with a copy of the evidence in `evidence`, the disclosure and the CA certificate, and no more */
  function auditor(): string {
    const folder = world.path(`auditor-${copies++}`);
    mkdirSync(folder);
    cpSync(original, join(folder, "evidence"), { recursive: true });
    copyFileSync(world.path("disclosed.json"), join(folder, "disclosed.json"));
    copyFileSync(caOf(world), join(folder, "ca_cert.pem"));
    return folder;
  }

  function verify(folder: string, ...args: readonly string[]): Promise<Finished> {
    return world.run(basename(folder), ["verify", ...args]);
  }

  async function report(
    folder: string,
    ...args: readonly string[]
  ): Promise<{ report: Report; exitCode: number }> {
    const { exitCode, stdout, stderr } = await verify(folder, ...args, "--json");
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toHaveLength(2);
    return { report: JSON.parse(stdout) as Report, exitCode };
  }

  const errorsIn = ({ findings }: Report) => findings.filter(({ level }: Finding) => level === "error");

  test("the evidence of a session is these files", () => {
    expect(readdirSync(original).sort()).toEqual(files);
  });

  test.skipIf(canUnshare === undefined)("says valid without any network, key, vault or server", async () => {
    const folder = auditor();
    const args = ["verify", "evidence", "--disclosure", "disclosed.json", "--ca", "ca_cert.pem"];
    const done = await world.runProgram(folder, [...(canUnshare ?? []), executable, ...args]);
    expect(done.stdout).toStartWith("Verdict: VALID");
    expect([done.exitCode, done.stderr]).toEqual([0, ""]);
  });

  test("tells a reader who has signed for what, which words are proven, and that more may exist", async () => {
    const { stdout } = await verify(
      auditor(),
      "evidence",
      "--disclosure",
      "disclosed.json",
      "--ca",
      "ca_cert.pem",
    );
    expect(stdout).toMatch(/^Conversation {2}[0-9a-f]{32} \(direct\) on localhost$/m);
    expect(stdout).toMatch(/^CA {12}CN=SecureChat Root CA, yours$/m);
    expect(stdout).toMatch(
      /^ {2}alice <alice@example\.org>: 1 messages?; has signed for entries 0 to 3; receipt over 4, countersigned 2/m,
    );
    // bob ended first; what he saw later he has not signed for.
    expect(stdout).toMatch(/^ {2}bob <bob@example\.org>: 1 messages?; has signed for entries 0 to 1; /m);
    expect(stdout).toContain(`      | ${answer}\n`);
    expect(stdout).toContain("Later entries may exist");
    expect(stdout).not.toContain("Withheld");
  });

  test("says which words are withheld where none are disclosed", async () => {
    const { stdout } = await verify(auditor(), "evidence", "--ca", "ca_cert.pem");
    expect(stdout).toMatch(/^Withheld {6}the words of messages 1-2: not disclosed here$/m);
    expect(stdout).not.toContain(answer);
  });

  test("shows control characters of words and never obeys them", async () => {
    const { stdout } = await verify(
      auditor(),
      "evidence",
      "--disclosure",
      "disclosed.json",
      "--ca",
      "ca_cert.pem",
    );
    expect(stdout).toContain(
      "      | plain \\u{1b}[31mred\\u{1b}]0;title\\u{7} \\u{202e}backwards\\u{0} end\n",
    );
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
  });

  test("prints one JSON object with --json, and the same verdict", async () => {
    const { report: found, exitCode } = await report(
      auditor(),
      ...["evidence", "--disclosure", "disclosed.json", "--ca", "ca_cert.pem"],
    );
    expect(exitCode).toBe(0);
    expect(found).toMatchObject({
      verdict: "valid",
      kind: "direct",
      server: "localhost",
      messages: 2,
      withheld: [],
    });
    expect(found.words.map(({ index, username, text }) => [index, username, text])).toEqual([
      [1, "alice", hostile],
      [2, "bob", answer],
    ]);
    const [receipt] = found.receipts;
    expect(receipt?.signers.map(({ name, role }) => `${role} ${name}`).sort()).toEqual(
      expect.arrayContaining(["member alice", "server localhost"]),
    );
  });

  test("takes the trust anchor from certs/ca_cert.pem when there is no --ca", async () => {
    const folder = auditor();
    mkdirSync(join(folder, "certs"));
    copyFileSync(join(folder, "ca_cert.pem"), join(folder, "certs/ca_cert.pem"));
    const { exitCode } = await verify(folder, "evidence");
    expect(exitCode).toBe(0);
  });

  test("is incomplete without an anchor, exit code 3, and shows the fingerprint of the folder's CA", async () => {
    const [der = new Uint8Array(0)] = parsePem(readFileSync(caOf(world), "utf8"), "CERTIFICATE");
    const { fingerprint } = decodeCertificate(der);
    const { exitCode, stdout } = await verify(auditor(), "evidence");
    expect(exitCode).toBe(3);
    expect(stdout).toStartWith("Verdict: INCOMPLETE");
    expect(stdout).toContain(
      `CN=SecureChat Root CA, FROM THE FOLDER, NOT TRUSTED\n              sha256:${fingerprint}`,
    );
    expect(stdout).toContain("[NO_ANCHOR]");
  });

  test("calls a folder invalid that another CA's people of the same names made, exit code 1", async () => {
    const impostor = await World.create();
    try {
      const forged = await converse(impostor);
      const own = await impostor.run("org", ["verify", forged]);
      expect(own.exitCode).toBe(0);
      const folder = auditor();
      rmSync(join(folder, "evidence"), { recursive: true });
      cpSync(forged, join(folder, "evidence"), { recursive: true });
      const { report: found, exitCode } = await report(folder, "evidence", "--ca", "ca_cert.pem");
      expect([found.verdict, exitCode]).toEqual(["invalid", 1]);
      expect(errorsIn(found).map(({ code }) => code)).toContain("UNKNOWN_CA");
      expect(found.entries).toBe(0);
      // With the genuine CA certificate put into it, it is no better.
      const pem = join(folder, "evidence/certificates.pem");
      writeFileSync(pem, readFileSync(pem, "utf8") + readFileSync(caOf(world), "utf8"));
      const again = await report(folder, "evidence", "--ca", "ca_cert.pem");
      expect([again.report.verdict, again.exitCode]).toEqual(["invalid", 1]);
    } finally {
      await impostor.dispose();
    }
  });

  describe("of a receipt by its name", () => {
    test.each(["receipt.json", "receipt.p7s"])("finds the other files beside %s", async (name) => {
      const { report: found, exitCode } = await report(
        auditor(),
        "--receipt",
        `evidence/${name}`,
        "--ca",
        "ca_cert.pem",
      );
      expect([found.verdict, exitCode]).toEqual(["valid", 0]);
    });

    test("takes the other files from where the flags say", async () => {
      const folder = auditor();
      for (const [name, elsewhere] of [
        ["transcript.jsonl", "lines.txt"],
        ["certificates.pem", "people.pem"],
      ] as const) {
        copyFileSync(join(folder, "evidence", name), join(folder, elsewhere));
        rmSync(join(folder, "evidence", name));
      }
      rmSync(join(folder, "evidence/checkpoints.jsonl"));
      const place = [
        "--receipt",
        "evidence/receipt.json",
        "--transcript",
        "lines.txt",
        "--ca",
        "ca_cert.pem",
      ];
      const { report: found, exitCode } = await report(
        folder,
        ...[...place, "--cert", "people.pem", "--disclosure", "disclosed.json"],
      );
      expect([found.verdict, exitCode]).toEqual(["valid", 0]);
      expect(found.words).toHaveLength(2);
    });

    test("checks every file that --disclosure names", async () => {
      const folder = auditor();
      const disclosed = JSON.parse(readFileSync(join(folder, "disclosed.json"), "utf8"));
      disclosed.entries[0].plaintext = "what alice never said";
      writeFileSync(join(folder, "false.json"), `${JSON.stringify(disclosed)}\n`);
      const { report: found, exitCode } = await report(
        folder,
        ...[
          "evidence",
          "--disclosure",
          "disclosed.json",
          "--disclosure",
          "false.json",
          "--ca",
          "ca_cert.pem",
        ],
      );
      expect(exitCode).toBe(1);
      expect(errorsIn(found)).toMatchObject([
        { code: "DISCLOSURE_REFUSED", file: "false.json", where: "field entries[0]" },
      ]);
    });

    test("demands the server that --server names", async () => {
      const right = await report(auditor(), "evidence", "--server", "localhost", "--ca", "ca_cert.pem");
      expect(right.exitCode).toBe(0);
      const wrong = await report(
        auditor(),
        "evidence",
        "--server",
        "chat.example.org",
        "--ca",
        "ca_cert.pem",
      );
      expect(errorsIn(wrong.report)).toMatchObject([{ code: "WRONG_SERVER" }]);
      expect(wrong.exitCode).toBe(1);
    });
  });

  describe("notices a change in", () => {
    const positions = 16;
    /** One byte at a time, spread over the file from its first to its last byte. */
    test.each([...files, "disclosed.json"])("one byte of %s, and names the file", async (name) => {
      const folder = auditor();
      const file = join(folder, name === "disclosed.json" ? name : `evidence/${name}`);
      const honest = readFileSync(file);
      for (let step = 0; step < positions; step++) {
        const at = Math.round((step * (honest.length - 1)) / (positions - 1));
        const changed = Buffer.from(honest);
        changed[at] = (honest[at] ?? 0) ^ 0x01;
        writeFileSync(file, changed);
        const { report: found, exitCode } = await report(
          folder,
          ...["evidence", "--disclosure", "disclosed.json", "--ca", "ca_cert.pem"],
        );
        const named = errorsIn(found).filter((finding) => basename(finding.file) === name);
        expect({ at, exitCode, verdict: found.verdict, named: named.length > 0 }).toEqual({
          at,
          exitCode: 1,
          verdict: "invalid",
          named: true,
        });
      }
    });

    test.each([...files, "disclosed.json"])(
      "%s when a byte is added or taken away at its end",
      async (name) => {
        const folder = auditor();
        const file = join(folder, name === "disclosed.json" ? name : `evidence/${name}`);
        const honest = readFileSync(file);
        for (const changed of [Buffer.concat([honest, Buffer.from("\n")]), honest.subarray(0, -1)]) {
          writeFileSync(file, changed);
          const { report: found, exitCode } = await report(
            folder,
            ...["evidence", "--disclosure", "disclosed.json", "--ca", "ca_cert.pem"],
          );
          expect([found.verdict, exitCode]).toEqual(["invalid", 1]);
          expect(errorsIn(found).map((finding) => basename(finding.file))).toContain(name);
        }
      },
    );

    test("the order of two lines of the transcript, and names the line", async () => {
      const folder = auditor();
      const file = join(folder, "evidence/transcript.jsonl");
      const [first, second, third, ...rest] = readFileSync(file, "utf8").split("\n");
      writeFileSync(file, [first, third, second, ...rest].join("\n"));
      const done = await verify(folder, "evidence", "--ca", "ca_cert.pem");
      expect(done.exitCode).toBe(1);
      expect(done.stdout).toMatch(/^ {2}FALSE {2}evidence\/transcript\.jsonl, line 2: /m);
    });
  });

  describe("of what is missing", () => {
    const missing: [file: string, exitCode: number, code: string | undefined][] = [
      ["certificates.pem", 3, "CERTIFICATES_MISSING"],
      ["receipt.json", 3, "NO_RECEIPT"],
      ["receipt.p7s", 3, "SIGNED_DATA_MISSING"],
      // The receipt is over the same root; a checkpoint adds nothing that a verdict needs.
      ["checkpoints.jsonl", 0, "NO_CHECKPOINT"],
    ];
    test.each(missing)("%s ends with exit code %d and says so", async (name, exitCode, code) => {
      const folder = auditor();
      rmSync(join(folder, "evidence", name));
      const { report: found, exitCode: ended } = await report(folder, "evidence", "--ca", "ca_cert.pem");
      expect(found.findings.map((finding) => finding.code as string)).toContain(code ?? "");
      expect([ended, errorsIn(found)]).toEqual([exitCode, []]);
    });

    test("the last line of the transcript is incomplete: the receipt is about more", async () => {
      const folder = auditor();
      const file = join(folder, "evidence/transcript.jsonl");
      const lines = readFileSync(file, "utf8").trimEnd().split("\n");
      writeFileSync(file, `${lines.slice(0, -1).join("\n")}\n`);
      const { report: found, exitCode } = await report(folder, "evidence", "--ca", "ca_cert.pem");
      expect([found.verdict, exitCode]).toEqual(["incomplete", 3]);
      expect(found.findings.map(({ code }) => code)).toEqual(
        expect.arrayContaining(["STATEMENT_BEYOND", "CHECKPOINT_BEYOND"]),
      );
    });

    const unusable: [what: string, args: readonly string[], message: RegExp][] = [
      ["the folder", ["nowhere", "--ca", "ca_cert.pem"], /nowhere is no folder/],
      ["the transcript", ["empty", "--ca", "ca_cert.pem"], /transcript not found: empty\/transcript\.jsonl/],
      ["the CA file", ["evidence", "--ca", "nowhere.pem"], /CA certificate not found: nowhere\.pem/],
      ["a certificate in the CA file", ["evidence", "--ca", "disclosed.json"], /disclosed\.json/],
      ["the receipt", ["--receipt", "evidence/receipt-9.json", "--ca", "ca_cert.pem"], /not found/],
      [
        "a disclosure",
        ["evidence", "--disclosure", "none.json", "--ca", "ca_cert.pem"],
        /not found: none\.json/,
      ],
      ["anything to verify", ["--ca", "ca_cert.pem"], /name an evidence folder/],
      [
        "a decision between folder and receipt",
        ["evidence", "--receipt", "evidence/receipt.json"],
        /name an evidence/,
      ],
    ];
    test.each(unusable)("%s is unusable input, exit code 2", async (_what, args, message) => {
      const folder = auditor();
      mkdirSync(join(folder, "empty"));
      const done = await verify(folder, ...args);
      expect(done.stderr).toMatch(/^securechat: [^\n]+\n$/);
      expect(done.stderr).toMatch(message);
      expect([done.exitCode, done.stdout]).toEqual([2, ""]);
    });
  });
});
