/** What can be completed: the chat's commands, and names of people and groups. */
export interface Vocabulary {
  /** By name, and whether their arguments are names. */
  readonly commands: readonly { readonly name: string; readonly takesNames: boolean }[];
  readonly names: readonly string[];
}

export interface Completion {
  /** What stands before the cursor now. */
  readonly before: string;
  /** All that fit, when it is more than one. */
  readonly candidates: readonly string[];
}

/** Completes the word before the cursor: a command at the start, a name behind it or anywhere in a text. */
export function complete(before: string, { commands, names }: Vocabulary): Completion {
  const nothing = { before, candidates: [] };
  const command = /^\/(\S*)$/.exec(before);
  if (command !== null)
    return choose(
      before,
      command[1] ?? "",
      commands.map(({ name }) => name),
    );
  const word = before.split(/\s/).at(-1) ?? "";
  const used = /^\/(\S+)\s/.exec(before)?.[1];
  if (used !== undefined && commands.find(({ name }) => name === used)?.takesNames !== true) return nothing;
  if (used === undefined && word === "") return nothing;
  return choose(before, word, names);
}

function choose(before: string, typed: string, words: readonly string[]): Completion {
  const candidates = [...new Set(words)].filter((word) => word.startsWith(typed)).sort();
  const [first, ...others] = candidates;
  if (first === undefined) return { before, candidates: [] };
  if (others.length === 0) return { before: `${before}${first.slice(typed.length)} `, candidates: [] };
  const common = others.reduce((start, word) => commonStart(start, word), first);
  return { before: before + common.slice(typed.length), candidates };
}

function commonStart(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return a.slice(0, length);
}
