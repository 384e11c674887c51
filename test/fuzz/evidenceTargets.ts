import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import {
  encodeDisclosure,
  maxDisclosureBytes,
  parseDisclosure,
  verifyDisclosed,
} from "../../src/evidence/disclosure.ts";
import { EvidenceError } from "../../src/evidence/evidenceError.ts";
import { formatReport } from "../../src/evidence/formatReport.ts";
import { parseStatement } from "../../src/evidence/receiptStatement.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { type Files, inputOf, makeEvidence, words } from "../evidence/madeEvidence.ts";
import { opening } from "../log/conversation.ts";
import { join } from "./byteEdits.ts";
import { idOf } from "./fileTargets.ts";
import { numbered, partOf, partsOf } from "./fixture.ts";
import { type Form, mutate } from "./mutate.ts";
import type { Prng } from "./prng.ts";
import { attemptSync, demand, type Target } from "./target.ts";

const refusals = [EvidenceError];
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

let made: ReturnType<typeof makeEvidence> | undefined;
const evidence = () => {
  made ??= makeEvidence();
  return made;
};

const statementTarget: Target = {
  name: "statement",
  form: "json",
  limitMs: 100,
  maxBytes: 200_000,
  iterations: 4000,
  async makeFixture() {
    const { files } = await evidence();
    const statement = files["receipt.json"] ?? new Uint8Array(0);
    const { members, ...rest } = JSON.parse(decoder.decode(statement));
    const many = Array.from({ length: 500 }, (_, i) => ({
      ...members[0],
      username: `u${String(i).padStart(4, "0")}`,
    }));
    const { root, size, transcript_sha256, from, to, ...head } = rest;
    const large = `${JSON.stringify({ ...head, members: many, size, root, transcript_sha256, from, to })}\n`;
    return { seeds: [statement, encodeUtf8(large)], parts: {} };
  },
  async open() {
    return (input) => {
      const parsed = attemptSync(refusals, () => parseStatement(input));
      if ("refused" in parsed) return parsed.refused;
      demand(
        equalBytes(encodeUtf8(`${JSON.stringify(parsed.value)}\n`), input),
        "a statement with two texts",
      );
      return "accepted";
    };
  },
};

const disclosureTarget: Target = {
  name: "disclosure",
  form: "json",
  limitMs: 100,
  maxBytes: 200_000,
  iterations: 4000,
  async makeFixture() {
    const { files, conversation } = await evidence();
    const entries = Array.from({ length: 1000 }, (_, index) => ({
      ...{ index, opening: encodeHex(opening), plaintext: `\u{1f600} "${index}"\n` },
    }));
    const large = encodeDisclosure({ conversation: conversation.id, entries });
    const lines = decoder.decode(files["transcript.jsonl"]).split("\n").slice(0, -1).map(encodeUtf8);
    return { seeds: [files["disclosure.json"] ?? large, large], parts: numbered("line", lines) };
  },
  async open(fixture) {
    const lines = partsOf(fixture, "line").map((line) => parseTranscriptLine(decoder.decode(line)));
    return (input) => {
      const parsed = attemptSync(refusals, () => parseDisclosure(input));
      if ("refused" in parsed) return parsed.refused;
      demand(
        input.length > maxDisclosureBytes || equalBytes(encodeDisclosure(parsed.value), input),
        "a disclosure with two texts",
      );
      const ends = parsed.value.entries.slice(0, 8).map((entry) => {
        const { conversation } = parsed.value;
        const proven = attemptSync(refusals, () =>
          verifyDisclosed(conversation, entry, lines[entry.index]?.entry),
        );
        if ("refused" in proven) return proven.refused;
        demand(entry.plaintext === words, "words are taken that nobody committed to");
        return "good";
      });
      return `accepted: ${ends.join(" | ")}`;
    };
  },
};

const forms: Readonly<Record<string, Form>> = {
  "transcript.jsonl": "jsonLines",
  "certificates.pem": "pem",
  "checkpoints.jsonl": "jsonLines",
  "receipt.json": "json",
  "receipt.p7s": "der",
  "disclosure.json": "json",
  "crl.pem": "pem",
};
const names = Object.keys(forms);

/** `uint8 name || uint32 length || bytes` for each file. */
function pack(files: Files): Uint8Array {
  return join(
    ...Object.entries(files).flatMap(([name, bytes]) => {
      const head = new Uint8Array(5);
      new DataView(head.buffer).setUint32(1, bytes.length);
      head[0] = names.indexOf(name);
      return [head, bytes];
    }),
  );
}

function unpack(packed: Uint8Array): Files {
  const files: Files = {};
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  for (let at = 0; at + 5 <= packed.length; ) {
    const length = view.getUint32(at + 1);
    const name = names[packed[at] ?? 0];
    if (name !== undefined) files[name] = packed.slice(at + 5, at + 5 + length);
    at += 5 + length;
  }
  return files;
}

/**
 * Whether a file of a folder that was found valid says what the honest one says, or less: certificates in another order,
 * words that are withheld, a checkpoint twice or left out, fewer signers.
 */
function saysNothingNew(
  name: string,
  found: Uint8Array | undefined,
  honest: Uint8Array | undefined,
): boolean {
  if (found === undefined || honest === undefined) return found === honest || isOptional(name);
  if (equalBytes(found, honest) || name === "certificates.pem") return true;
  if (name === "checkpoints.jsonl") return isWithin(linesOf(found), linesOf(honest));
  // Of the messages here each has these words under this opening: that of another one is as true.
  if (name === "disclosure.json") return isWithin(openedBy(found), openedBy(honest));
  return name === "receipt.p7s" && isWithin(signaturesOf(found), signaturesOf(honest));
}

const isOptional = (name: string) =>
  name === "disclosure.json" || name === "checkpoints.jsonl" || name === "crl.pem";
const isWithin = (found: readonly string[], honest: readonly string[]) =>
  found.every((one) => honest.includes(one));
const linesOf = (bytes: Uint8Array) => decoder.decode(bytes).split("\n");

/** Opening and words of each entry of a disclosure. */
function openedBy(file: Uint8Array): string[] {
  return parseDisclosure(file).entries.map(({ opening, plaintext }) => `${opening} ${plaintext}`);
}

function signaturesOf(file: Uint8Array): string[] {
  return decodeSignedData(file).signers.flatMap((signer) => [signer, ...signer.counterSignatures].map(idOf));
}

/** What an evidence folder holds, judged as a whole. */
const evidenceTarget: Target = {
  name: "evidence",
  form: "bytes",
  limitMs: 250,
  maxBytes: 300_000,
  iterations: 400,
  async makeFixture() {
    const { files, organisation } = await evidence();
    const other = await makeEvidence();
    const crl = encodeUtf8(formatPem("X509 CRL", organisation.ca.der));
    return {
      seeds: [
        files,
        other.files,
        { ...files, "crl.pem": crl },
        { ...files, "receipt.p7s": other.files["receipt.p7s"] ?? crl },
      ].map(pack),
      parts: { ca: organisation.ca.der, honest: pack(files) },
    };
  },
  async open(fixture) {
    const anchors = [decodeCertificate(partOf(fixture, "ca"))];
    const honest = unpack(partOf(fixture, "honest"));
    return async (input) => {
      const files = unpack(input);
      const report = await verifyEvidence(inputOf(files, anchors));
      const text = formatReport(report);
      demand(
        !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(text),
        "the report has control characters",
      );
      if (report.verdict === "valid") {
        const changed = names.filter((name) => !saysNothingNew(name, files[name], honest[name]));
        demand(changed.length === 0, `valid although it was changed: ${changed.join(", ")}`);
        demand(
          report.words.every(({ text: said }) => said === words),
          "words that nobody wrote",
        );
      }
      const codes = [...new Set(report.findings.map(({ code }) => code))].join(" ");
      return `${report.verdict === "valid" ? "accepted" : report.verdict}: ${codes}`;
    };
  },
  mutate(prng: Prng, packed, corpus) {
    const files = unpack(packed);
    for (let times = 1 + prng.small(2); times > 0; times--) {
      const present = names.filter((name) => files[name] !== undefined);
      if (present.length === 0) break;
      const name = prng.pick(present);
      const other = unpack(prng.pick(corpus))[name];
      const bytes = files[name] ?? new Uint8Array(0);
      switch (prng.below(8)) {
        case 0:
          delete files[name];
          break;
        case 1:
          if (other !== undefined) files[name] = other;
          break;
        case 2:
          files[prng.pick(names)] = bytes;
          break;
        default: {
          const others = [bytes, ...(other === undefined ? [] : [other])];
          files[name] = mutate(prng, forms[name] ?? "bytes", bytes, others, 60_000);
        }
      }
    }
    return pack(files);
  },
};

export const evidenceTargets: readonly Target[] = [statementTarget, disclosureTarget, evidenceTarget];
