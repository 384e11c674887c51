import { beforeAll, describe, expect, test } from "bun:test";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { isLowS } from "../../src/crypto/ecdsaSignature.ts";
import { encodeDisclosure } from "../../src/evidence/disclosure.ts";
import { formatReport, formatReportJson } from "../../src/evidence/formatReport.ts";
import type { Report } from "../../src/evidence/report.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { formatCheckpoint, signCheckpoint } from "../../src/log/checkpoint.ts";
import { digest, opening } from "../log/conversation.ts";
import {
  type Files,
  folderOf,
  inputOf,
  type MadeEvidence,
  makeEvidence,
  pem,
  words,
} from "./madeEvidence.ts";

let made: MadeEvidence;

beforeAll(async () => {
  made = await makeEvidence();
});

async function judge(files: Files, more: Parameters<typeof inputOf>[2] = {}): Promise<Report> {
  return await verifyEvidence(inputOf(files, [made.organisation.ca], more));
}

const codes = (report: Report, level: string) =>
  report.findings.filter((finding) => finding.level === level).map(({ code }) => code);

function without(files: Files, ...names: string[]): Files {
  return Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)));
}

describe("verifyEvidence()", () => {
  test("calls an honest folder valid and says who signed for what", async () => {
    const report = await judge(made.files);
    expect(codes(report, "error")).toEqual([]);
    expect(codes(report, "gap")).toEqual([]);
    expect(report.verdict).toBe("valid");
    expect([report.entries, report.messages]).toEqual([5, 3]);
    expect(
      report.members.map(({ username, messages, signedFor, receiptSize }) => [
        username,
        messages,
        signedFor,
        receiptSize,
      ]),
    ).toEqual([
      ["alice", 2, 5, 5],
      ["bob", 1, 5, 5],
    ]);
    expect(report.members.every(({ countersignedAt }) => countersignedAt !== null)).toBe(true);
    expect(report.words.map(({ index, username, text }) => [index, username, text])).toEqual([
      [1, "alice", words],
    ]);
    expect(report.withheld).toEqual([2, 3]);
  });

  test("notices a change of any one byte in any file, and names the file", async () => {
    for (const [name, bytes] of Object.entries(made.files)) {
      const unnoticed: number[] = [];
      const unnamed: number[] = [];
      // Every byte under the fast provider; the reference makes the same decisions, so it looks at every eleventh.
      for (let at = 0; at < bytes.length; at += crypto().name === "native" ? 1 : 11) {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        const report = await judge({ ...made.files, [name]: changed });
        if (report.verdict === "valid" || report.verdict === "incomplete") unnoticed.push(at);
        else if (!report.findings.some((finding) => finding.level === "error" && finding.file === name))
          unnamed.push(at);
      }
      expect({ name, unnoticed, unnamed }).toEqual({ name, unnoticed: [], unnamed: [] });
    }
  }, 240_000);

  test("notices a byte more and a byte less at the end of any file", async () => {
    for (const [name, bytes] of Object.entries(made.files))
      for (const changed of [
        bytes.subarray(0, -1),
        encodeUtf8(`${"x".repeat(1)}`),
        Buffer.concat([bytes, Buffer.from("\n")]),
      ])
        expect([name, (await judge({ ...made.files, [name]: Uint8Array.from(changed) })).verdict]).toEqual([
          name,
          "invalid",
        ]);
  });

  test("names line and field", async () => {
    const line = (number: number, change: (text: string) => string) => {
      const lines = (decodeUtf8(made.files["transcript.jsonl"] ?? new Uint8Array(0)) ?? "").split("\n");
      lines[number - 1] = change(lines[number - 1] ?? "");
      return encodeUtf8(lines.join("\n"));
    };
    const altered = await judge({
      ...made.files,
      "transcript.jsonl": line(3, (text) => text.replace('"seqno":1', '"seqno":2')),
    });
    expect(altered.findings).toContainEqual(
      expect.objectContaining({ code: "ENTRY_REFUSED", file: "transcript.jsonl", where: "line 3" }),
    );
    const statement = (decodeUtf8(made.files["receipt.json"] ?? new Uint8Array(0)) ?? "").replace(
      /"to":(\d)/,
      '"to":9',
    );
    const receipt = await judge({ ...made.files, "receipt.json": encodeUtf8(statement) });
    expect(receipt.findings).toContainEqual(
      expect.objectContaining({ code: "STATEMENT_MISMATCH", file: "receipt.json", where: "field to" }),
    );
  });

  test("calls a self-consistent folder under another CA with the same names invalid", async () => {
    const forged = await makeEvidence();
    const report = await judge(forged.files);
    expect(report.verdict).toBe("invalid");
    expect(codes(report, "error")).toContain("UNKNOWN_CA");
    expect(report.words).toEqual([]);
  });

  test("gets no further than incomplete without an anchor, and shows the CA's fingerprint", async () => {
    const report = await verifyEvidence(inputOf(made.files, []));
    expect(report.verdict).toBe("incomplete");
    expect(codes(report, "gap")).toEqual(["NO_ANCHOR"]);
    expect(report.ca).toEqual(
      expect.objectContaining({ fingerprint: made.organisation.ca.fingerprint, trusted: false }),
    );
    expect(formatReport(report)).toContain("Words, proven if that CA is the right one");
  });

  test.each([
    ["receipt.p7s", "SIGNED_DATA_MISSING"],
    ["certificates.pem", "CERTIFICATES_MISSING"],
  ])("says what is missing without %s", async (name, code) => {
    const report = await judge(without(made.files, name));
    expect(report.verdict).not.toBe("valid");
    expect(codes(report, "gap")).toContain(code as never);
  });

  test("is incomplete without any receipt", async () => {
    const report = await judge(without(made.files, "receipt.json", "receipt.p7s"));
    expect([report.verdict, codes(report, "gap")]).toEqual(["incomplete", ["NO_RECEIPT"]]);
  });

  test("is never valid when the tail of the transcript is missing", async () => {
    const lines = (decodeUtf8(made.files["transcript.jsonl"] ?? new Uint8Array(0)) ?? "").split("\n");
    const report = await judge({
      ...made.files,
      "transcript.jsonl": encodeUtf8(`${lines.slice(0, 3).join("\n")}\n`),
    });
    expect(report.verdict).toBe("incomplete");
    expect(codes(report, "gap")).toEqual(expect.arrayContaining(["CHECKPOINT_BEYOND", "STATEMENT_BEYOND"]));
  });

  test("reports entries behind the receipt as such", async () => {
    const later = await makeEvidence();
    later.conversation.post(later.conversation.message(later.alice));
    const grown = await folderOf(later);
    const report = await verifyEvidence(
      inputOf(
        {
          ...grown,
          "receipt.json": later.files["receipt.json"] ?? grown["receipt.json"] ?? new Uint8Array(0),
          "receipt.p7s": later.files["receipt.p7s"] ?? new Uint8Array(0),
        },
        [later.organisation.ca],
      ),
    );
    expect(report.verdict).toBe("valid");
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: "LATER_ENTRIES", where: "line 6" }),
    );
  });

  test("proves that a server forked the log when it signed two roots for one size", async () => {
    const { conversation, server } = made;
    const other = signCheckpoint(
      {
        conversation: conversation.id,
        size: 3,
        root: digest("another log"),
        at: conversation.state.lastAt,
        server: server.fingerprint,
      },
      server.key,
    );
    const report = await judge({
      ...made.files,
      "checkpoints.jsonl": Buffer.concat([
        made.files["checkpoints.jsonl"] ?? Buffer.alloc(0),
        Buffer.from(`${formatCheckpoint(other)}\n`),
      ]),
    });
    expect(report.verdict).toBe("invalid");
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: "CHECKPOINT_CONTRADICTS", where: "line 2" }),
    );
  });

  test("refuses disclosed words that the author did not commit to, and words at an entry that is no message", async () => {
    for (const [index, plaintext] of [
      [1, "hullo"],
      [0, words],
      [99, words],
    ] as const) {
      const entries = [{ index, opening: encodeHex(opening), plaintext }];
      const disclosure = encodeDisclosure({ conversation: made.conversation.id, entries });
      const report = await judge({ ...made.files, "disclosure.json": disclosure });
      expect([report.verdict, codes(report, "error"), report.words]).toEqual([
        "invalid",
        ["DISCLOSURE_REFUSED"],
        [],
      ]);
    }
  });

  test("marks what an author had not seen, and what a member disputes", async () => {
    const { organisation, alice, bob, server } = made;
    const fresh = await makeEvidence();
    const { conversation } = fresh;
    const view = { size: conversation.state.size, root: conversation.state.root };
    conversation.post(conversation.message(fresh.bob));
    conversation.post(conversation.message(fresh.alice, { view }));
    conversation.post(conversation.acknowledge(fresh.bob, { disputed: [6] }));
    const files = await folderOf(fresh);
    const disclosure = encodeDisclosure({
      conversation: conversation.id,
      entries: [{ index: 6, opening: encodeHex(opening), plaintext: words }],
    });
    const report = await verifyEvidence(
      inputOf({ ...files, "disclosure.json": disclosure }, [fresh.organisation.ca]),
    );
    expect(report.verdict).toBe("valid");
    expect(report.words).toEqual([expect.objectContaining({ index: 6, unseen: [5], disputedBy: ["bob"] })]);
    expect([organisation, alice, bob, server]).toBeTruthy();
  });

  test("refuses a certificate that nobody signed with", async () => {
    const mallory = await made.organisation.user("mallory");
    const { alice, bob, server, organisation } = made;
    const certificates = pem(
      alice.certificate,
      bob.certificate,
      server.certificate,
      mallory.certificate,
      organisation.ca,
    );
    const report = await judge({ ...made.files, "certificates.pem": certificates });
    expect([report.verdict, codes(report, "error")]).toEqual(["invalid", ["CERTIFICATE_UNUSED"]]);
  });

  test("refuses a conversation on another server than the one demanded", async () => {
    expect((await judge(made.files, { server: "chat.example.org" })).verdict).toBe("valid");
    expect(codes(await judge(made.files, { server: "evil.example.org" }), "error")).toEqual(["WRONG_SERVER"]);
  });

  test("has signatures with low S only", async () => {
    for (const { entry } of made.conversation.lines) expect(isLowS(entry.sig, "p256")).toBe(true);
  });
});

describe("formatReport()", () => {
  test("makes control characters from the evidence visible", async () => {
    const { conversation } = made;
    const report = await judge(made.files);
    const [first] = report.words;
    if (first === undefined) throw new Error("nothing was proven");
    const text = formatReport({ ...report, words: [{ ...first, text: "\u001b[2Jhidden\nsecond line" }] });
    expect(text).toContain("| \\u{1b}[2Jhidden\n      | second line");
    expect(text).not.toContain("\u001b");
    expect(text).toContain(conversation.id);
  });

  test("has a JSON form with the same verdict", async () => {
    const report = await judge(made.files);
    expect(JSON.parse(formatReportJson(report))).toEqual(JSON.parse(JSON.stringify(report)));
  });
});
