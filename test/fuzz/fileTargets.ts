import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { CryptoError, crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { countersign } from "../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../src/pki/cms/mergeSignedData.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { decodeSignedData, type SignerInfo } from "../../src/pki/cms/signedData.ts";
import { uncoveredParts } from "../../src/pki/cms/uncoveredParts.ts";
import { verifySigner } from "../../src/pki/cms/verifySigner.ts";
import { derTags, readDer } from "../../src/pki/der.ts";
import { decodePrivateKey, decodePrivateKeyInfo, encodePrivateKey } from "../../src/pki/keyFile.ts";
import { formatPem, pemBlocks } from "../../src/pki/pem.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { verifyPem } from "../../src/pki/verifyPem.ts";
import { withTokens } from "../pki/cms/signedDataFile.ts";
import { join } from "./byteEdits.ts";
import { numbered, partOf, partsOf } from "./fixture.ts";
import { passphrase, pkiSeeds } from "./pkiSeeds.ts";
import { attempt, attemptSync, demand, type Target } from "./target.ts";

const refusals = [PkiError];
const decoder = new TextDecoder();

/** SignedData with counter signatures, as a verifier of evidence judges it. */
export const cmsTarget: Target = {
  name: "cms",
  form: "der",
  limitMs: 100,
  maxBytes: 262_200,
  iterations: 1500,
  async makeFixture() {
    const { root, intermediate, people, server, nowMs } = await pkiSeeds();
    const content = encodeUtf8('{"type":"receipt"}\n');
    const includeCertificates = [intermediate.ca];
    const sign = ({ certificate, key }: (typeof people)[number]) =>
      signDetached({ content, certificate, key, includeCertificates, signingTimeMs: nowMs });
    const single = people.map(sign);
    const stamped = single.map((signed, i) =>
      countersign(signed, people[i]?.certificate.fingerprint ?? server.certificate.fingerprint, {
        ...server,
        includeCertificates,
        signingTimeMs: nowMs + 1000,
      }),
    );
    const all = [...stamped, sign(server)].reduce(mergeSignedData);
    const [first = all] = stamped;
    const token = withTokens(single[0] ?? all, root.ca.der);
    return {
      seeds: [...single, ...stamped, all, mergeSignedData(first, single[1] ?? first), token],
      parts: { content, anchor: root.ca.der, nowMs: encodeUtf8(String(nowMs)) },
    };
  },
  async open(fixture) {
    const content = partOf(fixture, "content");
    const anchors = [decodeCertificate(partOf(fixture, "anchor"))];
    const atMs = Number(decoder.decode(partOf(fixture, "nowMs"))) + 2000;
    const made = new Set(
      fixture.seeds
        .flatMap((seed) => decodeSignedData(seed).signers)
        .flatMap((signer) => [
          idOf(signer),
          ...signer.counterSignatures.map((counter) => `${idOf(signer)} ${idOf(counter)}`),
        ]),
    );
    const [first] = fixture.seeds;
    return (input) => {
      const merged = attemptSync(refusals, () => mergeSignedData(first ?? input, input));
      const decoded = attemptSync(refusals, () => decodeSignedData(input));
      if ("refused" in decoded) {
        demand("refused" in merged, "merged what can't be read");
        return decoded.refused;
      }
      const { signers, certificates } = decoded.value;
      demand(equalBytes(mergeSignedData(input, input), input), "joined with itself it is another file");
      const whole = attemptSync(refusals, () => {
        for (const signer of signers) verifySigner(signer, content);
        const paths = signers
          .flatMap((signer) => [signer, ...signer.counterSignatures])
          .map(({ certificate }) =>
            verifyPath({
              leaf: certificate,
              intermediates: certificates,
              anchors,
              crls: [],
              purpose: "evidence",
              atMs,
            }),
          );
        return uncoveredParts(decoded.value, paths);
      });
      if ("refused" in whole) return `read, ${whole.refused}`;
      for (const signer of signers) {
        demand(made.has(idOf(signer)), "a signature is taken for one that was made");
        for (const counter of signer.counterSignatures)
          demand(
            made.has(`${idOf(signer)} ${idOf(counter)}`),
            "a counter signature is taken for one that was made",
          );
      }
      return `accepted: ${whole.value.length} uncovered`;
    };
  },
};

/** What a signer has signed, and with what. */
export function idOf({ fingerprint, signedAttributes, signature }: SignerInfo): string {
  return `${fingerprint} ${encodeHex(signedAttributes.der)} ${encodeHex(signature)}`;
}

/** PEM text as PEM, and as the certificates of a path: leaf, intermediates, in any number. */
export const pemTarget: Target = {
  name: "pem",
  form: "pem",
  limitMs: 100,
  maxBytes: 131_072,
  iterations: 2000,
  async makeFixture() {
    const { certificates, crls, keyFiles, people, server, intermediate, root, nowMs } = await pkiSeeds();
    const pem = (label: string, ...ders: readonly Uint8Array[]) =>
      encodeUtf8(ders.map((der) => formatPem(label, der)).join(""));
    const chains = [...people, server].map(({ certificate }) =>
      pem("CERTIFICATE", certificate.der, intermediate.ca.der, root.ca.der),
    );
    const mixed = join(
      chains[0] ?? new Uint8Array(0),
      pem("X509 CRL", ...crls),
      keyFiles[0] ?? new Uint8Array(0),
    );
    return {
      seeds: [
        ...chains,
        mixed,
        pem("CERTIFICATE", ...certificates.slice(0, 12)),
        ...crls.map((der) => pem("X509 CRL", der)),
      ],
      parts: {
        anchor: pem("CERTIFICATE", root.ca.der),
        nowMs: encodeUtf8(String(nowMs)),
        ...numbered("crl", crls.slice(0, 1)),
      },
    };
  },
  async open(fixture) {
    const anchors = decoder.decode(partOf(fixture, "anchor"));
    const atMs = Number(decoder.decode(partOf(fixture, "nowMs")));
    const crls = partsOf(fixture, "crl")
      .map((der) => formatPem("X509 CRL", der))
      .join("");
    const made = new Set(
      fixture.seeds.flatMap((seed) => pemBlocks(decoder.decode(seed)).map(({ der }) => encodeHex(der))),
    );
    return (input) => {
      const parsed = attemptSync(refusals, () => pemBlocks(decoder.decode(input)));
      if ("refused" in parsed) return parsed.refused;
      const blocks = parsed.value;
      const again = pemBlocks(blocks.map(({ label, der }) => formatPem(label, der)).join(""));
      demand(
        again.length === blocks.length &&
          again.every(({ label, der }, i) => label === blocks[i]?.label && equalBytes(der, blocks[i].der)),
        "written and read again it is another file",
      );
      const [leaf, ...rest] = blocks.filter(({ label }) => label === "CERTIFICATE");
      if (leaf === undefined) return `accepted: ${blocks.length} blocks`;
      const certificatePem = (ders: readonly { der: Uint8Array }[]) =>
        ders.map(({ der }) => formatPem("CERTIFICATE", der)).join("");
      const ends = (["server", "client", "evidence"] as const).map((purpose) => {
        const result = verifyPem({
          ...{ leaf: certificatePem([leaf]), intermediates: certificatePem(rest), anchors, purpose, atMs },
          ...{ profile: "securechat", crls },
        });
        if (!result.accepted) return result.code;
        const foreign = result.path.chain.filter(({ der }) => !made.has(encodeHex(der)));
        demand(foreign.every(isMalleable), "a certificate on the path is one that nobody issued");
        return "good";
      });
      return `accepted: ${ends.join(" ")}`;
    };
  },
};

/** An ECDSA signature over the same bytes can be another one: (r, n - s). */
function isMalleable({ signatureScheme }: Certificate): boolean {
  return signatureScheme?.startsWith("ecdsa") === true;
}

/** What a key file may ask for here; it may ask for more (its owner waits), which would only slow the run down. */
const maxIterations = 5000;

export const keyFileTarget: Target = {
  name: "keyFile",
  form: "pem",
  limitMs: 100,
  maxBytes: 65_536,
  iterations: 2000,
  async makeFixture() {
    const { keyFiles, people } = await pkiSeeds();
    const own = await Promise.all(
      people.map(({ pkcs8 }) => encodePrivateKey(pkcs8, { random: systemRandom })),
    );
    return { seeds: [...keyFiles, ...own.map(encodeUtf8)], parts: {} };
  },
  async open() {
    return async (input) => {
      const pem = decoder.decode(input);
      const plain = await attempt(refusals, () => decodePrivateKey(pem));
      let result = plain;
      if ("refused" in plain && plain.refused.startsWith("PASSPHRASE_REQUIRED")) {
        if (iterationsOf(pem) > maxIterations) return "asks for many iterations";
        result = await attempt(refusals, () => decodePrivateKey(pem, passphrase));
        const opened = await attempt(refusals, () => decodePrivateKeyInfo(pem, passphrase));
        demand("value" in opened || "refused" in result, "imported, but can't be opened");
      }
      if ("refused" in result) return result.refused;
      // A key that signs what its own public half does not verify would tell its owner's secret (RSA) or be of no use.
      const key = result.value;
      const publicKey = attemptSync([CryptoError], () => crypto().importPublicKey(key.spki));
      demand("value" in publicKey, "a private key whose public half is none");
      if ("value" in publicKey)
        demand(
          publicKey.value.verify(key.scheme, input, key.sign(input)),
          "a key whose signatures do not verify",
        );
      return `accepted: ${key.type}`;
    };
  },
};

/** The iterations that the first encrypted block of a key file names; 0 when they can't be found. */
function iterationsOf(pem: string): number {
  const read = attemptSync(refusals, () => {
    const block = pemBlocks(pem).find(({ label }) => label === "ENCRYPTED PRIVATE KEY");
    const algorithm = readDer(block?.der ?? new Uint8Array(0), derTags.sequence).sequence();
    algorithm.oid();
    const derivation = algorithm.sequence().sequence();
    derivation.oid();
    const parameters = derivation.sequence();
    parameters.octetString();
    return parameters.smallInteger(2 ** 31 - 1);
  });
  return "value" in read ? read.value : 0;
}
