import { encodeUtf8 } from "../../src/base/bytes.ts";
import { sealHandshakeRecord } from "../../src/channel/handshakeRecord.ts";
import type { TrafficKeys } from "../../src/channel/keySchedule.ts";
import { openRecord } from "../../src/channel/recordProtection.ts";

export type Json = Record<string, unknown>;
/** Makes a wrong message of a right one; text stands for itself. */
export type Edit = (message: Json) => Json | string;

/** What an error must look like. */
export const code = (expected: string) => ({ name: "ChannelError", code: expected });
export const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const decode = (bytes: Uint8Array): Json => JSON.parse(textOf(bytes));
export const encode = (value: Json | string) =>
  encodeUtf8(typeof value === "string" ? value : JSON.stringify(value));

export const zeroShare = Buffer.alloc(32).toString("base64");

/** Base64 with one bit of the value changed. */
export function flip(value: unknown, at = 0): string {
  const bytes = Buffer.from(String(value), "base64");
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString("base64");
}

/** The content of a record under one of the handshake keys, changed and sealed again by somebody who has the keys. */
export function reseal(keys: TrafficKeys, record: Uint8Array, edit: Edit): Uint8Array {
  const opened = openRecord(keys, 0, record);
  if (opened === undefined) throw new Error("the record is the first under these keys");
  return sealHandshakeRecord(keys, 0, encode(edit(decode(opened.content))));
}

/** What is refused in an authentication message of either side. */
export const authenticationEdits: readonly (readonly [string, Edit, string])[] = [
  ["a changed signature", (m) => ({ ...m, signature: flip(m.signature, 20) }), "BAD_SIGNATURE"],
  ["a signature that is no DER", (m) => ({ ...m, signature: "AA==" }), "BAD_SIGNATURE"],
  ["a changed MAC", (m) => ({ ...m, mac: flip(m.mac, 31) }), "BAD_MAC"],
  ["an all-zero MAC", (m) => ({ ...m, mac: zeroShare }), "BAD_MAC"],
  ["no certificate", (m) => ({ ...m, chain: [] }), "BAD_CERTIFICATE"],
  ["bytes that are no certificate", (m) => ({ ...m, chain: ["AAAA"] }), "BAD_CERTIFICATE"],
  [
    "a certificate with a changed bit",
    (m) => ({ ...m, chain: [flip((m.chain as string[])[0], 100)] }),
    "BAD_CERTIFICATE",
  ],
  [
    "a certificate of 4097 bytes",
    (m) => ({ ...m, chain: [Buffer.alloc(4097).toString("base64")] }),
    "MALFORMED",
  ],
  ["an empty certificate", (m) => ({ ...m, chain: [""] }), "MALFORMED"],
  ["five certificates", (m) => ({ ...m, chain: Array(5).fill((m.chain as string[])[0]) }), "MALFORMED"],
  ["a MAC of 31 bytes", (m) => ({ ...m, mac: Buffer.alloc(31).toString("base64") }), "MALFORMED"],
  [
    "a signature of 1025 bytes",
    (m) => ({ ...m, signature: Buffer.alloc(1025).toString("base64") }),
    "MALFORMED",
  ],
  ["a missing field", ({ mac: _, ...m }) => m, "MALFORMED"],
  ["another order", ({ type, chain, ...m }) => ({ chain, type, ...m }), "MALFORMED"],
  ["a type of another state", (m) => ({ ...m, type: "ready" }), "UNEXPECTED_MESSAGE"],
  ["a key_update", () => '{"type":"key_update"}', "UNEXPECTED_MESSAGE"],
  ["an alert", () => '{"type":"alert","code":"shutting_down"}', "PEER_ALERT"],
];
