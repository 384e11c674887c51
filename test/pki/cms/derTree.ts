import { concatBytes } from "../../../src/base/bytes.ts";
import { DerReader, readDer } from "../../../src/pki/der.ts";
import { encodeTlv } from "../../../src/pki/derWriter.ts";

/** An element that tests take apart, change and put together again, so that each has exactly one fault. */
export interface DerNode {
  tag: number;
  /** Of a primitive element. */
  content: Uint8Array;
  /** Of a constructed element. */
  children: DerNode[];
}

export function readTree(der: Uint8Array): DerNode {
  return nodeOf(readDer(der));
}

/** Lengths are computed again; the order of sets is left as it is. */
export function writeTree({ tag, content, children }: DerNode): Uint8Array {
  return isConstructed(tag) ? encodeTlv(tag, ...children.map(writeTree)) : encodeTlv(tag, content);
}

/** @returns the node that the indexes lead to, @throws when there is none */
export function at(node: DerNode, ...path: readonly number[]): DerNode {
  let found = node;
  for (const index of path) {
    const next = found.children[index];
    if (next === undefined) throw new Error(`no element ${path.join(".")}`);
    found = next;
  }
  return found;
}

/** Sorts the elements of a SET OF. */
export function sort(node: DerNode): void {
  node.children.sort((a, b) => Buffer.compare(writeTree(a), writeTree(b)));
}

function nodeOf(reader: DerReader): DerNode {
  const node: DerNode = { tag: reader.tag, content: new Uint8Array(), children: [] };
  if (!isConstructed(reader.tag)) return { ...node, content: concatBytes(reader.content) };
  const inside = new DerReader(reader.content);
  while (!inside.atEnd) node.children.push(nodeOf(inside.next()));
  return node;
}

function isConstructed(tag: number): boolean {
  return (tag & 0x20) !== 0;
}
