import { equalBytes } from "../base/bytes.ts";
import { contextConstructed, readDer } from "./der.ts";
import type { DistinguishedName } from "./distinguishedName.ts";
import { type GeneralNames, noGeneralNames, readGeneralNames } from "./generalNames.ts";
import { isDnsName } from "./hostName.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

/** nameConstraints (RFC 5280 §4.2.1.10), every constraint checked for its form; DNS, e-mail and URI hosts in lower case. */
export interface NameConstraints {
  readonly permitted: GeneralNames;
  readonly excluded: GeneralNames;
}

/** Comparisons left. Names and constraints are hostile: their product is what costs (RFC 5280 sets no limit). */
export interface ComparisonBudget {
  left: number;
}

export function decodeNameConstraints(value: Uint8Array): NameConstraints {
  const sequence = readDer(value, 0x30);
  const permitted = sequence.optional(contextConstructed(0));
  const excluded = sequence.optional(contextConstructed(1));
  sequence.finish();
  if (
    (permitted === undefined && excluded === undefined) ||
    permitted?.atEnd === true ||
    excluded?.atEnd === true
  )
    throw malformed("an empty list");
  return {
    permitted: permitted === undefined ? noGeneralNames : checkForms(readGeneralNames(permitted, "subtrees")),
    excluded: excluded === undefined ? noGeneralNames : checkForms(readGeneralNames(excluded, "subtrees")),
  };
}

/** Whose names are judged: the subject field and the subjectAltName. */
export interface NamedSubject {
  readonly subjectName: DistinguishedName;
  readonly subjectAltName: GeneralNames | undefined;
}

/**
 * Demands that every name of the certificate lies in the permitted subtrees of its kind, if there are any, and in no
 * excluded one (RFC 5280 §6.1.3 b, c). An e-mail address in the subject counts as an rfc822Name. A name that is not of
 * the right form for its kind can't be judged, so it is refused where its kind is constrained.
 *
 * @throws {PkiError} `NAME_CONSTRAINT_VIOLATED`, `NAME_CONSTRAINT_UNSUPPORTED` (a kind that is constrained, occurs and
 * is not read here), `PATH_TOO_COMPLEX`
 */
export function checkNameConstraints(
  constraints: NameConstraints,
  subject: NamedSubject,
  budget: ComparisonBudget,
): void {
  const { permitted, excluded } = constraints;
  const alternative = subject.subjectAltName ?? noGeneralNames;
  for (const kind of alternative.otherKinds)
    if (permitted.otherKinds.includes(kind) || excluded.otherKinds.includes(kind))
      throw new PkiError(
        "NAME_CONSTRAINT_UNSUPPORTED",
        `a constraint on names of kind [${kind}] can't be judged`,
      );
  const judge = <N, C>(
    names: readonly N[],
    allowed: readonly C[],
    refused: readonly C[],
    match: Match<N, C>,
  ) => {
    budget.left -= names.length * (allowed.length + refused.length);
    if (budget.left < 0)
      throw new PkiError("PATH_TOO_COMPLEX", "too many names and name constraints to compare");
    if (allowed.length + refused.length === 0) return;
    for (const name of names) {
      if (refused.some((constraint) => match(name, constraint, "touches"))) throw violated("an excluded");
      if (allowed.length > 0 && !allowed.some((constraint) => match(name, constraint, "within")))
        throw violated("no permitted");
    }
  };
  judge(alternative.dnsNames, permitted.dnsNames, excluded.dnsNames, matchDns);
  judge(alternative.ipAddresses, permitted.ipAddresses, excluded.ipAddresses, matchIp);
  judge([...alternative.emails, ...subjectEmails(subject)], permitted.emails, excluded.emails, matchEmail);
  judge(alternative.uris, permitted.uris, excluded.uris, matchUri);
  const directoryNames = subject.subjectName.rdns.length === 0 ? [] : [subject.subjectName];
  judge(
    [...directoryNames, ...alternative.directoryNames],
    permitted.directoryNames,
    excluded.directoryNames,
    matchDirectoryName,
  );
}

/**
 * Whether every name that `name` can stand for lies within the subtree, or whether one of them does ("touches"): they
 * differ for wildcards only.
 */
type Match<N, C> = (name: N, constraint: C, mode: "within" | "touches") => boolean;

const matchDns: Match<string, string> = (presented, constraint, mode) => {
  const name = presented.toLowerCase();
  const wildcard = name.startsWith("*.");
  const base = wildcard ? name.slice(2) : name;
  if (!isDnsName(base)) return mode === "touches";
  if (isWithinDomain(base, constraint)) return true;
  // `*.example.com` also stands for `bar.example.com`.
  return mode === "touches" && wildcard && constraint.slice(constraint.indexOf(".") + 1) === base;
};

const matchIp: Match<Uint8Array, Uint8Array> = (address, constraint) => {
  const { length } = address;
  if (constraint.length !== 2 * length) return false;
  for (let i = 0; i < length; i++)
    if ((((address[i] ?? 0) ^ (constraint[i] ?? 0)) & (constraint[length + i] ?? 0)) !== 0) return false;
  return true;
};

const matchEmail: Match<string, string> = (address, constraint, mode) => {
  const mailbox = splitMailbox(address);
  if (mailbox === undefined) return mode === "touches";
  if (constraint.includes("@")) return constraint === `${mailbox.local}@${mailbox.host}`;
  return isHostPermitted(mailbox.host, constraint);
};

const matchUri: Match<string, string> = (uri, constraint, mode) => {
  // RFC 5280 §4.2.1.10: a URI without an authority that is a fully qualified name can't be within anything.
  const host = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@[\]]+)(?::[0-9]*)?(?:[/?#]|$)/.exec(
    uri,
  )?.[1];
  if (host === undefined || !isDnsName(host.toLowerCase())) return mode === "touches";
  return isHostPermitted(host.toLowerCase(), constraint);
};

const matchDirectoryName: Match<DistinguishedName, DistinguishedName> = (name, constraint) =>
  constraint.rdns.length <= name.rdns.length &&
  constraint.rdns.every((rdn, index) => equalBytes(rdn, name.rdns[index] ?? new Uint8Array()));

function isWithinDomain(name: string, domain: string): boolean {
  return domain === "" || name === domain || name.endsWith(`.${domain}`);
}

/** The rule for e-mail and URI: `host` is that host alone, `.domain` every host below it, nothing is all. */
function isHostPermitted(host: string, constraint: string): boolean {
  if (constraint === "") return true;
  return constraint.startsWith(".") ? host.endsWith(constraint) : host === constraint;
}

function subjectEmails(subject: NamedSubject): string[] {
  return subject.subjectName.attributes
    .filter(({ type }) => type === oids.emailAddress)
    .map(({ text }) => text ?? "");
}

/** @returns the two parts, the host in lower case; `undefined` unless there is one `@` and the host is a DNS name */
function splitMailbox(address: string): { local: string; host: string } | undefined {
  const at = address.indexOf("@");
  const host = address.slice(at + 1).toLowerCase();
  return at > 0 && isDnsName(host) ? { local: address.slice(0, at), host } : undefined;
}

function checkForms(names: GeneralNames): GeneralNames {
  const dnsNames = names.dnsNames.map((name) => name.toLowerCase());
  if (!dnsNames.every((name) => name === "" || isDnsName(name))) throw malformed("not a DNS name");
  for (const octets of names.ipAddresses)
    if (!isContiguousMask(octets)) throw malformed("not an address range");
  const emails = names.emails.map((constraint) => {
    if (!constraint.includes("@")) return checkHostForm(constraint);
    const mailbox = splitMailbox(constraint);
    if (mailbox === undefined) throw malformed("not a mailbox");
    return `${mailbox.local}@${mailbox.host}`;
  });
  return { ...names, dnsNames, emails, uris: names.uris.map(checkHostForm) };
}

function checkHostForm(constraint: string): string {
  const host = constraint.toLowerCase();
  if (host !== "" && !isDnsName(host.startsWith(".") ? host.slice(1) : host))
    throw malformed("not a host or domain");
  return host;
}

/** RFC 4632 style: ones, then zeros. @param octets address and mask, 8 or 32 */
function isContiguousMask(octets: Uint8Array): boolean {
  let zeros = false;
  for (const byte of octets.subarray(octets.length / 2)) {
    if (zeros ? byte !== 0 : (~byte & 0xff & ((~byte & 0xff) + 1)) !== 0) return false;
    if (byte !== 0xff) zeros = true;
  }
  return true;
}

function violated(which: string): PkiError {
  return new PkiError(
    "NAME_CONSTRAINT_VIOLATED",
    `a name of the certificate is in ${which} subtree of a CA above it: that CA may not issue for this name`,
  );
}

function malformed(what: string): PkiError {
  return new PkiError("EXTENSION_MALFORMED", `nameConstraints: ${what}`);
}
