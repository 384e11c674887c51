import type { Prng } from "./prng.ts";

/** @param others other inputs to take pieces from */
export type Edit = (prng: Prng, bytes: Uint8Array, others: readonly Uint8Array[]) => Uint8Array;

const interestingBytes = [
  0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0xff, 0x20, 0x30, 0x31, 0x0a, 0x0d, 0x22,
];

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** A place and a length inside of `bytes`, short ones mostly. */
function range(prng: Prng, bytes: Uint8Array): { start: number; end: number } {
  const start = prng.below(bytes.length + 1);
  const most = prng.once(4) ? bytes.length - start : Math.min(16, bytes.length - start);
  return { start, end: start + prng.below(most + 1) };
}

const flipBit: Edit = (prng, bytes) => {
  const out = bytes.slice();
  const at = prng.below(out.length);
  if (out.length > 0) out[at] = (out[at] ?? 0) ^ (1 << prng.below(8));
  return out;
};

const setByte: Edit = (prng, bytes) => {
  const out = bytes.slice();
  if (out.length > 0) out[prng.below(out.length)] = prng.once(2) ? prng.byte() : prng.pick(interestingBytes);
  return out;
};

const addToByte: Edit = (prng, bytes) => {
  const out = bytes.slice();
  const at = prng.below(out.length);
  if (out.length > 0) out[at] = (out[at] ?? 0) + prng.pick([1, -1, 2, -2, 16, -16]);
  return out;
};

const insert: Edit = (prng, bytes) => {
  const at = prng.below(bytes.length + 1);
  const length = 1 + prng.small(prng.once(20) ? 4096 : 16);
  const more = prng.once(2) ? prng.bytes(length) : new Uint8Array(length).fill(prng.pick(interestingBytes));
  return join(bytes.subarray(0, at), more, bytes.subarray(at));
};

const remove: Edit = (prng, bytes) => {
  const { start, end } = range(prng, bytes);
  return join(bytes.subarray(0, start), bytes.subarray(Math.max(end, start + 1)));
};

const duplicate: Edit = (prng, bytes) => {
  const { start, end } = range(prng, bytes);
  const piece = bytes.subarray(start, end);
  const times = prng.once(10) ? 1 + prng.below(64) : 1;
  return join(bytes.subarray(0, end), ...Array(times).fill(piece), bytes.subarray(end));
};

const swapRanges: Edit = (prng, bytes) => {
  const a = range(prng, bytes);
  const b = range(prng, bytes);
  const [first, second] = a.start <= b.start ? [a, b] : [b, a];
  if (first.end > second.start) return bytes.slice();
  return join(
    bytes.subarray(0, first.start),
    bytes.subarray(second.start, second.end),
    bytes.subarray(first.end, second.start),
    bytes.subarray(first.start, first.end),
    bytes.subarray(second.end),
  );
};

const truncate: Edit = (prng, bytes) =>
  prng.once(2) ? bytes.slice(0, prng.below(bytes.length)) : bytes.slice(prng.small(bytes.length));

const splice: Edit = (prng, bytes, others) => {
  const other = prng.pick(others);
  const from = range(prng, other);
  const { start, end } = range(prng, bytes);
  switch (prng.below(3)) {
    case 0:
      return join(bytes.subarray(0, start), other.subarray(prng.below(other.length)));
    case 1:
      return join(bytes.subarray(0, start), other.subarray(from.start, from.end), bytes.subarray(end));
    default:
      return join(bytes.subarray(0, start), other.subarray(from.start, from.end), bytes.subarray(start));
  }
};

/** Reads 1, 2, 3, 4 or 8 bytes somewhere as a length or count and puts another one there. */
const editNumber: Edit = (prng, bytes) => {
  const width = prng.pick([1, 2, 3, 4, 8]);
  if (bytes.length < width) return bytes.slice();
  const at = prng.once(4) ? 0 : prng.below(bytes.length - width + 1);
  const out = bytes.slice();
  const left = bytes.length - at - width;
  const value = prng.pick([
    0,
    1,
    left,
    left + 1,
    left - 1,
    0x7f,
    0x80,
    0xff,
    0x3fff,
    0x4000,
    0xffff,
    0xffffff,
    2 ** 31,
    2 ** 32 - 1,
  ]);
  for (let i = 0, rest = Math.max(0, value); i < width; i++, rest = Math.floor(rest / 256))
    out[at + width - 1 - i] = rest % 256;
  // The variable-length integers of MLS (RFC 9000 §16) say their own width in the two highest bits.
  if (prng.once(4)) out[at] = ((out[at] ?? 0) & 0x3f) | prng.pick([0x00, 0x40, 0x80, 0xc0]);
  return out;
};

/** Repeats the whole or a tail of it until it is large. */
const blowUp: Edit = (prng, bytes) => {
  const { start } = range(prng, bytes);
  const piece = bytes.subarray(start, start + 1 + prng.small(64));
  const times = Math.min(Math.floor(8192 / Math.max(1, piece.length)), 1 + prng.below(512));
  return join(bytes.subarray(0, start), ...Array(times).fill(piece), bytes.subarray(start));
};

/** Edits that know nothing about a format. The first ones are chosen as often as they are listed. */
export const byteEdits: readonly Edit[] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  addToByte,
  insert,
  remove,
  remove,
  duplicate,
  swapRanges,
  truncate,
  splice,
  splice,
  editNumber,
  editNumber,
  blowUp,
];
