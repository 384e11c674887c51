import { formatPem } from "../../src/pki/pem.ts";

/** @returns a PEM file's bytes */
export function encodePem(label: string, der: Uint8Array): Uint8Array {
  return new TextEncoder().encode(formatPem(label, der));
}
