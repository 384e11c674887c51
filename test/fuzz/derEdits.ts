import { byteEdits, type Edit, join } from "./byteEdits.ts";
import type { Prng } from "./prng.ts";

/** An element of DER or of something like it, to be changed and written again with the right lengths, or wrong ones. */
interface Node {
  tag: number;
  /** Of an element that holds elements: constructed, or a string whose content reads as elements. */
  children: Node[] | undefined;
  /** Before the children: the unused bits of a BIT STRING. */
  prefix: Uint8Array;
  content: Uint8Array;
  /** How the length is written, where not as DER wants it. */
  length?: "padded" | "indefinite" | "short" | "long" | "huge";
}

const none = new Uint8Array(0);
const maxParsedDepth = 40;

/** @returns the elements, or `undefined` when the bytes are not a row of them */
function parse(bytes: Uint8Array, depth = 0): Node[] | undefined {
  const nodes: Node[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1];
    if (length === undefined || (tag & 0x1f) === 0x1f || depth > maxParsedDepth) return undefined;
    at += 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > 3 || at + octets > bytes.length) return undefined;
      length = 0;
      for (let i = 0; i < octets; i++) length = length * 256 + (bytes[at + i] ?? 0);
      at += octets;
    }
    if (at + length > bytes.length) return undefined;
    nodes.push(nodeOf(tag, bytes.subarray(at, at + length), depth));
    at += length;
  }
  return nodes;
}

function nodeOf(tag: number, content: Uint8Array, depth: number): Node {
  const prefix = tag === 0x03 && content[0] === 0 ? content.subarray(0, 1) : none;
  const holds = (tag & 0x20) !== 0 || tag === 0x04 || tag === 0x03;
  const inner = content.subarray(prefix.length);
  const children = holds && (inner.length > 0 || (tag & 0x20) !== 0) ? parse(inner, depth + 1) : undefined;
  return { tag, children, prefix, content };
}

function write(node: Node): Uint8Array {
  const content = node.children === undefined ? node.content : join(node.prefix, ...node.children.map(write));
  const { length } = content;
  switch (node.length) {
    case undefined:
      return join(Uint8Array.of(node.tag, ...lengthOctets(length)), content);
    case "padded":
      return join(Uint8Array.of(node.tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff), content);
    case "indefinite":
      return join(Uint8Array.of(node.tag, 0x80), content, Uint8Array.of(0, 0));
    case "short":
      return join(Uint8Array.of(node.tag, ...lengthOctets(Math.max(0, length - 1))), content);
    case "long":
      return join(Uint8Array.of(node.tag, ...lengthOctets(length + 1)), content);
    default:
      return join(Uint8Array.of(node.tag, 0x84, 0xff, 0xff, 0xff, 0xff), content);
  }
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  return [0x83, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff];
}

interface Place {
  readonly siblings: Node[];
  readonly index: number;
  readonly node: Node;
}

function places(roots: Node[]): Place[] {
  const found: Place[] = [];
  const open: Node[][] = [roots];
  for (let siblings = open.pop(); siblings !== undefined; siblings = open.pop())
    for (const [index, node] of siblings.entries()) {
      found.push({ siblings, index, node });
      if (node.children !== undefined) open.push(node.children);
    }
  return found;
}

const tags = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1c, 0x1e,
  0x1f, 0x24, 0x30, 0x31, 0x80, 0x81, 0x82, 0x86, 0x87, 0x88, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x00,
];

const utf8 = new TextEncoder();
const contents: readonly Uint8Array[] = [
  none,
  Uint8Array.of(0),
  Uint8Array.of(1),
  Uint8Array.of(0xff),
  Uint8Array.of(0, 0x7f),
  Uint8Array.of(0, 0x80),
  Uint8Array.of(0xff, 0x80),
  Uint8Array.of(0x7f, 0xff, 0xff, 0xff),
  Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff),
  new Uint8Array(21).fill(0x7f),
  new Uint8Array(64).fill(0xff),
  Uint8Array.of(0x80, 0x01),
  Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b),
  Uint8Array.of(0x55, 0x1d, 0x20, 0x00),
  utf8.encode("500101000000Z"),
  utf8.encode("491231235959Z"),
  utf8.encode("20500101000000Z"),
  utf8.encode("00000101000000Z"),
  utf8.encode("99991231235959Z"),
  utf8.encode("20270229000000Z"),
  utf8.encode("270101000000+0100"),
  utf8.encode("*.example.org"),
  utf8.encode("xn--"),
  utf8.encode(".example.org"),
  utf8.encode("@example.org"),
  utf8.encode("\u202ealice\u0000"),
];

/** Extensions whose meaning path validation knows, so that their values meet under each other's names. */
const known: readonly Uint8Array[] = [
  ...[
    0x0e, 0x0f, 0x11, 0x12, 0x13, 0x14, 0x15, 0x18, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x23, 0x24,
    0x25, 0x2e, 0x36,
  ].map((arc) => Uint8Array.of(0x55, 0x1d, arc)),
  Uint8Array.of(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01),
];

type TreeEdit = (prng: Prng, place: Place, all: readonly Place[], other: readonly Place[]) => void;

const edits: readonly TreeEdit[] = [
  (_, { siblings, index }) => void siblings.splice(index, 1),
  (prng, { siblings, index, node }) => {
    const times = prng.once(8) ? 1 + prng.below(300) : 1;
    siblings.splice(index, 0, ...Array<Node>(times).fill(structuredClone(node)));
  },
  (prng, { siblings, index, node }) => {
    const with_ = prng.below(siblings.length);
    const other = siblings[with_];
    if (other === undefined) return;
    siblings[index] = other;
    siblings[with_] = node;
  },
  (prng, { siblings, index }, all) => {
    siblings[index] = structuredClone(prng.pick(all).node);
  },
  (prng, { siblings, index }, _, other) => {
    if (other.length > 0) siblings.splice(index, prng.below(2), structuredClone(prng.pick(other).node));
  },
  (prng, { node }, _, other) => {
    if (other.length > 0) Object.assign(node, structuredClone(prng.pick(other).node), { tag: node.tag });
  },
  (prng, { node }) => {
    node.tag = prng.once(3) ? prng.byte() : prng.pick(tags);
  },
  (prng, { node }) => {
    node.tag ^= prng.pick([0x20, 0x40, 0x80, 0x01]);
  },
  (prng, { node }) => {
    node.children = undefined;
    node.content = prng.pick(contents);
  },
  (prng, { node }) => {
    if (node.tag === 0x06) node.content = prng.pick(known);
    else node.tag = 0x06;
    node.children = undefined;
  },
  (prng, { node }) => {
    if (node.children !== undefined) node.content = join(node.prefix, ...node.children.map(write));
    node.children = undefined;
    node.content = prng.pick(byteEdits)(prng, node.content, [node.content]);
  },
  // a number or string with one byte more in front
  (prng, { node }) => {
    if (node.children !== undefined) return;
    node.content = join(Uint8Array.of(prng.pick([0x00, 0xff, 0x80])), node.content);
  },
  (prng, { node }) => {
    node.length = prng.pick(["padded", "indefinite", "short", "long", "huge"]);
  },
  (prng, { siblings, index, node }) => {
    let nested = node;
    for (let depth = prng.once(2) ? 1 : prng.below(80); depth >= 0; depth--)
      nested = { tag: prng.pick([0x30, 0x31, 0xa0]), children: [nested], prefix: none, content: none };
    siblings[index] = nested;
  },
  (prng, { node }) => {
    if (node.children !== undefined) node.children = prng.shuffle(node.children);
  },
  (_, { node }) => {
    if (node.children === undefined) return;
    node.children = node.children
      .map((child) => [child, write(child)] as const)
      .sort(([, a], [, b]) => Buffer.compare(a, b))
      .map(([child]) => child);
  },
  // DEFAULT and OPTIONAL values that are written out
  (prng, { siblings, index }) => {
    const content = Uint8Array.of(prng.pick([0x00, 0xff, 0x01]));
    siblings.splice(index, 0, {
      tag: prng.pick([0x01, 0x02, 0x05]),
      children: undefined,
      prefix: none,
      content,
    });
  },
];

/** Changes one to four elements of a row of DER elements; the lengths around them are right unless the edit is about lengths. */
export const editDer: Edit = (prng, bytes, others) => {
  const roots = parse(bytes);
  if (roots === undefined) return prng.pick(byteEdits)(prng, bytes, others);
  const other = prng.once(2) ? places(parse(prng.pick(others)) ?? []) : [];
  for (let times = 1 + prng.small(3); times > 0; times--) {
    const all = places(roots);
    if (all.length === 0) break;
    prng.pick(edits)(prng, prng.pick(all), all, other);
  }
  return join(...roots.map(write));
};
