import {
  decodeJson,
  encodeJson,
  hex,
  integer,
  list,
  nullable,
  object,
  oneOf,
  type Schema,
  type SchemaType,
  text,
} from "../base/schema.ts";
import { type Entry, maxBodyBytes } from "./entry.ts";
import { LogError, reasonOf } from "./logError.ts";
import { adminsSchema, checkRoster, rosterSchema } from "./roster.ts";

export type { RosterRow } from "./roster.ts";

/** Longest title of a group, UTF-8 bytes, inclusive. */
export const maxTitleBytes = 128;
/** What fits into a body anyway. */
const maxIndices = maxBodyBytes / 2;

const digest = hex(32);
/** A cRLNumber: at most 20 octets (RFC 5280 §5.2.3), so at most 49 decimal digits. `null`: the sender knows no CRL. */
const crlNumber = nullable(text({ min: 1, max: 49, pattern: /^(?:0|[1-9][0-9]*)$/ }));

const createSchema = object({
  kind: oneOf(["direct", "group"]),
  /** Empty for a direct conversation. */
  title: text({ max: maxTitleBytes }),
  /** The only server that signs for this conversation; the certificate that it had then. */
  server: object({
    name: text({ min: 1, max: 253, pattern: /^[a-z0-9.:-]+$/ }),
    fingerprint: digest,
  }),
  /** Usernames that may remove members, beside the creator. */
  admins: adminsSchema,
  roster: rosterSchema,
  crl: crlNumber,
  /** SHA-256 of blobs: the MLS commit, its welcome, and the GroupInfo with the new tree. */
  commit: digest,
  welcome: digest,
  group: digest,
});
export type CreateBody = SchemaType<typeof createSchema>;

export const membershipActions = ["add", "remove", "update", "renew", "rejoin"] as const;
export type MembershipAction = (typeof membershipActions)[number];

const membershipSchema = object({
  action: oneOf(membershipActions),
  /** Admins and roster after this entry. */
  admins: adminsSchema,
  roster: rosterSchema,
  crl: crlNumber,
  commit: digest,
  /** Present exactly with `add`. */
  welcome: nullable(digest),
  group: digest,
});
export type MembershipBody = SchemaType<typeof membershipSchema>;

const indices = list(integer(), maxIndices);
const acknowledgeSchema = object({
  /** Messages that the sender could not open, or whose commitment is wrong. */
  disputed: indices,
  /** Commits that the sender could not apply. */
  unprocessable: indices,
});
export type AcknowledgeBody = SchemaType<typeof acknowledgeSchema>;

const leaveSchema = object({});
export type LeaveBody = SchemaType<typeof leaveSchema>;

/** The public body of an entry, by kind. */
export type Body =
  | { readonly kind: "create"; readonly body: CreateBody }
  | { readonly kind: "membership"; readonly body: MembershipBody }
  | { readonly kind: "acknowledge"; readonly body: AcknowledgeBody }
  | { readonly kind: "leave"; readonly body: LeaveBody }
  | { readonly kind: "message" };

/**
 * @returns the body; nothing but the kind for `message`, whose `ct` is a ciphertext
 * @throws {LogError} `BAD_BODY` unless it is canonical JSON and keeps the rules that need no other entry
 */
export function decodeBody({ kind, ct }: Pick<Entry, "kind" | "ct">): Body {
  switch (kind) {
    case "create":
      return { kind, body: decodeCreateBody(ct) };
    case "membership":
      return { kind, body: decodeMembershipBody(ct) };
    case "acknowledge":
      return { kind, body: decodeAcknowledgeBody(ct) };
    case "leave":
      return { kind, body: decode(leaveSchema, ct) };
    case "message":
      return { kind };
  }
}

/** @throws {LogError} `BAD_BODY` */
export function decodeCreateBody(ct: Uint8Array): CreateBody {
  const body = decode(createSchema, ct);
  checkRoster(body.roster, body.admins);
  const persons = new Set(body.roster.map((row) => row.username));
  if (body.kind === "direct") {
    if (body.title !== "") throw bad("a direct conversation has no title");
    if (persons.size !== 2) throw bad("a direct conversation holds exactly two people");
    if (body.admins.length > 0) throw bad("a direct conversation has no admins");
  } else if (body.title === "") throw bad("a group needs a title");
  if (body.roster.length < 2) throw bad("a conversation begins with at least two devices");
  return body;
}

/** @throws {LogError} `BAD_BODY` */
export function decodeMembershipBody(ct: Uint8Array): MembershipBody {
  const body = decode(membershipSchema, ct);
  checkRoster(body.roster, body.admins);
  if ((body.action === "add") !== (body.welcome !== null))
    throw bad("a welcome belongs to add and to nothing else");
  return body;
}

/** @throws {LogError} `BAD_BODY` */
export function decodeAcknowledgeBody(ct: Uint8Array): AcknowledgeBody {
  const body = decode(acknowledgeSchema, ct);
  for (const [name, numbers] of Object.entries(body))
    for (let i = 1; i < numbers.length; i++)
      if ((numbers[i] ?? 0) <= (numbers[i - 1] ?? 0)) throw bad(`${name} is not in ascending order`);
  return body;
}

/** @returns the bytes that go into `ct` */
export function encodeCreateBody(body: CreateBody): Uint8Array {
  return encodeJson(createSchema, body);
}

/** @returns the bytes that go into `ct` */
export function encodeMembershipBody(body: MembershipBody): Uint8Array {
  return encodeJson(membershipSchema, body);
}

/** @returns the bytes that go into `ct` */
export function encodeAcknowledgeBody(body: AcknowledgeBody): Uint8Array {
  return encodeJson(acknowledgeSchema, body);
}

/** @returns the bytes that go into `ct` */
export function encodeLeaveBody(): Uint8Array {
  return encodeJson(leaveSchema, {});
}

function decode<T>(schema: Schema<T>, ct: Uint8Array): T {
  try {
    return decodeJson(schema, ct, maxBodyBytes);
  } catch (cause) {
    throw new LogError("BAD_BODY", `body: ${reasonOf(cause)}`, { cause });
  }
}

function bad(message: string): LogError {
  return new LogError("BAD_BODY", message);
}
