import type { AttemptCounter } from "../store/accountStore.ts";

const freeAccountFailures = 5;
const freeAddressFailures = 50;
const maxDelayMs = 15 * 60 * 1_000;

/** The first failures cost nothing, then each doubles the wait, from one second to 15 minutes. */
function delayAfter(failures: number, free: number): number {
  return failures < free ? 0 : Math.min(maxDelayMs, 1_000 * 2 ** Math.min(failures - free, 20));
}

export function accountCounter(email: string): AttemptCounter {
  return { subject: `account:${email}`, delayMs: (failures) => delayAfter(failures, freeAccountFailures) };
}

/** Many people may share an address, so it has more patience. @param network as `networkOf` names it */
export function addressCounter(network: string): AttemptCounter {
  return { subject: `address:${network}`, delayMs: (failures) => delayAfter(failures, freeAddressFailures) };
}

/** @returns what one party holds of the address space: an IPv4 address, or the first 64 bits of an IPv6 address */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!address.includes(":")) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => "0");
  const groups = [...left, ...zeros, ...right]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16));
  return `${groups.join(":")}::/64`;
}
