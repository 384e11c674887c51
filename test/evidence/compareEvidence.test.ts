import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { type Comparison, compareEvidence } from "../../src/evidence/compareEvidence.ts";
import type { EvidenceInput } from "../../src/evidence/evidenceInput.ts";
import { encodeForkProof } from "../../src/evidence/forkProof.ts";
import { formatComparison, formatComparisonJson } from "../../src/evidence/formatComparison.ts";
import { judgeEvidence } from "../../src/evidence/verifyEvidence.ts";
import { verifyForkProof } from "../../src/evidence/verifyForkProof.ts";
import { serverName } from "../log/conversation.ts";
import { checkpointLine, forkAt, without, withoutReceipts } from "./forkedEvidence.ts";
import { type Files, folderOf, inputOf, type MadeEvidence, makeEvidence, pem } from "./madeEvidence.ts";

let made: MadeEvidence;
beforeAll(async () => {
  made = await makeEvidence();
});

async function compare(a: Files, b: Files, more: Partial<EvidenceInput> = {}): Promise<Comparison> {
  const anchors = more.anchors ?? [made.organisation.ca];
  return await compareEvidence(
    { name: "from-alice", input: inputOf(a, anchors, more) },
    { name: "from-bob", input: inputOf(b, anchors, more) },
  );
}

/** A folder of another log of the same conversation, as `change` continues the first `size` entries. */
async function otherFolder(size: number, change: (log: ReturnType<typeof forkAt>) => void): Promise<Files> {
  const conversation = forkAt(made, size);
  change(conversation);
  return await folderOf({ ...made, conversation });
}

/** Different words of bob instead of his first ones, and two more entries. */
const forked = () =>
  otherFolder(2, (log) => {
    const alice = log.message(made.alice);
    log.post(log.message(made.bob, { ts: log.now + 1 }));
    log.post(alice);
    log.post(log.acknowledge(made.bob));
  });

describe("compareEvidence()", () => {
  test("calls two copies of one log the same", async () => {
    const { report, proof } = await compare(made.files, without(made.files, "disclosure.json"));
    expect(report).toMatchObject({
      verdict: "valid",
      relation: "same",
      common: 5,
      lacking: null,
      missing: [],
    });
    expect(proof).toBeUndefined();
  });

  test("says which folder lacks what when one log continues the other", async () => {
    const older = await otherFolder(3, () => {});
    for (const [a, b, folder] of [
      [made.files, older, "from-bob"],
      [older, made.files, "from-alice"],
    ] as const) {
      const { report } = await compare(a, b);
      expect(report).toMatchObject({ verdict: "valid", relation: "prefix", common: 3 });
      expect(report.lacking).toEqual({ folder, from: 3, to: 4 });
      expect(formatComparison(report)).toContain(`${folder} lacks entries 3 to 4`);
    }
  });

  test("proves a fork by two folders that are valid each by itself", async () => {
    const other = await forked();
    for (const [a, b] of [
      [made.files, other],
      [other, made.files],
    ] as const) {
      const { report, proof } = await compare(a, b);
      expect([report.a.report.verdict, report.b.report.verdict]).toEqual(["valid", "valid"]);
      expect(report).toMatchObject({ verdict: "fork", relation: "different", common: 2, server: serverName });
      expect(report.difference).toMatchObject({ index: 2, kind: "content" });
      expect(report.proof?.first).toMatchObject({ size: 5, fingerprint: made.server.fingerprint });
      expect(report.proof?.first.root).not.toBe(report.proof?.second.root);
      const proven = [report.proof?.first.root, report.proof?.second.root];
      expect(proven.map(String).sort()).toEqual(
        [report.a.report.root, report.b.report.root].map(String).sort(),
      );
      expect(verifyForkProof(proof ?? new Map(), { anchors: [made.organisation.ca], crls: [] }).verdict).toBe(
        "fork",
      );
      const text = formatComparison(report);
      expect(text).toContain(`Proven against the server ${serverName}`);
      expect(text).toContain("bob signed two different entries as seqno 1");
      expect(JSON.parse(formatComparisonJson(report))).toMatchObject({ verdict: "fork", common: 2 });
    }
  });

  test("proves a fork by statements over different sizes, of which each folder has one", async () => {
    const other = await otherFolder(3, (log) => {
      for (let i = 0; i < 6; i++) log.post(log.message(made.bob));
    });
    for (const [a, b] of [
      [made.files, other],
      [other, made.files],
    ] as const) {
      const { report, proof } = await compare(withoutReceipts(a), withoutReceipts(b));
      expect(report).toMatchObject({ verdict: "fork", common: 3 });
      expect(report.proof).toMatchObject({ linked: true, first: { size: 5 }, second: { size: 9 } });
      expect(decodeUtf8(proof?.get("README.txt") ?? new Uint8Array(0))).toContain("RFC 9162");
    }
  });

  test("proves a fork by receipts alone, and by a receipt against a checkpoint", async () => {
    const other = await forked();
    const receipts = await compare(
      without(made.files, "checkpoints.jsonl"),
      without(other, "checkpoints.jsonl"),
    );
    expect(receipts.report.proof).toMatchObject({ first: { kind: "receipt" }, second: { kind: "receipt" } });
    const mixed = await compare(without(made.files, "checkpoints.jsonl"), withoutReceipts(other));
    expect(mixed.report.proof).toMatchObject({ first: { kind: "receipt" }, second: { kind: "checkpoint" } });
    for (const { report, proof } of [receipts, mixed]) {
      expect(report.verdict).toBe("fork");
      expect(verifyForkProof(proof ?? new Map(), { anchors: [made.organisation.ca], crls: [] }).verdict).toBe(
        "fork",
      );
    }
  });

  test("names a changed time of receipt, another order, and an entry that was dropped", async () => {
    const [, , ...rest] = made.conversation.lines;
    const at = rest[0]?.at ?? 0;
    const entry = rest[0]?.entry;
    if (entry === undefined) throw new Error("no entry");
    const changedTime = await otherFolder(2, (log) => log.post(entry, at + 250));
    expect((await compare(made.files, changedTime)).report).toMatchObject({
      verdict: "fork",
      difference: { index: 2, kind: "time" },
    });

    const make = async (order: readonly number[]) => {
      const log = forkAt(made, 2);
      const both = [log.message(made.alice), log.message(made.bob, { ts: log.now + 5 })];
      return { both, order };
    };
    const { both } = await make([0, 1]);
    const inOrder = (...indexes: number[]) =>
      otherFolder(2, (log) => {
        for (const index of indexes) {
          const posted = both[index];
          if (posted !== undefined) log.post(posted);
        }
      });
    const straight = await inOrder(0, 1);
    expect((await compare(straight, await inOrder(1, 0))).report).toMatchObject({
      verdict: "fork",
      common: 2,
      difference: { kind: "order", a: { who: "alice" }, b: { who: "bob" } },
    });
    const dropped = await inOrder(1);
    expect((await compare(straight, dropped)).report).toMatchObject({
      verdict: "fork",
      difference: { kind: "omitted" },
    });
  });

  test("finds in one folder what the server has signed twice", async () => {
    const other = forkAt(made, 2);
    other.post(other.message(made.bob, { ts: other.now + 1 }));
    const both = checkpointLine(other, made.server) + checkpointLine(made.conversation, made.server, 3);
    const files = { ...made.files, "checkpoints.jsonl": encodeUtf8(both) };
    const { report, fork } = await judgeEvidence(inputOf(files, [made.organisation.ca]));
    expect(report.verdict).toBe("invalid");
    expect(report.findings.map(({ code }) => code)).toContain("SERVER_FORKED");
    if (fork === undefined) throw new Error("no fork");
    // Under a CA that stood in the folder nobody is accused.
    const untrusted = await judgeEvidence(inputOf(files, []));
    expect(untrusted.report.findings.map(({ code }) => code)).not.toContain("SERVER_FORKED");
    const proof = encodeForkProof(fork, report.server);
    expect(verifyForkProof(proof, { anchors: [made.organisation.ca], crls: [] }).verdict).toBe("fork");
    // The other member's folder need not show it.
    expect((await compare(made.files, files)).report.verdict).toBe("fork");
  });

  test("finds in one folder a statement that contradicts a longer one about the transcript", async () => {
    const other = forkAt(made, 2);
    other.post(other.message(made.bob, { ts: other.now + 1 }));
    const files = {
      ...made.files,
      "checkpoints.jsonl": encodeUtf8(checkpointLine(other, made.server)),
    };
    const { fork } = await judgeEvidence(inputOf(files, [made.organisation.ca]));
    expect(fork).toMatchObject({ first: { size: 3 }, second: { size: 5, kind: "receipt" } });
    expect(fork?.link?.path.length).toBeGreaterThan(0);
  });

  test("proves nothing against the server when a holder changed the end of the own transcript", async () => {
    const lines = (decodeUtf8(made.files["transcript.jsonl"] ?? new Uint8Array(0)) ?? "").split("\n");
    const last = lines[4] ?? "";
    lines[4] = last.replace(/"at":(\d+)/, (_, at) => `"at":${Number(at) + 7}`);
    const changed = { ...made.files, "transcript.jsonl": encodeUtf8(lines.join("\n")) };
    const { report, proof } = await compare(made.files, changed);
    expect(report).toMatchObject({ verdict: "invalid", relation: "different", common: 4, proof: null });
    expect(report.difference).toMatchObject({ index: 4, kind: "time" });
    expect(report.missing).toEqual([expect.stringContaining("from-bob")]);
    expect(proof).toBeUndefined();
    // Nor when what contradicts it was left out.
    const bare = await compare(made.files, without(withoutReceipts(changed), "checkpoints.jsonl"));
    expect(bare.report).toMatchObject({ verdict: "incomplete", relation: "different", proof: null });
    expect(bare.report.missing).toEqual([expect.stringContaining("from-bob")]);
    expect(formatComparison(bare.report)).toContain("Proven against nobody yet");
  });

  test("proves nothing by statements over what both logs have in common", async () => {
    const other = await forked();
    const early = (files: Files) => ({
      ...withoutReceipts(files),
      "checkpoints.jsonl": encodeUtf8(checkpointLine(made.conversation, made.server, 2)),
    });
    const { report } = await compare(early(made.files), early(other));
    expect(report).toMatchObject({ verdict: "incomplete", relation: "different", proof: null });
    expect(report.missing).toEqual([
      expect.stringContaining("from-alice"),
      expect.stringContaining("from-bob"),
    ]);
    // Whoever acknowledged more than the common entries is named for each log.
    expect(report.acknowledgements.map(({ folder, username }) => [folder, username])).toEqual(
      expect.arrayContaining([
        ["from-alice", "bob"],
        ["from-bob", "bob"],
      ]),
    );
  });

  test("proves nothing by a checkpoint of a server with another name, or without its signature", async () => {
    const evil = await made.organisation.server("evil.example.org");
    const other = forkAt(made, 2);
    other.post(other.message(made.bob, { ts: other.now + 1 }));
    const certificates = pem(
      made.alice.certificate,
      made.bob.certificate,
      made.server.certificate,
      evil.certificate,
      made.organisation.ca,
    );
    const folder = await folderOf({ ...made, conversation: other });
    const files = {
      ...withoutReceipts(folder),
      "certificates.pem": certificates,
      "checkpoints.jsonl": encodeUtf8(checkpointLine(other, evil)),
    };
    const { report } = await compare(made.files, files);
    expect([report.verdict, report.proof]).toEqual(["invalid", null]);
    const genuine = checkpointLine(other, made.server);
    const forgedRoot = genuine.replace(
      /"root":"./,
      (start) => `${start.slice(0, -1)}${start.endsWith("0") ? "1" : "0"}`,
    );
    const forged = { ...withoutReceipts(folder), "checkpoints.jsonl": encodeUtf8(forgedRoot) };
    expect((await compare(made.files, forged)).report).toMatchObject({ verdict: "invalid", proof: null });
  });

  test("takes statements by two certificates of the server's name", async () => {
    const renewed = await made.organisation.server(serverName);
    const other = forkAt(made, 2);
    other.post(other.message(made.bob, { ts: other.now + 1 }));
    const folder = withoutReceipts(await folderOf({ ...made, conversation: other }));
    const files = {
      ...folder,
      "certificates.pem": pem(
        made.alice.certificate,
        made.bob.certificate,
        made.server.certificate,
        renewed.certificate,
        made.organisation.ca,
      ),
      "checkpoints.jsonl": encodeUtf8(checkpointLine(other, renewed)),
    };
    const { report, proof } = await compare(made.files, files);
    expect(report.verdict).toBe("fork");
    expect(new Set([report.proof?.first.fingerprint, report.proof?.second.fingerprint])).toEqual(
      new Set([made.server.fingerprint, renewed.fingerprint]),
    );
    expect(proof?.get("first.pem")).not.toEqual(proof?.get("second.pem"));
  });

  test("claims no proof without a CA of the verifier's own", async () => {
    const { report, proof } = await compare(made.files, await forked(), { anchors: [] });
    expect(report).toMatchObject({ verdict: "incomplete", relation: "different", proof: null });
    expect(report.missing).toEqual([expect.stringContaining("--ca")]);
    expect(proof).toBeUndefined();
  });

  test("compares nothing across two conversations, or without a first entry", async () => {
    const elsewhere = await makeEvidence();
    const anchors = [made.organisation.ca, elsewhere.organisation.ca];
    expect((await compare(made.files, elsewhere.files, { anchors })).report).toMatchObject({
      verdict: "unrelated",
      relation: "unrelated",
    });
    const bare = without(made.files, "certificates.pem", "receipt.p7s");
    expect((await compare(made.files, bare)).report).toMatchObject({
      verdict: "indeterminate",
      relation: "unknown",
    });
  });

  test("is incomplete for the same log when a folder is", async () => {
    const { report } = await compare(made.files, withoutReceipts(made.files));
    expect(report).toMatchObject({ verdict: "incomplete", relation: "same" });
  });

  test("finds the first difference wherever it is, and proves every fork", async () => {
    const long = forkAt(made, 5);
    for (let i = 0; i < 30; i++) long.post(long.message(i % 3 === 0 ? made.bob : made.alice));
    const whole = await folderOf({ ...made, conversation: long });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 34 }),
        fc.integer({ min: 1, max: 12 }),
        async (common, more) => {
          const other = forkAt({ ...made, conversation: long }, common);
          for (let i = 0; i < more; i++) other.post(other.message(made.bob, { ts: other.now + 1 + i }));
          const files = withoutReceipts(await folderOf({ ...made, conversation: other }));
          const { report } = await compare(withoutReceipts(whole), files);
          expect(report).toMatchObject({ verdict: "fork", relation: "different", common });
          expect(report.difference?.index).toBe(common);
        },
      ),
      { numRuns: 25 },
    );
  });
});
