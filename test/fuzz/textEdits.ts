import { byteEdits, type Edit, join } from "./byteEdits.ts";
import { editDer } from "./derEdits.ts";
import { editJson } from "./jsonEdits.ts";
import type { Prng } from "./prng.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();
const lineEnd = Uint8Array.of(0x0a);

/** Removes, repeats, moves, joins or cuts lines; `inside` changes one of them. */
export function editLines(inside: Edit): Edit {
  return (prng, bytes, others) => {
    const lines = splitLines(bytes);
    const at = prng.below(lines.length);
    const line = lines[at] ?? lineEnd;
    switch (prng.below(8)) {
      case 0:
        lines.splice(at, 1);
        break;
      case 1:
        lines.splice(prng.below(lines.length + 1), 0, line);
        break;
      case 2: {
        const to = prng.below(lines.length);
        lines[at] = lines[to] ?? line;
        lines[to] = line;
        break;
      }
      case 3:
        lines[at] = line.subarray(0, prng.below(line.length));
        break;
      case 4:
        lines.splice(at, 0, prng.pick(splitLines(prng.pick(others))));
        break;
      default: {
        const text = line.at(-1) === 0x0a ? line.subarray(0, -1) : line;
        lines[at] = join(inside(prng, text, others), lineEnd);
      }
    }
    return join(...lines);
  };
}

export const editJsonLines = editLines(editJson);

/** @returns the lines, each with its LF; never none */
function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start);
    const next = end === -1 ? bytes.length : end + 1;
    lines.push(bytes.subarray(start, next));
    start = next;
  }
  return lines.length === 0 ? [lineEnd] : lines;
}

const block = /-----BEGIN ([^\n-]+)-----\r?\n([A-Za-z0-9+/=\s]*)-----END \1-----\r?\n?/g;
const labels = [
  "CERTIFICATE",
  "X509 CRL",
  "PRIVATE KEY",
  "ENCRYPTED PRIVATE KEY",
  "EC PRIVATE KEY",
  "CMS",
  "",
];

/** Changes the blocks of a PEM text: what is in them as DER, how they are wrapped, their markers, their order. */
export const editPem: Edit = (prng, bytes, others) => {
  const text = decoder.decode(bytes);
  const found = [...text.matchAll(block)];
  if (found.length === 0 || prng.once(6))
    return prng.pick([editLines(prng.pick(byteEdits)), ...byteEdits])(prng, bytes, others);
  const blocks = found.map(([whole]) => whole);
  const at = prng.below(found.length);
  const [whole = "", label = "", base64 = ""] = found[at] ?? [];
  switch (prng.below(8)) {
    case 0:
      blocks.splice(at, 1);
      break;
    case 1:
      blocks.splice(at, 0, ...Array<string>(prng.once(8) ? 1 + prng.below(40) : 1).fill(whole));
      break;
    case 2:
      blocks.splice(0, blocks.length, ...prng.shuffle(blocks));
      break;
    case 3: {
      const more = [...decoder.decode(prng.pick(others)).matchAll(block)].map(([other]) => other);
      if (more.length > 0) blocks.splice(at, prng.below(2), prng.pick(more));
      break;
    }
    case 4:
      blocks[at] = wrapAgain(prng, label, base64);
      break;
    default: {
      const der = Buffer.from(base64, "base64");
      blocks[at] = wrap(label, editDer(prng, der, [der]).toBase64(), 64);
    }
  }
  return encoder.encode(blocks.join(""));
};

function wrapAgain(prng: Prng, label: string, base64: string): string {
  const clean = base64.replace(/\s/g, "");
  switch (prng.below(8)) {
    case 0:
      return wrap(prng.pick(labels), clean, 64);
    case 1:
      return wrap(label, clean, 1 + prng.below(200));
    case 2:
      return wrap(label, clean, 64).replaceAll("\n", "\r\n");
    case 3:
      return wrap(label, clean.replace(/=+$/, ""), 64);
    case 4:
      return wrap(label, clean, 64).replace("\n", "\nProc-Type: 4,ENCRYPTED\n");
    case 5:
      return wrap(label, clean, 64).replace(
        "-----END",
        prng.pick(["----END", "-----END ", "x-----END", "-----BEGIN"]),
      );
    case 6:
      return ` ${wrap(label, clean, 64)}`;
    default:
      return wrap(label, clean, 64).replace(/\n/g, () =>
        prng.pick(["\n", " \n", "\t\n", "\r", "\u00a0\n", "\n\n"]),
      );
  }
}

function wrap(label: string, base64: string, columns: number): string {
  const lines = base64.match(new RegExp(`.{1,${columns}}`, "g")) ?? [];
  return `-----BEGIN ${label}-----\n${lines.map((line) => `${line}\n`).join("")}-----END ${label}-----\n`;
}
