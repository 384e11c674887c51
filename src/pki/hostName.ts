import { equalBytes } from "../base/bytes.ts";
import type { GeneralNames } from "./generalNames.ts";
import { PkiError } from "./pkiError.ts";

/** What a client dialled: the reference identity of RFC 9525 §6.1. */
export type Host =
  | { readonly kind: "dns"; readonly name: string /* lower case */ }
  | { readonly kind: "ip"; readonly octets: Uint8Array /* 4 or 16 */ };

const dnsLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads an IP literal (IPv6 without brackets or zone) or a DNS name: letters, digits and hyphens, internationalised
 * names as A-labels, no trailing dot, at most 253 characters, the last label not all digits.
 *
 * @throws {PkiError} `HOST_MALFORMED`
 */
export function parseHost(text: string): Host {
  const octets = parseIpAddress(text);
  if (octets !== undefined) return { kind: "ip", octets };
  const name = text.toLowerCase();
  if (!isDnsName(name))
    throw new PkiError("HOST_MALFORMED", "the host is neither an IP address nor a DNS name");
  return { kind: "dns", name };
}

/** @param name lower case. @returns whether it is a DNS name in preferred syntax (RFC 1034 §3.5, RFC 1123 §2.1) */
export function isDnsName(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  const labels = name.split(".");
  return labels.every((label) => dnsLabel.test(label)) && !/^[0-9]+$/.test(labels.at(-1) ?? "");
}

/**
 * Compares with the subjectAltName only (RFC 9525 §6.3; a commonName is never a host). `*` counts as the whole left
 * label of a name with two more labels at least, for exactly one label. Names in any other form match nothing.
 */
export function matchesHost(names: GeneralNames, host: Host): boolean {
  if (host.kind === "ip") return names.ipAddresses.some((octets) => equalBytes(octets, host.octets));
  const dot = host.name.indexOf(".");
  const parent = dot < 0 ? "" : host.name.slice(dot + 1);
  const wildcard = parent.includes(".") ? `*.${parent}` : undefined;
  return names.dnsNames.some((presented) => {
    const name = presented.toLowerCase();
    return name === host.name || name === wildcard;
  });
}

/** @returns 4 or 16 octets, or `undefined` when `text` is no IP literal */
export function parseIpAddress(text: string): Uint8Array | undefined {
  return parseIpv4(text) ?? (text.includes(":") ? parseIpv6(text) : undefined);
}

/** @param octets 4 or 16. @returns dotted decimals, or the form of RFC 5952 */
export function formatIpAddress(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((octets[2 * i] ?? 0) << 8) | (octets[2 * i + 1] ?? 0));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.length < 2) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part))) return undefined;
  const numbers = parts.map(Number);
  return numbers.every((number) => number < 256) ? Uint8Array.from(numbers) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const parsed = halves.map((half, index) => ipv6Groups(half, index === halves.length - 1));
  const [head, tail] = parsed;
  if (head === undefined) return undefined;
  let groups = head;
  if (halves.length === 2) {
    if (tail === undefined || head.length + tail.length > 7) return undefined;
    groups = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  }
  if (groups.length !== 8) return undefined;
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function ipv6Groups(half: string, last: boolean): number[] | undefined {
  if (half === "") return [];
  const parts = half.split(":");
  const ipv4 = last ? parseIpv4(parts.at(-1) ?? "") : undefined;
  if (ipv4 !== undefined) parts.pop();
  if (!parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  const groups = parts.map((part) => Number.parseInt(part, 16));
  if (ipv4 !== undefined)
    groups.push(((ipv4[0] ?? 0) << 8) | (ipv4[1] ?? 0), ((ipv4[2] ?? 0) << 8) | (ipv4[3] ?? 0));
  return groups;
}
