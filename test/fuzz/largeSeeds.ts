import { encodeHex } from "../../src/base/hex.ts";
import type { PrivateKey } from "../../src/crypto/crypto.ts";
import { issueCrl } from "../../src/pki/crl.ts";
import { readDer } from "../../src/pki/der.ts";
import { encodeOid, encodeSequence, encodeSetOf, encodeUtf8String } from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { encodeExtension, encodeName, extensions, forgeDer, generalName } from "../pki/forgedCertificate.ts";
import type { TestAuthority } from "../pki/testAuthority.ts";
import { join } from "./byteEdits.ts";

/*
 * Inputs near their limits, which cost the most: what is done for each name, entry or pair of them shows here.
 */

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

const manyNames = (key: PrivateKey, count: number) =>
  forgeDer({
    key,
    extensions: [extensions.san(...numbers(count).map((i) => generalName.dns(`h${i}.a.example.org`)))],
  });

/** Certificates of up to 64 KiB: names, attributes, policies, purposes. */
export function largeCertificates(key: PrivateKey): Uint8Array[] {
  const attribute = encodeSequence(encodeOid(oids.commonName), encodeUtf8String("x"));
  const arcs = numbers(250).map((i) => `1.3.6.1.4.1.99999.${i}`);
  return [
    manyNames(key, 2700),
    forgeDer({
      key,
      subject: encodeSequence(...numbers(2000).map(() => encodeSetOf(attribute))),
      extensions: [],
    }),
    forgeDer({
      key,
      subject: encodeSequence(encodeSetOf(...numbers(3000).map(() => attribute))),
      extensions: [],
    }),
    forgeDer({
      key,
      extensions: [
        extensions.ca(),
        extensions.caKeyUsage(),
        encodeExtension(
          oids.certificatePolicies,
          false,
          encodeSequence(...arcs.map((arc) => encodeSequence(encodeOid(arc)))),
        ),
        encodeExtension(
          "2.5.29.33",
          true,
          encodeSequence(
            ...arcs.map((arc, i) => encodeSequence(encodeOid(arc), encodeOid(arcs[i + 1] ?? "1.2.3"))),
          ),
        ),
        extensions.extKeyUsage(...arcs),
      ],
    }),
  ];
}

const tbsOf = (der: Uint8Array) => readDer(der).sequence().encoded;

/** Rows of TBSCertificates for paths that cost much: each name against each constraint, webs, chains, policies. */
export function largePaths(key: PrivateKey, issuer: Uint8Array): Uint8Array[] {
  const authority = (...more: readonly Uint8Array[]) =>
    tbsOf(
      forgeDer({
        key,
        issuer,
        subject: issuer,
        extensions: [extensions.ca(), extensions.caKeyUsage(), ...more],
      }),
    );
  const leaf = (san: readonly Uint8Array[], ...more: readonly Uint8Array[]) =>
    tbsOf(
      forgeDer({
        key,
        issuer,
        subject: encodeName("alice"),
        extensions: [
          extensions.leafKeyUsage(),
          extensions.extKeyUsage(oids.clientAuth, oids.serverAuth, oids.emailProtection),
          extensions.san(...san),
          ...more,
        ],
      }),
    );
  const { dns, email, ip } = generalName;
  const constraint = (count: number) =>
    extensions.nameConstraints({
      permitted: numbers(count).map((i) => dns(`${i}.a.example.org`)),
      excluded: numbers(count).map((i) => email(`u${i}@a.example.org`)),
    });
  const hosts = numbers(1500).map((i) => dns(`h.${i}.a.example.org`));
  const addresses = numbers(1500).map((i) => email(`u${i}@b.example.org`));
  const nets = numbers(3000).map((i) => ip(10, i >> 8, i & 255, 1, 255, 255, 255, 255));
  const ips = numbers(3000).map((i) => ip(11, i >> 8, i & 255, 1));
  const [, , , policies = new Uint8Array(0)] = largeCertificates(key);
  const plain = leaf([dns("a.example.org")]);
  return [
    join(leaf(hosts), authority(constraint(1200))),
    join(leaf(addresses), authority(constraint(1200))),
    join(leaf(ips), authority(extensions.nameConstraints({ excluded: nets }))),
    join(plain, ...numbers(60).map((i) => authority(extensions.subjectKeyId(Uint8Array.of(i))))),
    join(plain, ...numbers(8).map(() => tbsOf(policies))),
    join(
      plain,
      ...numbers(8).map((i) => authority(encodeExtension("1.2.3.4", true, Uint8Array.of(2, 1, i)))),
    ),
  ];
}

export function largeCrl({ ca, caKey, nowMs }: TestAuthority): Uint8Array {
  const entry = { atMs: nowMs, reason: "superseded" } as const;
  const revoked = new Map(
    numbers(6000).map((i) => [encodeHex(Uint8Array.of(1, i >> 8, i & 255)), entry] as const),
  );
  return issueCrl({
    issuer: ca,
    issuerKey: caKey,
    number: 7n,
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + 1000,
    revoked,
  });
}
