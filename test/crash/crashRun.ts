import { Prng } from "../fuzz/prng.ts";
import { World } from "../scenario/world.ts";
import { CrashServer } from "./crashServer.ts";
import { requireIntegrity, requireSameEvidence, requireWords, type Standing } from "./invariants.ts";
import { Talker } from "./talker.ts";

/** When so little happens that the count does not come, the kill does all the same. */
const quietMs = 2_000;

export interface CrashOptions {
  readonly seed: number;
  readonly kills: number;
  /** Whether vaults are deleted too: then what only they knew may be gone. */
  readonly losesVaults?: boolean;
  /** Longest that the run may take, ms. */
  readonly patienceMs: number;
}

/** What a run came to; how often what was killed, and how often it happened that. */
export interface CrashReport extends Standing {
  readonly kills: Readonly<Record<string, number>>;
  readonly typed: number;
  readonly kept: number;
  readonly noted: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/**
 * Two people type at each other while their clients and the server are killed, again and again, after a random number of
 * happenings: chunks on the wire, lines printed. Then all live, quit, and what stands is compared with what was typed.
 *
 * @throws when an invariant does not hold, or nothing goes on
 */
export async function crashRun({ seed, kills, losesVaults = false, patienceMs }: CrashOptions) {
  const world = await World.create();
  const server = new CrashServer(world);
  const random = new Prng(seed);
  const talker = (name: string, peer: string) =>
    new Talker({
      ...{ world, name, peer },
      random: new Prng(random.uint32()),
      port: () => server.port,
      serverIsUp: () => server.listening(),
    });
  const [alice, bob] = [talker("alice", "bob"), talker("bob", "alice")];
  const all = [alice, bob, server];
  const counts = new Map<string, number>();
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const states = all.map(({ state }) => state).join("\n");
      reject(new Error(`stuck after ${JSON.stringify(Object.fromEntries(counts))}\n${states}`));
    }, patienceMs);
  });
  const running = all.map((one) => one.run());
  // Of these only a failure counts here: they end when they are told to.
  const failed = Promise.race(running.map((one) => one.then(() => new Promise<never>(() => {}))));
  try {
    const work = async (): Promise<CrashReport> => {
      await server.listening();
      for (let done = 0; done < kills; ) {
        const what = await killOne({ alice, bob, server }, random, losesVaults);
        if (what === undefined) continue;
        done += 1;
        counts.set(what, (counts.get(what) ?? 0) + 1);
      }
      const histories = await endInPeace(alice, bob);
      const transcript = await requireSameEvidence(world, [alice, bob]);
      await server.dispose();
      for (const file of [alice.vaultFile, bob.vaultFile, world.path("server", "securechat.db")])
        requireIntegrity(file);
      return {
        kills: Object.fromEntries(counts),
        ...requireWords(transcript, [alice, bob], histories),
        typed: alice.typed.length + bob.typed.length,
        kept: alice.kept.size + bob.kept.size,
        noted: Object.fromEntries([alice, bob].map(({ name, noted }) => [name, Object.fromEntries(noted)])),
      };
    };
    return await Promise.race([work(), late, failed]);
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    clearTimeout(timer);
    await Promise.all(all.map((one) => one.dispose()));
    await Promise.allSettled(running);
    await world.dispose();
  }
}

type Cast = Readonly<{ alice: Talker; bob: Talker; server: CrashServer }>;

/** Kills somebody at a random point. @returns who and how; `undefined` when there was nobody just then */
async function killOne(cast: Cast, random: Prng, losesVaults: boolean): Promise<string | undefined> {
  const all = [cast.alice, cast.bob, cast.server];
  const victim = random.pick(all);
  const clock = victim instanceof Talker ? victim : random.pick(all);
  // Few happenings hit starts, handshakes and logins, many the talk itself.
  await soon(clock.ticks.after(random.small(random.pick([8, 40, 120]))));
  if (!(victim instanceof Talker)) return (await victim.kill()) ? "server" : undefined;
  let what = victim.name;
  if (random.once(5)) {
    what += " while it ends";
    victim.endInput();
    await soon(victim.ticks.after(random.small(20)));
  }
  const accident = random.once(6) ? (losesVaults ? "vault lost" : "files torn") : undefined;
  const isKilled = await victim.kill(() => {
    if (accident === "vault lost") victim.loseVault();
    else if (accident === "files torn") victim.tearFiles();
  });
  if (!isKilled) return undefined;
  return accident === undefined ? what : `${what}, ${accident}`;
}

async function soon(happening: Promise<void>): Promise<void> {
  await Promise.race([happening, Bun.sleep(quietMs)]);
}

/** Nobody is killed any more. @returns what each can show of the past */
async function endInPeace(alice: Talker, bob: Talker) {
  for (const talker of [alice, bob]) talker.stopTyping();
  // A device that has just come back can't read what was said before: both are in when words of theirs stand.
  for (const talker of [alice, bob]) await talker.insist("is back");
  for (const [speaker, listener] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const heard = listener.next(({ event, text }) => event === "message" && text === `${speaker.name} ends`);
    speaker.say(`${speaker.name} ends`);
    await heard;
  }
  const histories = [await alice.history(), await bob.history()];
  // Alice acknowledges bob's last words as she ends; he has acknowledged hers with them.
  for (const talker of [alice, bob]) await talker.quit();
  return histories;
}
