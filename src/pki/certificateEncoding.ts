import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import type { PrivateKey } from "../crypto/crypto.ts";
import { type KeyUsage, keyUsages } from "./extensionValues.ts";
import { oids } from "./oids.ts";

/**
 * Writing goes through pkijs's schema classes: there every value is our own, and they know the structures. Three things
 * they get wrong are put right here: names are handed in as DER (pkijs would put all attributes into one RDN), RSA's
 * AlgorithmIdentifier gets its NULL, times from 2050 become GeneralizedTime (RFC 5280 §4.1.2.5).
 */
export interface TbsCertificate {
  /** Big-endian magnitude. */
  readonly serial: Uint8Array;
  readonly scheme: PrivateKey["scheme"];
  /** Names, DER. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Each an Extension, DER. */
  readonly extensions: readonly Uint8Array[];
}

/** @returns the TBSCertificate (RFC 5280 §4.1.2), DER */
export function encodeTbsCertificate(tbs: TbsCertificate): Uint8Array {
  const certificate = new pkijs.Certificate({
    version: 2,
    serialNumber: unsignedInteger(tbs.serial),
    signature: algorithmIdentifier(tbs.scheme),
    issuer: pkijs.RelativeDistinguishedNames.fromBER(toArrayBuffer(tbs.issuer)),
    notBefore: time(tbs.notBeforeMs),
    notAfter: time(tbs.notAfterMs),
    subject: pkijs.RelativeDistinguishedNames.fromBER(toArrayBuffer(tbs.subject)),
    subjectPublicKeyInfo: pkijs.PublicKeyInfo.fromBER(toArrayBuffer(tbs.spki)),
    extensions: tbs.extensions.map((der) => pkijs.Extension.fromBER(toArrayBuffer(der))),
  });
  return encode(certificate.encodeTBS());
}

/** The extensions of the profile, each as an Extension in DER. */
export const certificateExtension = {
  basicConstraints: (pathLength: number): Uint8Array =>
    extension(
      oids.basicConstraints,
      true,
      new pkijs.BasicConstraints({ cA: true, pathLenConstraint: pathLength }),
    ),

  keyUsage(usages: readonly KeyUsage[]): Uint8Array {
    const bits = usages.map((usage) => keyUsages.indexOf(usage));
    const highest = Math.max(...bits);
    const octets = new Uint8Array((highest >> 3) + 1);
    for (const bit of bits) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
    const list = new asn1js.BitString({ valueHex: toArrayBuffer(octets), unusedBits: 7 - (highest & 7) });
    return extension(oids.keyUsage, true, { toSchema: () => list });
  },

  extKeyUsage: (purposes: readonly string[]): Uint8Array =>
    extension(oids.extKeyUsage, false, new pkijs.ExtKeyUsage({ keyPurposes: [...purposes] })),

  subjectAltName({
    emails = [],
    dnsNames = [],
    ipAddresses = [],
  }: {
    readonly emails?: readonly string[];
    readonly dnsNames?: readonly string[];
    readonly ipAddresses?: readonly Uint8Array[];
  }): Uint8Array {
    const names = [
      ...emails.map((value) => new pkijs.GeneralName({ type: 1, value })),
      ...dnsNames.map((value) => new pkijs.GeneralName({ type: 2, value })),
      ...ipAddresses.map(
        (octets) =>
          new pkijs.GeneralName({
            type: 7,
            value: new asn1js.OctetString({ valueHex: toArrayBuffer(octets) }),
          }),
      ),
    ];
    return extension(oids.subjectAltName, false, new pkijs.GeneralNames({ names }));
  },

  subjectKeyId(keyId: Uint8Array): Uint8Array {
    const octets = new asn1js.OctetString({ valueHex: toArrayBuffer(keyId) });
    return extension(oids.subjectKeyIdentifier, false, { toSchema: () => octets });
  },

  authorityKeyId: (keyId: Uint8Array): Uint8Array =>
    extension(
      oids.authorityKeyIdentifier,
      false,
      new pkijs.AuthorityKeyIdentifier({
        keyIdentifier: new asn1js.OctetString({ valueHex: toArrayBuffer(keyId) }),
      }),
    ),
};

export function algorithmIdentifier(scheme: PrivateKey["scheme"]): pkijs.AlgorithmIdentifier {
  switch (scheme) {
    case "ecdsa-p256-sha256":
      return new pkijs.AlgorithmIdentifier({ algorithmId: oids.ecdsaWithSHA256 });
    case "rsa-pkcs1-sha256":
      return new pkijs.AlgorithmIdentifier({
        algorithmId: oids.sha256WithRSAEncryption,
        algorithmParams: new asn1js.Null(),
      });
    case "ed25519":
      return new pkijs.AlgorithmIdentifier({ algorithmId: oids.ed25519 });
  }
}

/** Time in whole seconds: UTCTime through 2049. */
export function time(ms: number): pkijs.Time {
  const value = new Date(Math.floor(ms / 1000) * 1000);
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

/** INTEGER, never negative. @param magnitude big-endian */
export function unsignedInteger(magnitude: Uint8Array): asn1js.Integer {
  return asn1js.Integer.fromBigInt(BigInt(`0x${magnitude.toHex()}`));
}

export function extension(
  oid: string,
  critical: boolean,
  value: { toSchema(): asn1js.BaseBlock },
): Uint8Array {
  const octets = encode(value.toSchema());
  return encode(new pkijs.Extension({ extnID: oid, critical, extnValue: toArrayBuffer(octets) }).toSchema());
}

export function encode(block: asn1js.BaseBlock): Uint8Array {
  return new Uint8Array(block.toBER());
}

export function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
