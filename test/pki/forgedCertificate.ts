import { type PrivateKey, sha256 } from "../../src/crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import {
  encodeBitString,
  encodeBoolean,
  encodeContext,
  encodeInteger,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeSetOf,
  encodeTime,
  encodeTlv,
  encodeUtf8String,
} from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { encodeSignatureAlgorithm } from "../../src/pki/signatureAlgorithm.ts";

/** Fields of a certificate that a test wants otherwise than a good one has them; raw values are DER. */
export interface Forged {
  readonly key: PrivateKey;
  /** The signer; default: the certificate's own key. */
  readonly issuerKey?: PrivateKey;
  readonly issuer?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly version?: Uint8Array;
  readonly serial?: Uint8Array;
  readonly innerAlgorithm?: Uint8Array;
  readonly outerAlgorithm?: Uint8Array;
  readonly validity?: Uint8Array;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly spki?: Uint8Array;
  /** Extensions, DER; `undefined`: no such field. */
  readonly extensions?: readonly Uint8Array[] | undefined;
}

export const forgedNowMs = Date.UTC(2026, 5, 15);

/** @returns a certificate that is exactly as asked, signed */
export function forgeDer(forged: Forged): Uint8Array {
  const { key, issuerKey = key } = forged;
  const subject = forged.subject ?? encodeName("subject");
  const algorithm = encodeSignatureAlgorithm(issuerKey.scheme);
  const validity = encodeSequence(
    encodeTime(forged.notBeforeMs ?? Date.UTC(2026, 0, 1)),
    encodeTime(forged.notAfterMs ?? Date.UTC(2027, 0, 1)),
  );
  const tbs = encodeSequence(
    forged.version ?? encodeContext(0, encodeInteger(2)),
    forged.serial ?? encodeInteger(sha256(subject).subarray(0, 16)),
    forged.innerAlgorithm ?? algorithm,
    forged.issuer ?? subject,
    forged.validity ?? validity,
    subject,
    forged.spki ?? key.spki,
    ...(forged.extensions === undefined ? [] : [encodeContext(3, encodeSequence(...forged.extensions))]),
  );
  return encodeSequence(tbs, forged.outerAlgorithm ?? algorithm, encodeBitString(issuerKey.sign(tbs)));
}

export function forge(forged: Forged): Certificate {
  return decodeCertificate(forgeDer(forged));
}

/** A Name with one attribute an RDN, e.g. `encodeName("alice", ["2.5.4.10", "Example"])`: the CN comes last. */
export function encodeName(commonName: string, ...before: readonly [string, string][]): Uint8Array {
  const attributes = [...before, [oids.commonName, commonName] as const];
  return encodeSequence(
    ...attributes.map(([oid, text]) => encodeSetOf(encodeSequence(encodeOid(oid), encodeUtf8String(text)))),
  );
}

export function encodeExtension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  return encodeSequence(encodeOid(oid), ...(critical ? [encodeBoolean(true)] : []), encodeOctetString(value));
}

const ascii = (text: string) => new TextEncoder().encode(text);

/** GeneralName values. */
export const generalName = {
  email: (text: string) => encodeTlv(0x81, ascii(text)),
  dns: (text: string) => encodeTlv(0x82, ascii(text)),
  directory: (name: Uint8Array) => encodeTlv(0xa4, name),
  uri: (text: string) => encodeTlv(0x86, ascii(text)),
  ip: (...octets: number[]) => encodeTlv(0x87, Uint8Array.from(octets)),
  other: () => encodeTlv(0xa0, encodeOid("1.2.3.4"), encodeContext(0, encodeUtf8String("x"))),
};

/** Extensions as they are in good certificates. */
export const extensions = {
  ca: (pathLength?: number) =>
    encodeExtension(
      oids.basicConstraints,
      true,
      encodeSequence(encodeBoolean(true), ...(pathLength === undefined ? [] : [encodeInteger(pathLength)])),
    ),
  /** @param bits the octets of the BIT STRING's content, unused bits first, e.g. 1, 0x06: keyCertSign and cRLSign */
  keyUsage: (...bits: number[]) =>
    encodeExtension(oids.keyUsage, true, encodeTlv(0x03, Uint8Array.from(bits))),
  caKeyUsage: () => extensions.keyUsage(1, 0x06),
  /** digitalSignature and nonRepudiation */
  leafKeyUsage: () => extensions.keyUsage(6, 0xc0),
  extKeyUsage: (...purposes: string[]) =>
    encodeExtension(oids.extKeyUsage, false, encodeSequence(...purposes.map(encodeOid))),
  san: (...names: Uint8Array[]) => encodeExtension(oids.subjectAltName, false, encodeSequence(...names)),
  nameConstraints: ({
    permitted = [],
    excluded = [],
  }: {
    permitted?: Uint8Array[];
    excluded?: Uint8Array[];
  }) => {
    const subtrees = (names: Uint8Array[]) => names.map((name) => encodeSequence(name));
    return encodeExtension(
      oids.nameConstraints,
      true,
      encodeSequence(
        ...(permitted.length === 0 ? [] : [encodeContext(0, ...subtrees(permitted))]),
        ...(excluded.length === 0 ? [] : [encodeContext(1, ...subtrees(excluded))]),
      ),
    );
  },
  subjectKeyId: (id: Uint8Array) => encodeExtension(oids.subjectKeyIdentifier, false, encodeOctetString(id)),
};
