import { beforeAll, describe, expect, test } from "bun:test";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { compareEvidence } from "../../src/evidence/compareEvidence.ts";
import { proveConsistency } from "../../src/evidence/consistencyProof.ts";
import type { ProofFiles } from "../../src/evidence/forkFile.ts";
import { encodeForkProof } from "../../src/evidence/forkProof.ts";
import { formatForkProof } from "../../src/evidence/formatComparison.ts";
import type { ServerStatement } from "../../src/evidence/serverStatement.ts";
import { judgeEvidence } from "../../src/evidence/verifyEvidence.ts";
import { verifyForkProof } from "../../src/evidence/verifyForkProof.ts";
import { signCheckpoint } from "../../src/log/checkpoint.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { digest } from "../log/conversation.ts";
import { Organisation, startMs } from "../log/organisation.ts";
import { type OpensslFolder, opensslFolder } from "../pki/openssl.ts";
import { createTestAuthority, type TestAuthority } from "../pki/testAuthority.ts";
import { checkpointLine, forkAt, without, withoutReceipts } from "./forkedEvidence.ts";
import { folderOf, inputOf, type MadeEvidence, makeEvidence, pem } from "./madeEvidence.ts";

let authority: TestAuthority;
let made: MadeEvidence;
/** By checkpoints over one size; by receipts over one size; by a checkpoint and a receipt over two sizes. */
let proofs: Record<"checkpoints" | "receipts" | "linked", ProofFiles>;

beforeAll(async () => {
  authority = await createTestAuthority({ nowMs: startMs });
  made = await makeEvidence(new Organisation(authority));
  const prove = async (
    size: number,
    entries: number,
    change: (files: Record<string, Uint8Array>[]) => Record<string, Uint8Array>[],
  ) => {
    const other = forkAt(made, size);
    for (let i = 0; i < entries; i++) other.post(other.message(made.bob, { ts: other.now + 1 }));
    const [a = {}, b = {}] = change([made.files, await folderOf({ ...made, conversation: other })]);
    const sides = [a, b].map((files, i) => ({ name: `${i}`, input: inputOf(files, [authority.ca]) }));
    const [first, second] = sides;
    if (first === undefined || second === undefined) throw new Error("no sides");
    const { proof } = await compareEvidence(first, second);
    if (proof === undefined) throw new Error("no proof");
    return proof;
  };
  proofs = {
    checkpoints: await prove(2, 3, (sides) => sides.map(withoutReceipts)),
    receipts: await prove(2, 3, (sides) => sides.map((files) => without(files, "checkpoints.jsonl"))),
    linked: await prove(3, 4, ([a = {}, b = {}]) => [withoutReceipts(a), without(b, "checkpoints.jsonl")]),
  };
});

const verify = (files: ProofFiles, crls: Parameters<typeof verifyForkProof>[1]["crls"] = []) =>
  verifyForkProof(files, { anchors: [authority.ca], crls });

const kinds = ["checkpoints", "receipts", "linked"] as const;
const names: Record<(typeof kinds)[number], string[]> = {
  checkpoints: ["fork.json", "first.txt", "first.sig", "first.pem", "second.txt", "second.sig", "second.pem"],
  receipts: ["fork.json", "first.json", "first.p7s", "first.pem", "second.json", "second.p7s", "second.pem"],
  linked: ["fork.json", "first.txt", "first.sig", "first.pem", "second.json", "second.p7s", "second.pem"],
};

describe("verifyForkProof()", () => {
  test.each(kinds)("accepts the proof by %s from its own files alone", (kind) => {
    const proof = proofs[kind];
    expect([...proof.keys()].sort()).toEqual([...names[kind], "README.txt"].sort());
    const report = verify(new Map([...proof].filter(([name]) => name !== "README.txt")));
    expect(report).toMatchObject({
      verdict: "fork",
      conversation: made.conversation.id,
      server: "chat.example.org",
      first: { fingerprint: made.server.fingerprint, revokedAt: null },
      findings: [],
    });
    expect(report.first?.root).not.toBe(report.second?.root);
    expect(formatForkProof(report)).toStartWith("Verdict: FORK: it is proven");
  });

  test.each(kinds)(
    "rejects the proof by %s when any one byte of it was changed, or a file is missing",
    (kind) => {
      const accepted: string[] = [];
      for (const name of names[kind]) {
        const bytes = proofs[kind].get(name) ?? new Uint8Array(0);
        for (let at = 0; at < bytes.length; at++) {
          const changed = Uint8Array.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
          if (verify(new Map([...proofs[kind], [name, changed]])).verdict !== "invalid")
            accepted.push(`${name} ${at}`);
        }
        for (const changed of [bytes.subarray(0, -1), encodeUtf8(`${decodeUtf8(bytes) ?? ""}\n`)])
          if (verify(new Map([...proofs[kind], [name, changed]])).verdict !== "invalid")
            accepted.push(`${name} end`);
        const fewer = new Map(proofs[kind]);
        fewer.delete(name);
        if (verify(fewer).verdict !== "invalid") accepted.push(`without ${name}`);
      }
      expect(accepted).toEqual([]);
    },
    60_000,
  );

  test("rejects one statement twice, and statements that were put together wrongly", () => {
    const twice = (kind: "checkpoints" | "receipts") => {
      const files = new Map(proofs[kind]);
      for (const [name, bytes] of files)
        if (name.startsWith("first")) files.set(name.replace("first", "second"), bytes);
      return verify(files);
    };
    for (const kind of ["checkpoints", "receipts"] as const)
      expect(twice(kind).findings[0]?.message).toContain("both statements are about the same log");

    const fork = decodeUtf8(proofs.linked.get("fork.json") ?? new Uint8Array(0)) ?? "";
    const unlinked = fork.replace(/"link":.*\n/, '"link":null}\n');
    expect(
      verify(new Map([...proofs.linked, ["fork.json", encodeUtf8(unlinked)]])).findings[0]?.message,
    ).toContain("need a link");
    const swapped = new Map(
      [...proofs.linked].map(([name, bytes]) => [
        name.startsWith("first") ? name.replace("first", "second") : name.replace("second", "first"),
        bytes,
      ]),
    );
    expect(verify(swapped).verdict).toBe("invalid");
  });

  test("rejects an honest server's two statements about one growing log", async () => {
    const { server, conversation } = made;
    const files = {
      ...made.files,
      "checkpoints.jsonl": encodeUtf8(
        checkpointLine(conversation, server, 3) + checkpointLine(conversation, server),
      ),
    };
    const judged = await judgeEvidence(inputOf(files, [authority.ca]));
    expect([judged.report.verdict, judged.fork]).toEqual(["valid", undefined]);
    // And no link can be made up for them: the true one leads to the first root itself.
    const [first, second] = judged.serverStatements;
    if (first === undefined || second === undefined) throw new Error("no statements");
    const path = proveConsistency(judged.reading.leaves, 3, 5);
    const madeUp = { conversation: conversation.id, first, second, link: { root: first.root, path } };
    expect(verify(encodeForkProof(madeUp, "chat.example.org")).findings[0]?.message).toContain(
      "the second log continues the first",
    );
  });

  test("rejects a proof under another CA, and says what is missing without one", async () => {
    const stranger = await createTestAuthority({ nowMs: startMs });
    expect(verifyForkProof(proofs.checkpoints, { anchors: [stranger.ca], crls: [] }).verdict).toBe("invalid");
    const unanchored = verifyForkProof(proofs.checkpoints, { anchors: [], crls: [] });
    expect([unanchored.verdict, unanchored.findings[0]?.code]).toEqual(["indeterminate", "NO_ANCHOR"]);
  });

  test("rejects statements of a certificate that had been revoked, and warns of one that was revoked later", () => {
    const crl = (atMs: number) => [authority.crl([{ certificate: made.server.certificate, atMs }])];
    expect(verify(proofs.checkpoints, crl(startMs)).verdict).toBe("invalid");
    const later = verify(proofs.checkpoints, crl(startMs + 86_400_000));
    expect([later.verdict, later.first?.revokedAt]).toEqual(["fork", startMs + 86_400_000]);
    expect(formatForkProof(later)).toContain("a thief of its key could have dated these back");
  });
});

describe("OpenSSL", () => {
  /** Runs the commands of README.txt, word for word. */
  function runReadme(folder: OpensslFolder, proof: ProofFiles): { command: string; ok: boolean }[] {
    for (const [name, bytes] of proof) folder.write(name, bytes);
    folder.write("ca_cert.pem", pem(authority.ca));
    const readme = (decodeUtf8(proof.get("README.txt") ?? new Uint8Array(0)) ?? "").replaceAll("\\\n", "");
    const commands = readme.split("\n").filter((line) => line.startsWith("  openssl "));
    return commands.map((command) => {
      const { exitCode } = Bun.spawnSync(["sh", "-c", command], { cwd: folder.path("."), stdin: "ignore" });
      return { command, ok: exitCode === 0 };
    });
  }

  test.each(kinds)("accepts the proof by %s with the commands of its README", (kind) => {
    using folder = opensslFolder();
    const results = runReadme(folder, proofs[kind]);
    expect(results.length).toBeGreaterThanOrEqual(4);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  });

  test.each(["rsa2048", "ed25519"] as const)(
    "accepts checkpoints by a server with an %s key",
    async (keyType) => {
      const { certificate, key } = await authority.issueServer("chat.example.org", { keyType });
      const server = verifyPath({
        leaf: certificate,
        intermediates: [],
        anchors: [authority.ca],
        crls: [],
        purpose: "evidence",
        atMs: startMs,
      });
      const [first, second] = ["one", "two"].map((name): ServerStatement => {
        const unsigned = {
          conversation: made.conversation.id,
          size: 3,
          root: digest(name),
          at: startMs,
          server: certificate.fingerprint,
        };
        const checkpoint = signCheckpoint(unsigned, key);
        return { kind: "checkpoint", ...unsigned, server, source: name, checkpoint };
      });
      if (first === undefined || second === undefined) throw new Error("no statements");
      const fork = { conversation: made.conversation.id, first, second, link: undefined };
      const proof = encodeForkProof(fork, "chat.example.org");
      expect(verify(proof).verdict).toBe("fork");
      using folder = opensslFolder();
      expect(runReadme(folder, proof).filter(({ ok }) => !ok)).toEqual([]);
    },
  );

  test.each(["checkpoints", "receipts"] as const)(
    "rejects the proof by %s with another root in it",
    (kind) => {
      using folder = opensslFolder();
      const name = kind === "checkpoints" ? "second.txt" : "second.json";
      const text = decodeUtf8(proofs[kind].get(name) ?? new Uint8Array(0)) ?? "";
      const changed = encodeUtf8(text.replaceAll(verify(proofs[kind]).second?.root ?? "-", "0".repeat(64)));
      const results = runReadme(folder, new Map([...proofs[kind], [name, changed]]));
      expect(results.filter(({ ok }) => !ok).length).toBe(1);
    },
  );
});
