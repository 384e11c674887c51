import { byteEdits, type Edit } from "./byteEdits.ts";
import type { Prng } from "./prng.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();
/** Strings, numbers, words, marks, and whatever else stands between them. */
const token = /"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[[\]{},:]|\s+|./gsu;

const interesting = [
  "0",
  "-0",
  "1",
  "-1",
  "1.0",
  "1e3",
  "01",
  "9007199254740991",
  "9007199254740992",
  "1e400",
  "4294967296",
  "null",
  "true",
  "[]",
  "{}",
  "[[]]",
  '""',
  '"-"',
  '"\\u0000"',
  '"\\ud800"',
  '"\u202e"',
  '"__proto__"',
  '"constructor"',
  '"type"',
  '"AA=="',
  '"AB=="',
  '"create"',
  '"message"',
  " ",
  ",",
  ":",
  "}",
  "]",
  "{",
];

const isString = (text: string) => text.startsWith('"') && text.endsWith('"') && text.length >= 2;
const isHex = (text: string) => /^"[0-9a-f]+"$/.test(text);
const isBase64 = (text: string) => text.length > 5 && /^"[A-Za-z0-9+/]+={0,2}"$/.test(text);

function editString(prng: Prng, text: string, others: readonly Uint8Array[]): string {
  const inner = text.slice(1, -1);
  switch (prng.below(9)) {
    case 0:
      return '""';
    case 1: {
      const at = prng.below(inner.length);
      return `"${inner.slice(0, at)}\\u${inner.charCodeAt(at).toString(16).padStart(4, "0")}${inner.slice(at + 1)}"`;
    }
    case 2:
      return `"${isHex(text) ? inner.toUpperCase() : `${inner}=`}"`;
    case 3:
      return `"${inner.slice(prng.below(inner.length))}"`;
    case 4:
      return `"${inner}${inner.slice(0, prng.below(64))}"`;
    case 5:
      return `"${inner.repeat(1 + prng.below(prng.once(8) ? 64 : 3))}"`;
    default:
  }
  if (isHex(text) && inner.length % 2 === 0)
    return `"${prng.pick(byteEdits)(prng, Uint8Array.fromHex(inner), others).toHex()}"`;
  if (isBase64(text) && inner.length % 4 === 0)
    return `"${prng.pick(byteEdits)(prng, Buffer.from(inner, "base64"), others).toBase64()}"`;
  const at = prng.below(inner.length + 1);
  return `"${inner.slice(0, at)}${prng.pick(["a", "é", "\u200b", "\\n", "\n", "\ud83d\ude00", "/", "\\/"])}${inner.slice(at)}"`;
}

function editNumber(prng: Prng, text: string): string {
  const value = Number(text);
  return prng.pick([
    `${value + 1}`,
    `${value - 1}`,
    `${value}0`,
    `0${text}`,
    `${text}.0`,
    `${text}e0`,
    `-${text}`,
    `+${text}`,
    `"${text}"`,
    "9007199254740993",
  ]);
}

/** Members or items of one bracket, as ranges of tokens between its commas. */
function members(tokens: readonly string[], open: number): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  let depth = 0;
  let start = open + 1;
  for (let at = open; at < tokens.length; at++) {
    const text = tokens[at];
    if (text === "{" || text === "[") depth++;
    else if (text === "}" || text === "]") depth--;
    if ((text === "," && depth === 1) || depth === 0) {
      if (at > start) found.push({ start, end: at });
      start = at + 1;
      if (depth === 0) break;
    }
  }
  return found;
}

/** Removes, repeats or moves a member of an object or an item of an array; its commas stay right. */
function editMembers(prng: Prng, tokens: string[]): string[] {
  const brackets = tokens.flatMap((text, at) => (text === "{" || text === "[" ? [at] : []));
  if (brackets.length === 0) return tokens;
  const open = prng.pick(brackets);
  const parts = members(tokens, open);
  if (parts.length === 0) return tokens;
  const texts = parts.map(({ start, end }) => tokens.slice(start, end).join(""));
  const at = prng.below(texts.length);
  const text = texts[at] ?? "";
  switch (prng.below(5)) {
    case 0:
      texts.splice(at, 1);
      break;
    case 1:
      texts.splice(at, 0, ...Array<string>(prng.once(8) ? 1 + prng.below(300) : 1).fill(text));
      break;
    case 2:
      texts.splice(at, 0, '"more":1');
      break;
    case 3:
      texts[at] = text.replace(/:.*/s, `:${prng.pick(interesting)}`);
      break;
    default:
      texts.splice(0, texts.length, ...prng.shuffle(texts));
  }
  const end = parts.at(-1)?.end ?? open + 1;
  return [...tokens.slice(0, open + 1), texts.join(","), ...tokens.slice(end)];
}

/** Changes one to three tokens or members of a JSON text; what is inside of hex and base64 is changed as bytes. */
export const editJson: Edit = (prng, bytes, others) => {
  let tokens: string[] = decoder.decode(bytes).match(token) ?? [];
  if (tokens.length === 0) return prng.bytes(prng.small(16));
  for (let times = 1 + prng.small(2); times > 0; times--) {
    const at = prng.below(tokens.length);
    const text = tokens[at] ?? "";
    switch (prng.below(7)) {
      case 0:
        tokens.splice(at, 1);
        break;
      case 1:
        tokens.splice(at, 0, text);
        break;
      case 2:
        tokens[at] = prng.pick(interesting);
        break;
      case 3:
        tokens = editMembers(prng, [...tokens]);
        break;
      case 4:
        tokens[at] = prng.once(40) ? "[".repeat(5000) : prng.pick(tokens);
        break;
      default:
        if (isString(text)) tokens[at] = editString(prng, text, others);
        else if (/^[0-9-]/.test(text)) tokens[at] = editNumber(prng, text);
        else tokens[at] = prng.pick([" ", "\n", "\t", "\ufeff", ""]) + text;
    }
    if (tokens.length === 0) break;
  }
  return encoder.encode(tokens.join(""));
};
