import { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import type { World } from "../scenario/world.ts";
import type { Placed, Talker } from "./talker.ts";

/** What a run has left behind. */
export interface Standing {
  readonly entries: number;
  /** Messages that were told by more than one client of a person, for a kill came before it could note that. */
  readonly retold: number;
}

/** @returns the one transcript of both. @throws when their evidence differs, or does not verify */
export async function requireSameEvidence(world: World, talkers: readonly Talker[]): Promise<string> {
  const folders = talkers.map(({ folders }) => folders.at(-1) ?? "");
  const transcripts = folders.map((folder) => readFileSync(join(folder, "transcript.jsonl"), "utf8"));
  if (new Set(transcripts).size !== 1) throw new Error("the transcripts differ");
  for (const args of [...folders.map((folder) => [folder]), folders]) {
    const { exitCode, stdout, stderr } = await world.run("org", ["verify", ...args]);
    if (exitCode !== 0)
      throw new Error(`verify ${args.join(" ")} ends with ${exitCode}:\n${stdout}${stderr}`);
  }
  return transcripts[0] ?? "";
}

/**
 * Compares what stands with what was typed: words that were kept, or told to stand, stand once, and each author's in the
 * order in which they were typed; each was told to both.
 */
export function requireWords(
  transcript: string,
  talkers: readonly Talker[],
  histories: readonly (readonly Placed[])[],
): Standing {
  const lines = transcript.trimEnd().split("\n").map(parseTranscriptLine);
  const words = new Map<number, Placed>();
  for (const placed of [...histories.flat(), ...talkers.flatMap(({ told }) => told)]) {
    const { index, seqno, from, text } = placed;
    const entry = lines[index]?.entry;
    const known = words.get(index)?.text ?? text;
    if (entry?.kind !== "message" || entry.seqno !== seqno || !text.startsWith(from) || known !== text)
      throw new Error(`"${text}" is not what ${from} said in entry ${index}`);
    words.set(index, placed);
  }
  const isVaultLost = talkers.some(({ hasLostVault }) => hasLostVault);
  const messages = lines.filter(({ entry }) => entry.kind === "message").length;
  if (messages !== words.size && !isVaultLost)
    throw new Error(`${messages} messages stand, ${words.size} are known to somebody`);
  for (const talker of talkers) requireOrder(talker, words);
  const retold = talkers.map((talker) => requireTold(talker, words)).reduce((sum, one) => sum + one, 0);
  return { entries: lines.length, retold };
}

function requireOrder({ name, typed, kept, lost }: Talker, words: ReadonlyMap<number, Placed>): void {
  const place = new Map(typed.map((text, i) => [text, i]));
  const own = [...words.values()].filter(({ from }) => from === name).sort((a, b) => a.index - b.index);
  let last = -1;
  for (const { text } of own) {
    const at = place.get(text) ?? -1;
    if (at <= last) throw new Error(`"${text}" stands twice, out of order, or was never typed`);
    last = at;
  }
  const standing = new Set(own.map(({ text }) => text));
  for (const text of kept)
    if (!standing.has(text) && !lost.has(text)) throw new Error(`"${text}" was kept and does not stand`);
}

/** @returns how often something was told again. @throws when one client told twice, or nobody told at all */
function requireTold({ name, told, hasLostVault }: Talker, words: ReadonlyMap<number, Placed>): number {
  const lives = new Map<string, number>();
  let retold = 0;
  for (const { event, index, life } of told) {
    const what = `${event} ${index}`;
    if (lives.get(what) === life) throw new Error(`${name}: one client told entry ${index} twice`);
    if (lives.has(what)) retold += 1;
    lives.set(what, life);
  }
  for (const { index, from, text } of words.values())
    if (!lives.has(`${from === name ? "sent" : "message"} ${index}`) && !hasLostVault)
      throw new Error(`${name} was never told that "${text}" stands`);
  return retold;
}

export function requireIntegrity(file: string): void {
  using database = new Database(file, { readonly: true });
  const row = database.query<{ integrity_check: string }, []>("PRAGMA integrity_check").get();
  if (row?.integrity_check !== "ok") throw new Error(`${file}: ${row?.integrity_check}`);
}
