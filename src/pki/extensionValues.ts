import { checkDer, contextConstructed, contextPrimitive, DerReader, derTags, readDer } from "./der.ts";
import { readGeneralNames } from "./generalNames.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

/** In the order of their bits (RFC 5280 §4.2.1.3). */
export const keyUsages = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;
export type KeyUsage = (typeof keyUsages)[number];

export interface BasicConstraints {
  readonly ca: boolean;
  readonly pathLength: number | undefined;
  readonly critical: boolean;
}

export interface PolicyConstraints {
  readonly requireExplicitPolicy: number | undefined;
  readonly inhibitPolicyMapping: number | undefined;
}

const maxPathNumber = 0x7fffffff;

// Each function below takes the value of one extension (RFC 5280 §4.2.1) and throws PkiError `EXTENSION_MALFORMED`, or
// `DER_MALFORMED`, which the reader of the extension turns into it.

/** Reads the value with a scalar method of the cursor, which must take all of it. */
export function readScalar<T>(value: Uint8Array, read: (reader: DerReader) => T): T {
  const reader = new DerReader(value);
  const result = read(reader);
  reader.finish();
  return result;
}

export function decodeBasicConstraints(value: Uint8Array, critical: boolean): BasicConstraints {
  const sequence = readDer(value, derTags.sequence);
  let ca = false;
  if (sequence.nextTag === derTags.boolean) {
    ca = sequence.boolean();
    if (!ca) throw new PkiError("EXTENSION_MALFORMED", "basicConstraints: cA FALSE is written out");
  }
  const pathLength = sequence.atEnd ? undefined : sequence.smallInteger(maxPathNumber);
  sequence.finish();
  // §4.2.1.9: pathLenConstraint only together with cA.
  if (pathLength !== undefined && !ca)
    throw new PkiError("EXTENSION_MALFORMED", "basicConstraints: a path length without cA");
  return { ca, pathLength, critical };
}

export function decodeKeyUsage(value: Uint8Array): ReadonlySet<KeyUsage> {
  const { unusedBits, octets } = readScalar(value, (reader) => reader.bitString());
  const last = octets.at(-1) ?? 0;
  // A named bit list ends with its last set bit (X.690 §11.2.2); at least one is set (§4.2.1.3).
  if (octets.length > 2 || last === 0 || ((last >> unusedBits) & 1) === 0)
    throw new PkiError("EXTENSION_MALFORMED", "keyUsage is not a list of named bits");
  const usage = new Set<KeyUsage>();
  for (let bit = 0; bit < 8 * octets.length - unusedBits; bit++) {
    if ((((octets[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 0) continue;
    const name = keyUsages[bit];
    if (name === undefined) throw new PkiError("EXTENSION_MALFORMED", `keyUsage bit ${bit}`);
    usage.add(name);
  }
  return usage;
}

export function decodeExtendedKeyUsage(value: Uint8Array): readonly string[] {
  return oneOrMore(readDer(value, derTags.sequence), "extKeyUsage", (sequence) => sequence.oid());
}

export function decodeAuthorityKeyId(value: Uint8Array): Uint8Array | undefined {
  const sequence = readDer(value, derTags.sequence);
  const keyId = sequence.optional(contextPrimitive(0))?.content;
  const issuer = sequence.optional(contextConstructed(1));
  if (issuer !== undefined) readGeneralNames(issuer);
  const serial = sequence.nextTag === contextPrimitive(2) ? sequence.integer(contextPrimitive(2)) : undefined;
  sequence.finish();
  // RFC 5280 §4.2.1.1 (ASN.1 module): both or none.
  if ((issuer === undefined) !== (serial === undefined))
    throw new PkiError(
      "EXTENSION_MALFORMED",
      "authorityKeyIdentifier: issuer without serial number, or the reverse",
    );
  return keyId;
}

export function decodePolicies(value: Uint8Array): readonly string[] {
  checkDer(value);
  const policies = oneOrMore(readDer(value, derTags.sequence), "certificatePolicies", (sequence) => {
    const information = sequence.sequence();
    const policy = information.oid();
    if (!information.atEnd && information.sequence().atEnd)
      throw new PkiError("EXTENSION_MALFORMED", "certificatePolicies: empty qualifiers");
    information.finish();
    return policy;
  });
  if (new Set(policies).size !== policies.length)
    throw new PkiError("EXTENSION_MALFORMED", "certificatePolicies: a policy twice");
  return policies;
}

export function decodePolicyMappings(value: Uint8Array): readonly { issuer: string; subject: string }[] {
  return oneOrMore(readDer(value, derTags.sequence), "policyMappings", (sequence) => {
    const mapping = sequence.sequence();
    const [issuer, subject] = [mapping.oid(), mapping.oid()];
    mapping.finish();
    // §4.2.1.5
    if (issuer === oids.anyPolicy || subject === oids.anyPolicy)
      throw new PkiError("EXTENSION_MALFORMED", "policyMappings: anyPolicy is mapped");
    return { issuer, subject };
  });
}

export function decodePolicyConstraints(value: Uint8Array): PolicyConstraints {
  const sequence = readDer(value, derTags.sequence);
  const number = (tag: number) =>
    sequence.nextTag === contextPrimitive(tag)
      ? sequence.smallInteger(maxPathNumber, contextPrimitive(tag))
      : undefined;
  const requireExplicitPolicy = number(0);
  const inhibitPolicyMapping = number(1);
  sequence.finish();
  if (requireExplicitPolicy === undefined && inhibitPolicyMapping === undefined)
    throw new PkiError("EXTENSION_MALFORMED", "policyConstraints is empty");
  return { requireExplicitPolicy, inhibitPolicyMapping };
}

export function decodeInhibitAnyPolicy(value: Uint8Array): number {
  return readScalar(value, (reader) => reader.smallInteger(maxPathNumber));
}

export function checkInfoAccess(value: Uint8Array): void {
  checkDer(value);
  oneOrMore(readDer(value, derTags.sequence), "information access", (sequence) => {
    const description = sequence.sequence();
    description.oid();
    const location = description.next();
    description.finish();
    if ((location.tag & 0xc0) !== 0x80)
      throw new PkiError("EXTENSION_MALFORMED", "a location that is no GeneralName");
  });
}

const maxListItems = 256;

function oneOrMore<T>(sequence: DerReader, what: string, item: (sequence: DerReader) => T): T[] {
  const items: T[] = [];
  do {
    if (items.length === maxListItems) throw new PkiError("TOO_LARGE", `${what}: over ${maxListItems} items`);
    items.push(item(sequence));
  } while (!sequence.atEnd);
  return items;
}
