import { beforeAll, describe, expect, test } from "bun:test";
import { concatBytes, decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { decodeEcdsaSignature, encodeEcdsaSignature } from "../../src/crypto/ecdsaSignature.ts";
import { encodeDisclosure } from "../../src/evidence/disclosure.ts";
import type { EvidenceInput, ReceiptFiles } from "../../src/evidence/evidenceInput.ts";
import { formatReport } from "../../src/evidence/formatReport.ts";
import { maxReceipts } from "../../src/evidence/readReceipts.ts";
import { maxFindingsPerCode, type Report } from "../../src/evidence/report.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { formatCheckpoint, signCheckpoint } from "../../src/log/checkpoint.ts";
import { signEntry } from "../../src/log/entry.ts";
import { formatTranscriptLine } from "../../src/log/transcript.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { countersign } from "../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../src/pki/cms/mergeSignedData.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import type { Crl } from "../../src/pki/crl.ts";
import { encodeBitString, encodeInteger, encodeSequence } from "../../src/pki/derWriter.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { encodeSignatureAlgorithm } from "../../src/pki/signatureAlgorithm.ts";
import { Conversation, opening, roster, serverName } from "../log/conversation.ts";
import { certificatesOf, type Device, Organisation, startMs } from "../log/organisation.ts";
import { encodeName, extensions, forge } from "../pki/forgedCertificate.ts";
import { createTestAuthority, type TestAuthority } from "../pki/testAuthority.ts";
import { checkpointLine, forkAt, receiptOf, without, withoutReceipts } from "./forkedEvidence.ts";
import {
  type Files,
  folderOf,
  inputOf,
  type MadeEvidence,
  makeEvidence,
  pem,
  words,
} from "./madeEvidence.ts";

let authority: TestAuthority;
let made: MadeEvidence;
beforeAll(async () => {
  authority = await createTestAuthority({ nowMs: startMs });
  made = await makeEvidence(new Organisation(authority));
});

async function judge(files: Files, more: Partial<EvidenceInput> = {}): Promise<Report> {
  return await verifyEvidence(inputOf(files, more.anchors ?? [authority.ca], more));
}

const codes = (report: Report, level: string) =>
  report.findings.filter((finding) => finding.level === level).map(({ code }) => code);
const text = (files: Files, name: string) => decodeUtf8(files[name] ?? new Uint8Array(0)) ?? "";
const receipt = (name: string, json: Uint8Array, p7s: Uint8Array | undefined): ReceiptFiles => ({
  statement: { name: `${name}.json`, bytes: json },
  signedData: p7s === undefined ? undefined : { name: `${name}.p7s`, bytes: p7s },
});
const ownReceipt = () =>
  receipt("receipt", made.files["receipt.json"] ?? new Uint8Array(0), made.files["receipt.p7s"]);
const crlPem = (crl: { der: Uint8Array }) => encodeUtf8(formatPem("X509 CRL", crl.der));

describe("receipts", () => {
  test("of another conversation prove nothing here, whatever their size", async () => {
    const elsewhere = new Conversation(certificatesOf(made.organisation));
    elsewhere.post(
      elsewhere.create(made.alice, made.server, { roster: roster(made.alice.row(), made.bob.row()) }),
    );
    for (const size of [2, 5, 9]) {
      while (elsewhere.lines.length < size) elsewhere.post(elsewhere.message(made.alice));
      const other = await folderOf({ ...made, conversation: elsewhere });
      const report = await judge({
        ...made.files,
        "receipt.json": other["receipt.json"] ?? new Uint8Array(0),
        "receipt.p7s": other["receipt.p7s"] ?? new Uint8Array(0),
      });
      expect(report.verdict).toBe("invalid");
      expect(report.findings).toContainEqual(
        expect.objectContaining({ code: "STATEMENT_MISMATCH", where: "field conversation" }),
      );
      // Nothing is claimed about this transcript, neither for its members nor against it.
      expect(report.members.map(({ receiptSize }) => receiptSize)).toEqual([0, 0]);
      expect(report.receiptedEntries).toBe(0);
      expect(codes(report, "error")).toEqual(["STATEMENT_MISMATCH"]);
      expect(codes(report, "gap")).toEqual([]);
    }
  });

  test("about more than the transcript say nothing about who signed for it", async () => {
    const longer = forkAt(made, 5);
    longer.post(longer.message(made.alice));
    const other = await folderOf({ ...made, conversation: longer });
    const report = await judge({
      ...other,
      "transcript.jsonl": made.files["transcript.jsonl"] ?? new Uint8Array(0),
    });
    expect(report).toMatchObject({ verdict: "incomplete", receiptedEntries: 0 });
    expect(report.receipts).toMatchObject([{ match: "beyond", size: 6 }]);
    expect(report.members.map(({ receiptSize }) => receiptSize)).toEqual([0, 0]);
    expect(codes(report, "gap")).toEqual(["CHECKPOINT_BEYOND", "STATEMENT_BEYOND"]);
  });

  test("may be there twice, and count once", async () => {
    const { statement, signedData } = ownReceipt();
    const report = await judge(made.files, {
      receipts: [ownReceipt(), receipt("receipt-5", statement.bytes, signedData?.bytes)],
    });
    expect(report).toMatchObject({ verdict: "valid", receiptedEntries: 5 });
    expect(report.members.map(({ receiptSize }) => receiptSize)).toEqual([5, 5]);
  });

  test("make valid when one of them has a member's and the server's signature, for what that one is about", async () => {
    const longer = forkAt(made, 5);
    longer.post(longer.message(made.alice));
    const later = { ...made, conversation: longer };
    const transcript = await folderOf(later);
    const { json, p7s } = await receiptOf(later, made.alice, made.server);
    const [byAlice, byServer] = p7s;
    const files = { ...withoutReceipts(transcript) };

    const both = await judge(files, { receipts: [receipt("receipt", json, byAlice), ownReceipt()] });
    expect(both).toMatchObject({ verdict: "valid", receiptedEntries: 5 });
    expect(formatReport(both)).toStartWith(
      "Verdict: VALID: nothing here is false, and a member and the server have signed a receipt for entries 0 to 4.",
    );
    expect(both.findings).toContainEqual(expect.objectContaining({ code: "LATER_ENTRIES", where: "line 6" }));

    for (const [receipts, missing] of [
      [[receipt("receipt", json, byAlice)], "NO_SERVER_SIGNATURE"],
      [[receipt("receipt", json, byServer)], "NO_MEMBER_SIGNATURE"],
      // One each under two statements: nobody says that both mean the same.
      [
        [
          receipt("receipt", json, byServer),
          receipt("receipt-5", ownReceipt().statement.bytes, (await receiptOf(made, made.bob)).p7s[0]),
        ],
        "NO_SERVER_SIGNATURE",
      ],
    ] as const) {
      const report = await judge(files, { receipts: [...receipts] });
      expect([report.verdict, codes(report, "gap")]).toEqual(["incomplete", [missing]]);
      expect(report.receiptedEntries).toBe(0);
    }
  });

  test("signed by somebody who joined later, or by another certificate of the same name, are refused", async () => {
    const conversation = new Conversation(certificatesOf(made.organisation));
    const [carol, otherAlice] = [
      await made.organisation.user("carol"),
      await made.organisation.user("alice"),
    ];
    conversation.post(
      conversation.create(made.alice, made.server, {
        kind: "group",
        title: "Group",
        roster: roster(made.alice.row(), made.bob.row()),
      }),
    );
    const group = { ...made, conversation };
    const early = await receiptOf(group, carol, otherAlice);
    const honest = withoutReceipts(await folderOf(group));
    conversation.post(
      conversation.membership(made.alice, {
        action: "add",
        roster: roster(made.alice.row(), made.bob.row(), carol.row()),
      }),
    );
    const grown = withoutReceipts(await folderOf(group));
    const certificates = pem(
      made.alice.certificate,
      made.bob.certificate,
      made.server.certificate,
      carol.certificate,
      authority.ca,
    );
    for (const [files, signature] of [
      [{ ...grown, "certificates.pem": certificates }, early.p7s[0]],
      [honest, early.p7s[1]],
    ] as const) {
      const report = await judge(files, { receipts: [receipt("receipt-1", early.json, signature)] });
      expect(codes(report, "error")).toEqual(["SIGNER_UNKNOWN"]);
      expect(report.members.every(({ receiptSize }) => receiptSize === 0)).toBe(true);
    }
  });

  test("can't name another server, whose certificate then signs", async () => {
    const evil = await made.organisation.server("evil.example.org");
    const json = encodeUtf8(text(made.files, "receipt.json").replace(serverName, "evil.example.org"));
    const p7s = signDetached({
      content: json,
      certificate: evil.certificate,
      key: evil.key,
      includeCertificates: [],
      signingTimeMs: startMs + 60_000,
    });
    const report = await judge(withoutReceipts(made.files), { receipts: [receipt("receipt", json, p7s)] });
    expect(codes(report, "error")).toEqual(["SIGNER_UNKNOWN", "STATEMENT_MISMATCH"]);
    expect(codes(report, "error")).not.toContain("SERVER_FORKED");
  });

  test("that are too many are named, the newest are judged", async () => {
    const { statement, signedData } = ownReceipt();
    const many = Array.from({ length: maxReceipts + 5 }, (_, i) =>
      receipt(`receipt-${i}`, statement.bytes, signedData?.bytes),
    );
    const report = await judge(made.files, { receipts: many });
    expect(report.receipts.length).toBe(maxReceipts);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: "RECEIPTS_OMITTED", file: `receipt-${maxReceipts}.json` }),
    );
  });

  test("can't bring a second edition of a certificate, whose signature anybody can turn over", async () => {
    const { certificate } = made.alice;
    const signature = decodeEcdsaSignature(certificate.signature, "p256");
    if (signature === undefined) throw new Error("no signature");
    const order = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    const s = order - BigInt(`0x${encodeHex(signature.s)}`);
    const twinSignature = encodeEcdsaSignature({
      r: signature.r,
      s: Uint8Array.fromHex(s.toString(16).padStart(64, "0")),
    });
    const twin = decodeCertificate(
      encodeSequence(
        certificate.tbs,
        encodeSignatureAlgorithm("ecdsa-p256-sha256"),
        encodeBitString(twinSignature),
      ),
    );
    expect(twin.fingerprint).not.toBe(certificate.fingerprint);
    const extra = [{ name: "twin.pem", bytes: pem(twin) }];
    const input = inputOf(made.files, [authority.ca]);
    const report = await verifyEvidence({ ...input, certificates: [...input.certificates, ...extra] });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: "CERTIFICATES_MALFORMED", file: "twin.pem" }),
    );
  });
});

describe("certificates", () => {
  const withoutServer = (files: Files) => ({
    ...files,
    "certificates.pem": pem(made.alice.certificate, made.bob.certificate, authority.ca),
  });

  test("may come from a receipt instead of certificates.pem", async () => {
    const report = await judge(withoutServer(made.files));
    expect([report.verdict, codes(report, "error")]).toEqual(["valid", []]);
  });

  test("that are missing are called missing, not false, and nothing is claimed about the others", async () => {
    const report = await judge(withoutServer(withoutReceipts(made.files)));
    expect([report.verdict, codes(report, "error")]).toEqual(["indeterminate", []]);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ level: "gap", code: "CERTIFICATES_MISSING", where: "line 1" }),
    );
  });

  test("that later lines would have used are not called altered when a line is refused", async () => {
    const conversation = forkAt(made, 5);
    const files = await folderOf({ ...made, conversation });
    const lines = text(files, "transcript.jsonl").split("\n");
    lines[0] = (lines[0] ?? "").replace('"seqno":1', '"seqno":2');
    const report = await judge({
      ...withoutReceipts(files),
      "transcript.jsonl": encodeUtf8(lines.join("\n")),
    });
    expect(codes(report, "error")).toEqual(["ENTRY_REFUSED"]);
    // A foreign one is still told apart.
    const stranger = await createTestAuthority({ nowMs: startMs, name: "Other CA" });
    const { certificate } = await stranger.issueUser("mallory");
    const certificates = pem(
      made.alice.certificate,
      made.bob.certificate,
      made.server.certificate,
      certificate,
      authority.ca,
    );
    const foreign = await judge({
      ...withoutReceipts(files),
      "transcript.jsonl": encodeUtf8(lines.join("\n")),
      "certificates.pem": certificates,
    });
    expect(codes(foreign, "error")).toEqual(["ENTRY_REFUSED", "CERTIFICATE_REFUSED"]);
  });

  test("without a path are searched for one a hundred times at most", async () => {
    const stranger = await createTestAuthority({ nowMs: startMs });
    const json = made.files["receipt.json"] ?? new Uint8Array(0);
    const issued = await Promise.all(Array.from({ length: 64 }, () => stranger.issueServer(serverName)));
    const p7s = issued
      .map(({ certificate, key }) =>
        signDetached({
          content: json,
          certificate,
          key,
          includeCertificates: [],
          signingTimeMs: startMs + 60_000,
        }),
      )
      .reduce(mergeSignedData);
    const report = await judge(made.files, {
      receipts: [receipt("receipt-1", json, p7s), receipt("receipt-2", json, p7s), ownReceipt()],
    });
    expect(report.verdict).toBe("invalid");
    const refused = report.findings.filter(({ code }) => code === "SIGNED_DATA_REFUSED");
    expect(refused.filter(({ message }) => message.includes("[PATH_TOO_COMPLEX]")).length).toBe(28);
    expect(refused.length).toBe(128);
    // Who had a path before is not refused for that.
    expect(report.receiptedEntries).toBe(5);
  });

  test("that nothing hangs on are not tried with every CA of that name without end", async () => {
    const key = made.alice.key;
    const unsigned = Array.from({ length: 60 }, (_, i) =>
      forge({
        key,
        subject: encodeName("X"),
        serial: encodeInteger(i + 1),
        extensions: [extensions.ca()],
        // Not for this key, so that it costs nothing to find it wrong.
        innerAlgorithm: encodeSignatureAlgorithm("ed25519"),
        outerAlgorithm: encodeSignatureAlgorithm("ed25519"),
      }),
    );
    const report = await judge({
      "transcript.jsonl": encodeUtf8("torn"),
      "certificates.pem": pem(...unsigned),
    });
    expect(report.verdict).toBe("invalid");
    expect(codes(report, "error").filter((code) => code === "CERTIFICATES_MALFORMED").length).toBe(1);
    // Each is tried with all 60.
    expect(codes(report, "error").filter((code) => code === "CERTIFICATE_REFUSED").length).toBe(34);
  });

  test("with the same names and other keys can't write", async () => {
    const otherAlice = await made.organisation.user("alice");
    const { entry, index, at } = made.conversation.lines[1] ?? {};
    if (entry === undefined) throw new Error("no entry");
    for (const sender of [made.alice.fingerprint, otherAlice.fingerprint]) {
      const forged = signEntry({ ...entry, sender }, entry.ct, otherAlice.key);
      const lines = text(made.files, "transcript.jsonl").split("\n");
      lines[1] = formatTranscriptLine({ entry: forged, index: index ?? 1, at: at ?? 0 });
      const certificates = pem(
        made.alice.certificate,
        made.bob.certificate,
        made.server.certificate,
        otherAlice.certificate,
        authority.ca,
      );
      const report = await judge({
        ...withoutReceipts(made.files),
        "certificates.pem": certificates,
        "transcript.jsonl": encodeUtf8(lines.join("\n")),
      });
      expect(report.verdict).toBe("invalid");
      expect(report.findings[0]).toMatchObject({ code: "ENTRY_REFUSED", where: "line 2" });
    }
  });
});

describe("checkpoints and counts", () => {
  test("of size 0 are refused, giant ones are about more than there is", async () => {
    const line = checkpointLine(made.conversation, made.server);
    const zero = await judge({
      ...made.files,
      "checkpoints.jsonl": encodeUtf8(line.replace('"size":5', '"size":0')),
    });
    expect(codes(zero, "error")).toEqual(["CHECKPOINT_MALFORMED"]);

    const { conversation, server } = made;
    const giant = signCheckpoint(
      {
        conversation: conversation.id,
        size: Number.MAX_SAFE_INTEGER,
        root: conversation.state.root,
        at: conversation.state.lastAt,
        server: server.fingerprint,
      },
      server.key,
    );
    const report = await judge({
      ...made.files,
      "checkpoints.jsonl": encodeUtf8(`${formatCheckpoint(giant)}\n`),
    });
    expect([report.verdict, codes(report, "gap")]).toEqual(["incomplete", ["CHECKPOINT_BEYOND"]]);
    const late = signCheckpoint({ ...giant, size: 5, at: Number.MAX_SAFE_INTEGER }, server.key);
    const times = await judge({
      ...made.files,
      "checkpoints.jsonl": encodeUtf8(`${formatCheckpoint(late)}\n`),
    });
    expect(codes(times, "error")).toContain("CHECKPOINT_REFUSED");
  });

  test("of a giant statement cost nothing", async () => {
    const json = text(made.files, "receipt.json").replace('"size":5', `"size":${Number.MAX_SAFE_INTEGER}`);
    const report = await judge(withoutReceipts(made.files), {
      receipts: [receipt("receipt", encodeUtf8(json), undefined)],
    });
    expect(codes(report, "gap")).toEqual([
      "SIGNED_DATA_MISSING",
      "STATEMENT_BEYOND",
      "NO_SERVER_SIGNATURE",
      "NO_MEMBER_SIGNATURE",
    ]);
  });

  test("that are refused in bulk are not looked at without end", async () => {
    const bad = checkpointLine(made.conversation, made.server).replace(/"at":\d+/, '"at":1');
    const report = await judge({ ...made.files, "checkpoints.jsonl": encodeUtf8(bad.repeat(5000)) });
    expect(report.findings.filter(({ code }) => code === "CHECKPOINT_REFUSED").length).toBe(100);
    expect(codes(report, "error")).toContain("CHECKPOINT_MALFORMED");
  });

  test("of findings are summed up", async () => {
    const entries = Array.from({ length: 3 * maxFindingsPerCode }, (_, i) => ({
      index: 100 + i,
      opening: encodeHex(opening),
      plaintext: words,
    }));
    const disclosure = encodeDisclosure({ conversation: made.conversation.id, entries });
    const report = await judge({ ...made.files, "disclosure.json": disclosure });
    expect(report.verdict).toBe("invalid");
    expect(report.findings.filter(({ code }) => code === "DISCLOSURE_REFUSED").length).toBe(
      maxFindingsPerCode,
    );
    expect(report.findings.at(-1)).toMatchObject({ code: "MORE" });
    expect(report.findings.at(-1)?.message).toStartWith(`${2 * maxFindingsPerCode} more`);
  });

  test("a transcript with nothing but its first entry is told as it is", async () => {
    const report = await judge(withoutReceipts(await folderOf({ ...made, conversation: forkAt(made, 1) })));
    expect(report).toMatchObject({ verdict: "incomplete", entries: 1, messages: 0, withheld: [] });
    const shown = formatReport(report);
    expect(shown).toContain(
      "alice <alice@example.org>: 0 messages; has signed for nothing but what it wrote",
    );
    expect(shown).toContain("bob <bob@example.org>: 0 messages; has signed for nothing;");
  });
});

describe("words", () => {
  test("disclosed twice with different words: what was proven stays, the other file is refused", async () => {
    const other = encodeDisclosure({
      conversation: made.conversation.id,
      entries: [{ index: 1, opening: encodeHex(opening), plaintext: "hullo" }],
    });
    const input = inputOf(made.files, [authority.ca]);
    for (const order of [
      [...input.disclosures, { name: "other.json", bytes: other }],
      [{ name: "other.json", bytes: other }, ...input.disclosures],
    ]) {
      const report = await judge(made.files, { disclosures: order });
      expect(report.words.map(({ text }) => text)).toEqual([words]);
      expect(report.findings).toContainEqual(
        expect.objectContaining({
          code: "DISCLOSURE_REFUSED",
          file: "other.json",
          where: "field entries[0]",
        }),
      );
    }
  });

  test("disputed often by one member are disputed once, and a dispute about no message says so", async () => {
    const conversation = forkAt(made, 5);
    for (let i = 0; i < 3; i++) conversation.post(conversation.acknowledge(made.bob, { disputed: [0, 1] }));
    const report = await judge(await folderOf({ ...made, conversation }));
    expect(report.words[0]?.disputedBy).toEqual(["bob"]);
    const disputes = report.findings.filter(({ code }) => code === "DISPUTED");
    expect(disputes.map(({ where }) => where)).toEqual(["line 1", "line 2"]);
    expect(disputes[0]?.message).toContain("which is no message");
  });

  test("tell how much their author had not seen, and list no more than a hundred", async () => {
    const conversation = forkAt(made, 5);
    const view = { size: conversation.state.size, root: conversation.state.root };
    conversation.post(conversation.message(made.alice, { view }));
    for (let i = 0; i < 150; i++) conversation.post(conversation.message(made.bob));
    conversation.post(conversation.message(made.alice, { view }));
    const index = conversation.state.size - 1;
    const disclosure = encodeDisclosure({
      conversation: conversation.id,
      entries: [{ index, opening: encodeHex(opening), plaintext: words }],
    });
    const files = { ...(await folderOf({ ...made, conversation })), "disclosure.json": disclosure };
    const report = await judge(files);
    // Its own entry at index 5 is no surprise to alice.
    expect(report.words[0]).toMatchObject({ index, unseenCount: 150 });
    expect(report.words[0]?.unseen).toEqual(Array.from({ length: 100 }, (_, i) => 6 + i));
    expect(formatReport(report)).toContain("before its author had seen entries 6-105 and 50 more");
  });
});

describe("revocation", () => {
  /** bob's only message is entry 2, his acknowledgement entry 4. */
  const at = (index: number) => made.conversation.lines[index]?.at ?? 0;
  const revoke = (device: Device, atMs: number) => authority.crl([{ certificate: device.certificate, atMs }]);

  test("counts from its very time on", async () => {
    const early = await judge(made.files, { crls: [revoke(made.bob, at(4))] });
    expect(early.findings).toContainEqual(
      expect.objectContaining({ level: "error", code: "SIGNER_REVOKED", where: "line 5" }),
    );
    const later = await judge(made.files, { crls: [revoke(made.bob, at(4) + 3000)] });
    expect(later.verdict).toBe("valid");
    expect(later.findings).toContainEqual(
      expect.objectContaining({ level: "note", code: "SIGNER_REVOKED", where: "sender bob" }),
    );
  });

  test("can't be claimed by somebody who only calls itself the CA", async () => {
    const impostor = await createTestAuthority({ nowMs: startMs });
    const crl = impostor.crl([{ certificate: made.alice.certificate, atMs: startMs - 1000 }]);
    const files = {
      ...made.files,
      "crl.pem": crlPem(crl),
      "certificates.pem": pem(
        made.alice.certificate,
        made.bob.certificate,
        made.server.certificate,
        impostor.ca,
        authority.ca,
      ),
    };
    const report = await judge(files);
    expect(codes(report, "error").sort()).toEqual(["CERTIFICATE_UNUSED", "CRL_REFUSED"]);
    expect(report.findings.some(({ code }) => code === "SIGNER_REVOKED")).toBe(false);
  });

  test("lists: a changed one is false, the verifier's own that fits nothing is something missing", async () => {
    const crl = authority.crl([]);
    const bytes = crlPem(crl);
    const good = await judge({ ...made.files, "crl.pem": bytes });
    expect([good.verdict, codes(good, "error")]).toEqual(["valid", []]);
    const unnoticed: number[] = [];
    for (let position = 0; position < bytes.length; position++) {
      const changed = Uint8Array.from(bytes);
      changed[position] = (changed[position] ?? 0) ^ (1 << (position % 8));
      const report = await judge({ ...made.files, "crl.pem": changed });
      if (!report.findings.some(({ level, file }) => level === "error" && file === "crl.pem"))
        unnoticed.push(position);
    }
    expect(unnoticed).toEqual([]);
    const stranger = await createTestAuthority({ nowMs: startMs, name: "Other CA" });
    const foreign = await judge(made.files, { crls: [stranger.crl([])] });
    expect([foreign.verdict, codes(foreign, "gap")]).toEqual(["incomplete", ["CRL_REFUSED"]]);
  });

  test("lists of other issuing CAs, in one file with those that are needed, take nothing away", async () => {
    const root = await createTestAuthority({ nowMs: startMs, name: "Root", intermediates: true });
    const [below, other] = [await root.issueIntermediate("Below"), await root.issueIntermediate("Other")];
    const evidence = await makeEvidence(new Organisation(below));
    const { alice, bob, server } = evidence;
    const files = {
      ...evidence.files,
      "certificates.pem": pem(alice.certificate, bob.certificate, server.certificate, below.ca, root.ca),
    };
    const anchors = [root.ca];
    const all = await judge(files, { anchors, crls: [root.crl(), below.crl(), other.crl()] });
    expect([all.verdict, codes(all, "gap")]).toEqual(["valid", []]);
    expect(all.findings).toContainEqual(expect.objectContaining({ level: "note", code: "CRL_REFUSED" }));
    const none = await judge(files, { anchors, crls: [other.crl()] });
    expect([none.verdict, codes(none, "gap")]).toEqual(["incomplete", ["CRL_REFUSED"]]);
    // Of the name of a CA that counts, but not by its key.
    const impostor = await createTestAuthority({ nowMs: startMs, name: "Root" });
    const forged = await judge(files, { anchors, crls: [root.crl(), impostor.crl()] });
    expect([forged.verdict, codes(forged, "gap")]).toEqual(["incomplete", ["CRL_REFUSED"]]);

    // Where the issuing CA's certificate is missing, its list in the folder can't be judged; that does not make it false.
    const lists = concatBytes(crlPem(root.crl()), crlPem(below.crl()));
    const bare = without(withoutReceipts({ ...files, "crl.pem": lists }), "certificates.pem");
    const missing = await judge(bare, { anchors });
    expect([missing.verdict, codes(missing, "error")]).toEqual(["indeterminate", []]);
    expect(codes(missing, "gap")).toContain("CRL_REFUSED");
  });

  test("lists older than the last entry are said to be", async () => {
    const unknown = (report: Report) =>
      report.findings.find(({ code }) => code === "REVOCATION_UNKNOWN")?.message;
    expect(unknown(await judge(made.files))).toContain("no revocation list was at hand");
    expect(unknown(await judge({ ...made.files, "crl.pem": crlPem(authority.crl([])) }))).toContain(
      "before the last entry",
    );
    const fresh = authority.crl([], { thisUpdateMs: startMs + 3_600_000 });
    expect(unknown(await judge(made.files, { crls: [fresh] }))).toBeUndefined();
  });

  test("that a member claims in order to remove another is compared with the lists at hand", async () => {
    const carol = await made.organisation.user("carol");
    const conversation = new Conversation(certificatesOf(made.organisation));
    const rows = roster(made.alice.row(), made.bob.row(), carol.row());
    conversation.post(
      conversation.create(made.alice, made.server, { kind: "group", title: "Group", roster: rows }),
    );
    conversation.post(
      conversation.membership(carol, {
        action: "remove",
        roster: rows.filter(({ username }) => username !== "bob"),
        crl: "7",
      }),
    );
    const files = {
      ...(await folderOf({ ...made, conversation, bob: carol })),
      "certificates.pem": pem(
        ...[made.alice, made.bob, carol, made.server].map(({ certificate }) => certificate),
        authority.ca,
      ),
    };
    const claims = async (...crls: Crl[]) => {
      const { verdict, findings } = await judge(without(files, "disclosure.json"), { crls });
      return [verdict, ...findings.filter(({ code }) => code === "REMOVAL_UNPROVEN").map((f) => f.message)];
    };
    const text = `carol removed the certificate ${made.bob.fingerprint} of bob, saying that list 7 revokes it: `;
    const fresh = { thisUpdateMs: startMs + 3_600_000 };
    const bob = { certificate: made.bob.certificate, atMs: startMs };
    expect(await claims()).toEqual(["valid", `${text}no list at hand says so; --crl FILE brings one`]);
    expect(await claims(authority.crl([], fresh))).toEqual([
      "valid",
      `${text}the list of 2027-01-15T09:00:00.000Z denies that`,
    ]);
    // Revoked later, it was not when carol said so.
    const later = { ...bob, atMs: startMs + 60_000 };
    expect(await claims(authority.crl([later], fresh))).toHaveLength(2);
    expect(await claims(authority.crl([bob], fresh))).toEqual(["valid"]);
  });

  test("takes the weight from a signature that nothing but its signer dates", async () => {
    const later = { crls: [revoke(made.bob, at(4) + 60_000)] };
    const { json, p7s } = await receiptOf(made, made.bob, made.server);
    const [byBob, byServer] = p7s;
    if (byBob === undefined || byServer === undefined) throw new Error("no signatures");
    const undated = await judge(withoutReceipts(made.files), {
      ...later,
      receipts: [receipt("receipt", json, mergeSignedData(byBob, byServer))],
    });
    expect([undated.verdict, codes(undated, "gap")]).toEqual(["incomplete", ["NO_MEMBER_SIGNATURE"]]);
    expect(undated.members.map(({ receiptSize }) => receiptSize)).toEqual([0, 0]);
    const dated = await judge(made.files, later);
    expect(dated.verdict).toBe("valid");
  });

  test("is not undone by a counter signature that the server dated back", async () => {
    // bob has written nothing since; alice has, so the statement can't be older than her entry.
    const conversation = forkAt(made, 3);
    const revokedAt = conversation.now;
    conversation.now += 60_000;
    conversation.post(conversation.message(made.alice));
    const group = { ...made, conversation };
    const { json, p7s } = await receiptOf(group, made.bob, made.server);
    const [byBob, byServer] = p7s;
    if (byBob === undefined || byServer === undefined) throw new Error("no signatures");
    const back = countersign(byBob, made.bob.fingerprint, {
      certificate: made.server.certificate,
      key: made.server.key,
      signingTimeMs: revokedAt - 5000,
    });
    const report = await judge(withoutReceipts(await folderOf(group)), {
      crls: [revoke(made.bob, revokedAt)],
      receipts: [receipt("receipt", json, mergeSignedData(back, byServer))],
    });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ level: "error", code: "SIGNED_DATA_REFUSED", where: "signer bob" }),
    );
  });

  test("of an authority in between revokes what it issued", async () => {
    const root = await createTestAuthority({ nowMs: startMs, name: "Root", intermediates: true });
    const below = await root.issueIntermediate("Below");
    const evidence = await makeEvidence(new Organisation(below));
    const files = {
      ...without(evidence.files, "receipt.json", "receipt.p7s"),
      "certificates.pem": pem(
        evidence.alice.certificate,
        evidence.bob.certificate,
        evidence.server.certificate,
        below.ca,
        root.ca,
      ),
    };
    const clean = await judge(files, { anchors: [root.ca] });
    expect(codes(clean, "error")).toEqual([]);
    const crl = root.crl([{ certificate: below.ca, atMs: startMs }]);
    const report = await judge(files, { anchors: [root.ca], crls: [crl] });
    expect(codes(report, "error")).toContain("SIGNER_REVOKED");
  });
});

describe("time", () => {
  const rests = (report: Report) => report.findings.filter(({ code }) => code === "TIME_RESTS_ON_SERVER");

  test("rests on the server alone when it is a member, also with its counter signatures", async () => {
    const conversation = new Conversation(certificatesOf(made.organisation));
    conversation.post(
      conversation.create(made.alice, made.server, { roster: roster(made.alice.row(), made.server.row()) }),
    );
    conversation.post(conversation.message(made.alice));
    conversation.post(conversation.message(made.server));
    const group = { ...made, conversation };
    const { json, p7s } = await receiptOf(group, made.alice, made.server);
    const [byAlice, byServer] = p7s;
    if (byAlice === undefined || byServer === undefined) throw new Error("no signatures");
    const dated = countersign(byAlice, made.alice.fingerprint, {
      certificate: made.server.certificate,
      key: made.server.key,
      signingTimeMs: conversation.now,
    });
    const files = {
      ...withoutReceipts(await folderOf({ ...group, bob: made.alice })),
      "certificates.pem": pem(made.alice.certificate, made.server.certificate, authority.ca),
    };
    const report = await judge(files, {
      receipts: [receipt("receipt", json, mergeSignedData(dated, byServer))],
    });
    expect(report.verdict).toBe("valid");
    expect(rests(report)).toMatchObject([{ level: "note", where: "" }]);
    expect(rests(report)[0]?.message).toContain(serverName);
    // The server's own signature is not that of a member too.
    const alone = await judge(files, { receipts: [receipt("receipt", json, byServer)] });
    expect([alone.verdict, codes(alone, "gap")]).toEqual(["incomplete", ["NO_MEMBER_SIGNATURE"]]);
  });

  test("of the last entries rests on it when no member has signed later", async () => {
    expect(rests(await judge(made.files))).toEqual([]);
    const report = await judge(withoutReceipts(made.files));
    expect(rests(report)).toMatchObject([{ where: "line 5" }]);
    const longer = forkAt(made, 5);
    const view = { size: 5, root: longer.state.root };
    for (let i = 0; i < 3; i++) longer.post(longer.message(made.alice, { view }));
    const blind = await judge(withoutReceipts(await folderOf({ ...made, conversation: longer })));
    expect(rests(blind)).toMatchObject([{ where: "lines 6 to 8" }]);
  });
});
