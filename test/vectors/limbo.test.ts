import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type PemPathRequest, type PemPathResult, verifyPem } from "../../src/pki/verifyPem.ts";
import { announceMissingVectors, vectorsFolder } from "./vectorsFolder.ts";

/** A test case of C2SP/x509-limbo, as far as this test reads it. */
interface LimboCase {
  readonly id: string;
  readonly tier: "must" | "policy" | "opt" | "skip";
  readonly features: readonly string[] | null;
  readonly validation_kind: "SERVER" | "CLIENT";
  readonly trusted_certs: readonly string[];
  readonly untrusted_intermediates: readonly string[];
  readonly peer_certificate: string;
  readonly validation_time: string | null;
  readonly expected_result: "SUCCESS" | "FAILURE";
  readonly expected_peer_name: { readonly kind: "DNS" | "IP" | "RFC822"; readonly value: string } | null;
  readonly expected_peer_names:
    | readonly { readonly kind: "DNS" | "IP" | "RFC822"; readonly value: string }[]
    | null;
  readonly max_chain_depth: number | null;
  readonly crls: readonly string[] | null;
}

type Decision = readonly [verdict: "accept" | "refuse", reason: string];

const hint =
  "key identifiers are hints for building paths (RFC 5280 §4.2.1.1, §4.2.1.2); §6 doesn't ask for them, and a missing or odd hint gains an attacker nothing";
const leafless =
  "RFC 5280 §6 doesn't ask a leaf for it; the SecureChat profile does, and is tested where it is demanded";
const weak = "keys and curves that no provider here has: nothing they sign counts";
const modulus =
  "RFC 5280 and RFC 4055 know no such rule; 2048 bits and more are strong whether or not they fill an octet";
const usage =
  "keyUsage there allows keyCertSign alone, so the key is none that a server may authenticate with (RFC 5280 §4.2.1.3)";

/** The cases on which validators of good standing differ, each decided here. */
const decisions: Readonly<Record<string, Decision>> = {
  "pathlen::validation-ignores-pathlen-in-leaf": ["refuse", usage],
  "rfc5280::aki::cross-signed-root-missing-aki": ["accept", hint],
  "rfc5280::aki::intermediate-missing-aki": ["accept", hint],
  "rfc5280::aki::leaf-missing-aki": ["accept", hint],
  "rfc5280::ca-as-leaf": ["refuse", usage],
  "rfc5280::eku::ee-without-eku": ["accept", leafless],
  "rfc5280::nc::permitted-dns-match-noncritical": [
    "accept",
    "public CAs issue it so (CABF 7.1.2.5.2); it is obeyed as if it were critical, which is what matters",
  ],
  "rfc5280::no-basicconstraints": ["accept", leafless],
  "rfc5280::no-keyusage": ["accept", leafless],
  "rfc5280::serial::negative": [
    "refuse",
    "RFC 5280 §4.1.2.2: positive; revocation goes by the serial number, so it has one form",
  ],
  "rfc5280::serial::too-long": ["refuse", "RFC 5280 §4.1.2.2: at most 20 octets"],
  "rfc5280::serial::zero": [
    "refuse",
    "RFC 5280 §4.1.2.2: positive; only self-issued roots, which exist with zero, are let pass",
  ],
  "rfc5280::ski::intermediate-missing-ski": ["accept", hint],
  "rfc5280::ski::root-missing-ski": ["accept", hint],
  "webpki::aki::root-with-aki-all-fields": ["accept", hint],
  "webpki::aki::root-with-aki-authoritycertissuer": [
    "refuse",
    "RFC 5280 appendix A.2: authorityCertIssuer and authorityCertSerialNumber come together",
  ],
  "webpki::aki::root-with-aki-authoritycertserialnumber": [
    "refuse",
    "RFC 5280 appendix A.2: authorityCertIssuer and authorityCertSerialNumber come together",
  ],
  "webpki::aki::root-with-aki-missing-keyidentifier": ["accept", hint],
  "webpki::aki::root-with-aki-ski-mismatch": ["accept", hint],
  "webpki::ca-as-leaf": ["refuse", usage],
  "webpki::ee-basicconstraints-ca": [
    "accept",
    "RFC 5280 §6 lets a CA be the last certificate; the SecureChat profile doesn't",
  ],
  "webpki::eku::ee-anyeku": ["accept", "serverAuth is there; what stands beside it takes nothing away"],
  "webpki::eku::ee-critical-eku": ["accept", "RFC 5280 §4.2.1.12: critical or not, at the issuer's option"],
  "webpki::eku::ee-without-eku": ["accept", leafless],
  "webpki::eku::root-has-eku": ["accept", "it includes serverAuth, and limits what is below to that"],
  "webpki::explicit-curve": ["refuse", weak],
  "webpki::forbidden-dsa-leaf": ["refuse", weak],
  "webpki::forbidden-dsa-root": ["refuse", weak],
  "webpki::forbidden-p192-leaf": ["refuse", weak],
  "webpki::forbidden-p192-root": ["refuse", weak],
  "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf": ["accept", modulus],
  "webpki::forbidden-rsa-not-divisible-by-8-in-root": ["accept", modulus],
  "webpki::forbidden-weak-rsa-in-leaf": ["refuse", weak],
  "webpki::forbidden-weak-rsa-key-in-root": ["refuse", weak],
  "webpki::malformed-aia": ["refuse", "RFC 5280 §4.2.2.1 gives the syntax; what is read is read strictly"],
  "webpki::nc::permitted-dns-match-noncritical": ["accept", "obeyed as if it were critical"],
  "webpki::san::san-critical-with-nonempty-subject": [
    "accept",
    "RFC 5280 §4.2.1.6: SHOULD be non-critical; critical, it binds no less",
  ],
};

/** A null time means now: the suite's certificates are made to last. */
function requestOf(limbo: LimboCase, intermediates: readonly string[]): PemPathRequest {
  const names =
    limbo.expected_peer_name === null ? (limbo.expected_peer_names ?? []) : [limbo.expected_peer_name];
  const host = names.find(({ kind }) => kind !== "RFC822")?.value;
  const email = names.find(({ kind }) => kind === "RFC822")?.value;
  return {
    leaf: limbo.peer_certificate,
    intermediates: intermediates.join("\n"),
    anchors: limbo.trusted_certs.join("\n"),
    crls: (limbo.crls ?? []).join("\n"),
    purpose: limbo.validation_kind === "SERVER" ? "server" : "client",
    atMs: limbo.validation_time === null ? Date.now() : Date.parse(limbo.validation_time),
    ...(host === undefined ? {} : { host }),
    ...(email === undefined ? {} : { email }),
    ...(limbo.max_chain_depth === null ? {} : { maxIntermediates: limbo.max_chain_depth }),
  };
}

function judge(limbo: LimboCase): { result: PemPathResult; reversed: PemPathResult; ms: number } {
  const start = performance.now();
  const result = verifyPem(requestOf(limbo, limbo.untrusted_intermediates));
  const ms = performance.now() - start;
  return { result, reversed: verifyPem(requestOf(limbo, [...limbo.untrusted_intermediates].reverse())), ms };
}

const show = (result: PemPathResult) => (result.accepted ? "accepted" : `${result.code}: ${result.message}`);

if (vectorsFolder === undefined) {
  announceMissingVectors("x509-limbo path validation");
  test.skip("x509-limbo path validation", () => {});
} else {
  const file: { testcases: LimboCase[] } = await Bun.file(join(vectorsFolder, "limbo/core.json")).json();
  const ofTier = (tier: LimboCase["tier"]) => file.testcases.filter((limbo) => limbo.tier === tier);

  describe("x509-limbo", () => {
    for (const [tier, good, bad] of [
      ["must", 49, 91],
      ["opt", 8, 11],
    ] as const)
      test(`verifyPem() accepts ${good} and rejects ${bad} of the ${tier} cases, in either order of the intermediates`, () => {
        const counts = { SUCCESS: 0, FAILURE: 0 };
        const wrong: string[] = [];
        for (const limbo of ofTier(tier)) {
          const { result, reversed } = judge(limbo);
          const expected = limbo.expected_result === "SUCCESS";
          if (result.accepted === expected && reversed.accepted === expected) counts[limbo.expected_result]++;
          else
            wrong.push(
              `${limbo.id} should be ${limbo.expected_result}: ${show(result)}; reversed: ${show(reversed)}`,
            );
        }
        expect(wrong).toEqual([]);
        expect(counts).toEqual({ SUCCESS: good, FAILURE: bad });
      });

    test("verifyPem() decides every policy case as the table says", () => {
      const cases = ofTier("policy");
      expect(cases.map(({ id }) => id).sort()).toEqual(Object.keys(decisions).sort());
      for (const limbo of cases) {
        const { result, reversed } = judge(limbo);
        const verdict = (each: PemPathResult) => `${limbo.id}: ${each.accepted ? "accept" : "refuse"}`;
        const expected = `${limbo.id}: ${decisions[limbo.id]?.[0]}`;
        expect([verdict(result), verdict(reversed)]).toEqual([expected, expected]);
      }
    });

    test("verifyPem() answers every denial-of-service case within a second", () => {
      const cases = file.testcases.filter(({ features }) => features?.includes("denial-of-service"));
      expect(cases.length).toBeGreaterThan(5);
      for (const limbo of cases)
        expect({ id: limbo.id, fast: judge(limbo).ms < 1000 }).toEqual({ id: limbo.id, fast: true });
    });
  });
}
