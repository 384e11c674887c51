/**
 * What came from the keyboard. `press` names a key as Emacs does: `C-` control, `M-` meta (Alt), `S-` shift, then a
 * letter, or `enter`, `tab`, `backspace`, `delete`, `up`, `home`, …
 */
export type Key =
  | { readonly kind: "text"; readonly text: string }
  /** The terminal says that this was pasted (bracketed paste). */
  | { readonly kind: "paste"; readonly text: string }
  | { readonly kind: "press"; readonly name: string };

/** Pasted text beyond this many characters is left out. */
const maxPasteChars = 256 * 1024;
/** Longest escape sequence that is waited for; what is longer is no key. */
const maxSequenceChars = 256;

const pasteStart = "\u001b[200~";
const pasteEnd = "\u001b[201~";

/** Final characters of `ESC [ … x` and `ESC O x`, and the numbers of `ESC [ n ~`. */
const finalNames: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  F: "end",
  H: "home",
  M: "enter",
};
const numberNames: Readonly<Record<string, string>> = {
  "1": "home",
  "3": "delete",
  "4": "end",
  "5": "page-up",
  "6": "page-down",
  "7": "home",
  "8": "end",
};
const controlNames: Readonly<Record<number, string>> = {
  8: "backspace",
  9: "tab",
  10: "enter",
  13: "enter",
  27: "escape",
  127: "backspace",
};

/** Turns what a terminal sends into keys, however it is cut into pieces. Sequences that mean no key are swallowed. */
export class KeyDecoder {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #pasted: string | undefined;

  /** Whether the beginning of a sequence is waiting for its end. */
  get isWaiting(): boolean {
    return this.#rest !== "" || this.#pasted !== undefined;
  }

  get isPasting(): boolean {
    return this.#pasted !== undefined;
  }

  push(chunk: Uint8Array): Key[] {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    const keys: Key[] = [];
    while (this.#rest !== "") {
      const taken = this.#pasted === undefined ? this.#takeKey(keys) : this.#takePaste(keys);
      if (taken === 0) break;
      this.#rest = this.#rest.slice(taken);
    }
    return keys;
  }

  /** Nothing more came for a while: an escape was the key of this name, and a paste without its end is over. */
  flush(): Key[] {
    const keys: Key[] = [];
    if (this.#pasted !== undefined) {
      keys.push({ kind: "paste", text: this.#pasted + this.#rest });
      this.#pasted = undefined;
    } else if (this.#rest === "\u001b") keys.push({ kind: "press", name: "escape" });
    else if (this.#rest.length === 2) keys.push(...withMeta(this.#rest.slice(1)));
    this.#rest = "";
    return keys;
  }

  /** @returns characters that were used up; 0 when more have to come */
  #takeKey(keys: Key[]): number {
    const text = this.#rest;
    if (text.charCodeAt(0) !== 0x1b) return takePlain(text, keys);
    const sequence = matchSequence(text);
    if (sequence === "incomplete") return text.length > maxSequenceChars ? text.length : 0;
    if (sequence === pasteStart) this.#pasted = "";
    else keys.push(...keysOfSequence(sequence));
    return sequence.length;
  }

  #takePaste(keys: Key[]): number {
    const text = this.#rest;
    const end = text.indexOf(pasteEnd);
    // The end mark may be cut: its possible beginning stays.
    const taken = end >= 0 ? end : Math.max(0, text.length - pasteEnd.length + 1);
    const pasted = ((this.#pasted ?? "") + text.slice(0, taken)).slice(0, maxPasteChars);
    if (end < 0) {
      this.#pasted = pasted;
      return taken;
    }
    this.#pasted = undefined;
    keys.push({ kind: "paste", text: pasted });
    return end + pasteEnd.length;
  }
}

function takePlain(text: string, keys: Key[]): number {
  const end = text.search(/[\u0000-\u001f\u007f]/);
  if (end !== 0) {
    const plain = end < 0 ? text : text.slice(0, end);
    keys.push({ kind: "text", text: plain });
    return plain.length;
  }
  keys.push({ kind: "press", name: controlName(text.charCodeAt(0)) });
  return 1;
}

function controlName(code: number): string {
  return controlNames[code] ?? `C-${String.fromCharCode(code + 64).toLowerCase()}`;
}

/** ECMA-48 §5.4: CSI sequences, SS3 of cursor keys, and the strings OSC, DCS, SOS, PM and APC that answer queries. */
function matchSequence(text: string): string | "incomplete" {
  const inner = text.startsWith("\u001b\u001b[") || text.startsWith("\u001b\u001bO") ? 1 : 0;
  const kind = text[inner + 1];
  if (kind === undefined || text === "\u001b\u001b") return "incomplete";
  if (kind === "[") {
    const match = /^[0-?]*[ -/]*([@-~])?/.exec(text.slice(inner + 2));
    const length = inner + 2 + (match?.[0].length ?? 0);
    // What can't stand in a sequence ends it, and is read on its own.
    return match?.[1] === undefined && text.length === length ? "incomplete" : text.slice(0, length);
  }
  if (kind === "O") return text.length < inner + 3 ? "incomplete" : text.slice(0, inner + 3);
  if ("]PX^_".includes(kind)) {
    const match = /(?:\u0007|\u001b\\)/.exec(text.slice(2));
    return match === null ? "incomplete" : text.slice(0, 2 + match.index + match[0].length);
  }
  const character = String.fromCodePoint(text.codePointAt(1) ?? 0);
  return text.slice(0, 1 + character.length);
}

function keysOfSequence(sequence: string): Key[] {
  const isMeta = sequence.startsWith("\u001b\u001b") && sequence.length > 2;
  const body = isMeta ? sequence.slice(2) : sequence.slice(1);
  if (/^[\]PX^_]./s.test(body)) return [];
  if (!/^[[O]/.test(body) || body.length === 1) return withMeta(body);
  const match = /^[[O]([0-9]*)(?:;([0-9]+))?[0-9;:]*([A-Za-z~])$/.exec(body);
  if (match === null) return [];
  const [, first = "", second = "1", final = ""] = match;
  const modifiers = Number(second) - 1;
  if (final === "u") return keysOfCode(Number(first), modifiers, isMeta);
  if (final === "Z") return [{ kind: "press", name: "S-tab" }];
  const name = final === "~" ? numberNames[first] : finalNames[final];
  return name === undefined ? [] : [{ kind: "press", name: prefix(modifiers, isMeta) + name }];
}

/** `ESC [ code ; modifiers u`: what some terminals send for Shift-Enter and its like. */
function keysOfCode(code: number, modifiers: number, isMeta: boolean): Key[] {
  const named = controlNames[code];
  if (named !== undefined) return [{ kind: "press", name: prefix(modifiers, isMeta) + named }];
  if (code < 32 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return [];
  const character = String.fromCodePoint(code);
  const marks = prefix(modifiers & ~1, isMeta);
  return marks === "" ? [{ kind: "text", text: character }] : [{ kind: "press", name: marks + character }];
}

/** xterm's modifier parameter less one: 1 shift, 2 alt, 4 control. */
function prefix(modifiers: number, isMeta: boolean): string {
  const meta = isMeta || (modifiers & 2) !== 0 ? "M-" : "";
  return `${(modifiers & 4) !== 0 ? "C-" : ""}${meta}${(modifiers & 1) !== 0 ? "S-" : ""}`;
}

function withMeta(character: string): Key[] {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x1b) return [{ kind: "press", name: "escape" }];
  const name = code < 32 || code === 127 ? controlName(code) : character.toLowerCase();
  return [{ kind: "press", name: `M-${name}` }];
}
