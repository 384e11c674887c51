import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { compareEvidence } from "../../src/evidence/compareEvidence.ts";
import type { ProofFiles } from "../../src/evidence/forkFile.ts";
import { formatForkProof } from "../../src/evidence/formatComparison.ts";
import { verifyForkProof } from "../../src/evidence/verifyForkProof.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { maxCrlsPerFile, parseCrlBundle } from "../../src/pki/crlBundle.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import { forkAt, without, withoutReceipts } from "../evidence/forkedEvidence.ts";
import { folderOf, inputOf, makeEvidence } from "../evidence/madeEvidence.ts";
import { Organisation, startMs } from "../log/organisation.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { partOf } from "./fixture.ts";
import { pkiSeeds } from "./pkiSeeds.ts";
import { attemptSync, demand, type Target } from "./target.ts";

/** The file that an operator or a member hands in as the revocation lists. */
export const crlBundleTarget: Target = {
  name: "crlBundle",
  form: "derOrPem",
  limitMs: 200,
  maxBytes: 300_000,
  iterations: 1500,
  async makeFixture() {
    const { crls, root, intermediate } = await pkiSeeds();
    const pem = crls.map((der) => formatPem("X509 CRL", der));
    const certificates = [root, intermediate].map(({ ca }) => formatPem("CERTIFICATE", ca.der));
    const texts = [
      pem.join(""),
      `${pem.join("text between\n")}${certificates.join("")}`,
      certificates.join(""),
    ];
    return { seeds: [...crls, ...texts.map(encodeUtf8)], parts: {} };
  },
  async open() {
    return (input) => {
      const parsed = attemptSync([PkiError], () => parseCrlBundle(input));
      if ("refused" in parsed) return parsed.refused;
      const { crls, certificates } = parsed.value;
      demand(crls.length >= 1 && crls.length <= maxCrlsPerFile, `${crls.length} lists`);
      demand(certificates.length <= maxCrlsPerFile, `${certificates.length} certificates`);
      return `accepted ${crls.length} ${certificates.length}`;
    };
  },
};

const proofNames = ["checkpoints", "linked"] as const;

/** A folder that proves a fork, with one file changed: it proves nothing, or the same. */
export const forkProofTarget: Target = {
  name: "forkProof",
  form: "derOrPem",
  limitMs: 200,
  maxBytes: 60_000,
  iterations: 200,
  async makeFixture() {
    const authority = await createTestAuthority({ nowMs: startMs });
    const { ca } = authority;
    const made = await makeEvidence(new Organisation(authority));
    const parts: Record<string, Uint8Array> = { ca: ca.der };
    const anchors = [ca];
    for (const name of proofNames) {
      const other = forkAt(made, name === "linked" ? 3 : 2);
      for (let i = 0; i < 3; i++) other.post(other.message(made.bob, { ts: other.now + 1 }));
      const forked = await folderOf({ ...made, conversation: other });
      const sides = [
        withoutReceipts(made.files),
        name === "linked" ? without(forked, "checkpoints.jsonl") : withoutReceipts(forked),
      ].map((files, i) => ({ name: `${i}`, input: inputOf(files, anchors) }));
      const [first, second] = sides;
      if (first === undefined || second === undefined) throw new Error("no sides");
      const { proof } = await compareEvidence(first, second);
      if (proof === undefined) throw new Error(`no proof ${name}`);
      for (const [file, bytes] of proof) parts[`${name}.${file}`] = bytes;
    }
    const seeds = Object.entries(parts).flatMap(([file, bytes]) => (file === "ca" ? [] : [bytes]));
    return { seeds, parts };
  },
  async open(fixture) {
    const anchors = [decodeCertificate(partOf(fixture, "ca"))];
    const honest = proofNames.map(
      (name): ProofFiles =>
        new Map(
          Object.entries(fixture.parts).flatMap(([file, bytes]) =>
            file.startsWith(`${name}.`) ? [[file.slice(name.length + 1), bytes] as const] : [],
          ),
        ),
    );
    const judge = (files: ProofFiles) => verifyForkProof(files, { anchors, crls: [] });
    const said = honest.map((files) => formatForkProof(judge(files)));
    return (input) => {
      const refused = new Set<string>();
      for (const [i, files] of honest.entries())
        for (const [name, bytes] of files) {
          const report = judge(new Map([...files, [name, input]]));
          const isSame = name === "README.txt" || equalBytes(bytes, input);
          if (report.verdict !== "fork") refused.add(report.findings[0]?.message ?? "");
          else if (!isSame)
            demand(formatForkProof(report) === said[i], `a changed ${name} proves something else`);
        }
      // Most inputs are no good in the place of most files; in their own place some are.
      return `accepted ${[...refused].at(-1)}`;
    };
  },
};
