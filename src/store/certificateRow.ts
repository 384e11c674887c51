import { concatBytes, decodeUint32, encodeUint32 } from "../base/bytes.ts";
import type { CertificateRecord } from "./accountStore.ts";
import { hexColumn } from "./hexColumn.ts";
import { StoreError } from "./storeError.ts";

/** A row of the table of certificates, the same in every backend. */
export interface CertificateRow {
  readonly fingerprint: string;
  readonly person: string;
  readonly role: string;
  readonly issuer_serial: string;
  readonly chain: Uint8Array;
}

export function certificateOf(row: CertificateRow | null): CertificateRecord | undefined {
  if (row === null) return undefined;
  return {
    fingerprint: hexColumn(row.fingerprint, 32),
    person: hexColumn(row.person, 32),
    role: row.role === "server" ? "server" : "user",
    issuerSerial: row.issuer_serial,
    chain: decodeChain(row.chain),
  };
}

/** `uint32 length || DER` for each certificate. */
export function encodeChain(chain: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...chain.flatMap((der) => [encodeUint32(der.length), der]));
}

function decodeChain(bytes: Uint8Array): Uint8Array[] {
  const chain: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const begin = offset + 4;
    const end = begin <= bytes.length ? begin + decodeUint32(bytes, offset) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new StoreError("CORRUPT", "a certificate chain in the store is cut off");
    chain.push(bytes.subarray(begin, end));
    offset = end;
  }
  return chain;
}
