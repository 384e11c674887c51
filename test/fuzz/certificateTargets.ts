import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { normalizeLowS } from "../../src/crypto/ecdsaSignature.ts";
import { type Certificate, decodeCertificate, maxCertificateBytes } from "../../src/pki/certificate.ts";
import { decodeCrl, parseCrlFile, verifyCrl } from "../../src/pki/crl.ts";
import { createCertificateRequest, parseRequestFile, verifyCertificateRequest } from "../../src/pki/csr.ts";
import { DerReader, derTags, readDer } from "../../src/pki/der.ts";
import { encodeBitString, encodeSequence } from "../../src/pki/derWriter.ts";
import { personOf, serverNames } from "../../src/pki/identity.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import { encodeSignatureAlgorithm } from "../../src/pki/signatureAlgorithm.ts";
import { type Profile, type Purpose, verifyPath } from "../../src/pki/verifyPath.ts";
import { readTree, writeTree } from "../pki/cms/derTree.ts";
import { join } from "./byteEdits.ts";
import { type Fixture, numbered, partOf, partsOf } from "./fixture.ts";
import { largeCertificates, largeCrl, largePaths } from "./largeSeeds.ts";
import { pkiSeeds } from "./pkiSeeds.ts";
import { attemptSync, demand, type Outcome, type Target } from "./target.ts";

const refusals = [PkiError];
const purposes: readonly Purpose[] = ["server", "client", "evidence"];
const profiles: readonly Profile[] = ["securechat", "rfc5280"];

const text = (value: number) => encodeUtf8(String(value));
const numberOf = (fixture: Fixture, name: string) => Number(new TextDecoder().decode(partOf(fixture, name)));

/** Runs each of them; what is refused is part of the outcome. */
function outcomes(...calls: readonly (() => unknown)[]): Outcome {
  return calls
    .map((call) => {
      const result = attemptSync(refusals, call);
      return "refused" in result ? result.refused.slice(0, 40) : "good";
    })
    .join(" | ");
}

/** One value has one encoding, so what was read must come out of a writer as it was. */
function demandOneEncoding(der: Uint8Array): void {
  demand(equalBytes(writeTree(readTree(der)), der), "accepted, but not the encoding that a writer makes");
}

/** A signature that verifies must be one that its key made: over these bytes, and for ECDSA maybe with the other S. */
function demandKnown(
  made: readonly { readonly tbs: Uint8Array; readonly signature: Uint8Array }[],
  found: { readonly tbs: Uint8Array; readonly signature: Uint8Array },
  verifies: () => boolean,
): boolean {
  const known = made.some(
    ({ tbs, signature }) =>
      equalBytes(tbs, found.tbs) && equalBytes(withLowS(signature), withLowS(found.signature)),
  );
  const good = verifies();
  demand(known || !good, "a changed value passes for one that its issuer signed");
  return good;
}

function withLowS(signature: Uint8Array): Uint8Array {
  return normalizeLowS(signature, "p256") ?? signature;
}

export const certificateTarget: Target = {
  name: "certificate",
  form: "der",
  limitMs: 100,
  maxBytes: maxCertificateBytes + 64,
  iterations: 2500,
  async makeFixture() {
    const { certificates, root, intermediate, nowMs } = await pkiSeeds();
    const authorities = [root.ca.der, intermediate.ca.der];
    return {
      seeds: [...certificates, ...largeCertificates(root.caKey)],
      parts: { nowMs: text(nowMs), ...numbered("authority", authorities) },
    };
  },
  async open(fixture) {
    const atMs = numberOf(fixture, "nowMs");
    const made = fixture.seeds.map(decodeSeed).filter((seed) => seed !== undefined);
    const authorities = partsOf(fixture, "authority").map(decodeCertificate);
    return (input) => {
      const decoded = attemptSync(refusals, () => decodeCertificate(input));
      if ("refused" in decoded) return decoded.refused;
      const certificate = decoded.value;
      demand(equalBytes(certificate.der, input), "the certificate has other bytes than were read");
      demandOneEncoding(input);
      const { signatureScheme } = certificate;
      for (const { publicKey, subject } of authorities)
        if (equalBytes(certificate.issuer, subject) && signatureScheme !== undefined)
          demandKnown(made, certificate, () =>
            publicKey.verify(signatureScheme, certificate.tbs, certificate.signature),
          );
      return `accepted: ${outcomes(
        () => personOf(certificate),
        () => serverNames(certificate),
        ...purposes.map((purpose) => () => judge(certificate, authorities, atMs, purpose)),
      )}`;
    };
  },
};

function judge(leaf: Certificate, authorities: readonly Certificate[], atMs: number, purpose: Purpose) {
  const [anchor] = authorities;
  return verifyPath({
    leaf,
    intermediates: authorities,
    anchors: anchor === undefined ? [] : [anchor],
    crls: [],
    purpose,
    atMs,
    host: "chat.example.org",
  });
}

/** Certificates that OpenSSL makes and we refuse (version 1) are good beginnings too. */
function decodeSeed(der: Uint8Array): Certificate | undefined {
  const decoded = attemptSync(refusals, () => decodeCertificate(der));
  return "value" in decoded ? decoded.value : undefined;
}

/**
 * Paths whose every certificate is well signed: the input is a row of TBSCertificates, leaf first, and the target signs
 * them all with the one key that the CA has too. So edits reach what stands behind the signature check, and rows of
 * repeated CAs make webs and loops.
 */
export const signedPathTarget: Target = {
  name: "signedPath",
  form: "der",
  limitMs: 100,
  maxBytes: 262_144,
  iterations: 1200,
  async makeFixture() {
    const { root, nowMs } = await pkiSeeds();
    const { caKey, caPkcs8 } = root;
    const { certificates } = await pkiSeeds();
    // Every seed gets the CA's key and name, so that each can stand above and below each.
    const rows = certificates.flatMap((der) => {
      const certificate = decodeSeed(der);
      return certificate === undefined ? [] : [withKey(certificate, caKey.spki, root.ca.subject)];
    });
    const seeds = [
      ...rows,
      ...rows.map((row, i) => join(row, rows[0] ?? row, rows[(i + 1) % rows.length] ?? row)),
      join(...rows),
      ...largePaths(caKey, root.ca.subject),
    ];
    return { seeds, parts: { nowMs: text(nowMs), pkcs8: caPkcs8, anchor: root.ca.der } };
  },
  async open(fixture) {
    const key = crypto().importPrivateKey(partOf(fixture, "pkcs8"));
    const anchors = [decodeCertificate(partOf(fixture, "anchor"))];
    const atMs = numberOf(fixture, "nowMs");
    const algorithm = encodeSignatureAlgorithm(key.scheme);
    const sign = (tbs: Uint8Array) => encodeSequence(tbs, algorithm, encodeBitString(key.sign(tbs)));
    return (input) => {
      const certificates: Certificate[] = [];
      let last: Outcome = "nothing to judge";
      const read = attemptSync(refusals, () => {
        const reader = new DerReader(input);
        while (!reader.atEnd && certificates.length < 64) {
          const tbs = reader.next();
          const decoded = attemptSync(refusals, () => decodeCertificate(sign(tbs.encoded)));
          if ("value" in decoded) certificates.push(decoded.value);
          else last = decoded.refused;
        }
      });
      const [leaf, ...intermediates] = certificates;
      if (leaf === undefined) return "refused" in read ? read.refused : last;
      return outcomes(
        ...purposes.flatMap((purpose) =>
          profiles.map((profile) => () => {
            const path = verifyPath({
              ...{ leaf, intermediates, anchors, crls: [], purpose, profile, atMs },
              ...(leaf.dnsNames[0] === undefined ? {} : { host: leaf.dnsNames[0] }),
            });
            demand(path.chain[0] === leaf && path.chain.at(-1) === anchors[0], "a path that leads elsewhere");
            demand(path.validFromMs <= atMs && atMs <= path.validUntilMs + 999, "a path outside of its time");
          }),
        ),
        () => personOf(leaf),
        () => serverNames(leaf),
      );
    };
  },
};

/** The TBSCertificate with another subject key and issuer; its signature is made again by the target. */
function withKey(certificate: Certificate, spki: Uint8Array, issuer: Uint8Array): Uint8Array {
  const tree = readTree(certificate.tbs);
  const at = tree.children.findIndex(
    ({ tag, children }) => tag === derTags.sequence && children[1]?.tag === derTags.bitString,
  );
  const key = readTree(spki);
  if (at !== -1) tree.children[at] = key;
  // version [0], serialNumber, signature, issuer
  tree.children[3] = readTree(issuer);
  tree.children[2] = readTree(encodeSignatureAlgorithm("ecdsa-p256-sha256"));
  return writeTree(tree);
}

export const crlTarget: Target = {
  name: "crl",
  form: "derOrPem",
  limitMs: 100,
  maxBytes: 262_144,
  iterations: 2000,
  async makeFixture() {
    const { crls, root, intermediate } = await pkiSeeds();
    const pem = crls.map((der) => encodeUtf8(formatPem("X509 CRL", der)));
    const authorities = [root.ca.der, intermediate.ca.der];
    return { seeds: [...crls, ...pem, largeCrl(root)], parts: numbered("authority", authorities) };
  },
  async open(fixture) {
    const made = fixture.seeds.filter((seed) => seed[0] === derTags.sequence).map(decodeCrl);
    const authorities = partsOf(fixture, "authority").map(decodeCertificate);
    return (input) => {
      const parsed = attemptSync(refusals, () => parseCrlFile(input));
      if ("refused" in parsed) return parsed.refused;
      const crl = parsed.value;
      demandOneEncoding(crl.der);
      const verified = authorities.map((authority) =>
        demandKnown(made, crl, () => "value" in attemptSync(refusals, () => verifyCrl(crl, authority))),
      );
      return `accepted: ${verified.join(" ")}`;
    };
  },
};

/** The input as it is, and its CertificationRequestInfo signed again, so that edits reach what is read behind it. */
export const csrTarget: Target = {
  name: "csr",
  form: "derOrPem",
  limitMs: 100,
  maxBytes: 66_000,
  iterations: 2000,
  async makeFixture() {
    const { requests, people } = await pkiSeeds();
    const own = people.map(({ key }, i) =>
      createCertificateRequest(key, { kind: "user", username: `user${i}`, email: `user${i}@example.org` }),
    );
    const [first] = people;
    if (first === undefined) throw new Error("nobody has a key");
    const server = createCertificateRequest(first.key, {
      kind: "server",
      commonName: "chat.example.org",
      dnsNames: ["chat.example.org"],
      ipAddresses: ["192.0.2.1"],
    });
    // The key that signs again is in every request, whoever made it.
    const adopted = [...requests, ...own, server].map((der) => {
      const tree = readTree(der);
      const info = tree.children[0];
      if (info !== undefined) info.children[2] = readTree(first.key.spki);
      return writeTree(tree);
    });
    const pem = encodeUtf8(formatPem("CERTIFICATE REQUEST", server));
    return { seeds: [...requests, ...own, server, ...adopted, pem], parts: { pkcs8: first.pkcs8 } };
  },
  async open(fixture) {
    const key = crypto().importPrivateKey(partOf(fixture, "pkcs8"));
    const algorithm = encodeSignatureAlgorithm(key.scheme);
    const made = fixture.seeds.filter((seed) => seed[0] === derTags.sequence).map(partsOfRequest);
    return (input) => {
      const asItIs = attemptSync(refusals, () => parseRequestFile(input));
      if ("value" in asItIs && input[0] === derTags.sequence) {
        demandOneEncoding(input);
        demandKnown(made, partsOfRequest(input), () => true);
      }
      const again = attemptSync(refusals, () => {
        const info = readDer(input, derTags.sequence).sequence().encoded;
        return verifyCertificateRequest(encodeSequence(info, algorithm, encodeBitString(key.sign(info))));
      });
      const first = "refused" in asItIs ? asItIs.refused : "accepted";
      return `${first} | ${"refused" in again ? again.refused : "good"}`;
    };
  },
};

function partsOfRequest(der: Uint8Array): { tbs: Uint8Array; signature: Uint8Array } {
  const request = readDer(der, derTags.sequence);
  const tbs = request.sequence().encoded;
  request.sequence();
  return { tbs, signature: request.bitStringOctets() };
}
