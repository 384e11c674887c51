import { demand, type Target } from "./target.ts";

/*
 * Boundaries with one fault each, to see that the harness finds it. But for growth the fault shows for an input that
 * does not begin with the byte 1, as the seed does.
 */

const isHonest = (input: Uint8Array) => input[0] === 1;

function planted(name: string, fault: (input: Uint8Array) => void, more: Partial<Target> = {}): Target {
  return {
    name,
    form: "bytes",
    limitMs: 1000,
    maxBytes: 1024,
    iterations: 300,
    async makeFixture() {
      return { seeds: [new Uint8Array(64).fill(1)], parts: {} };
    },
    async open() {
      return (input) => {
        if (!isHonest(input)) fault(input);
        return "accepted";
      };
    },
    ...more,
  };
}

/** Uses so much processor time, however long that takes on a busy machine. */
function busyFor(ms: number): void {
  const before = process.cpuUsage();
  for (let used = { user: 0, system: 0 }; (used.user + used.system) / 1000 < ms; )
    used = process.cpuUsage(before);
}

const hoard: Uint8Array[] = [];

export const plantedTargets: readonly Target[] = [
  planted("plantedError", (input) => void input.at(0)?.toString(99)),
  planted("plantedAcceptance", () => demand(false, "a changed input is taken")),
  planted("plantedRejection", () => undefined, {
    async open() {
      return async (input) => {
        if (!isHonest(input)) throw new TypeError("later");
        return "accepted";
      };
    },
  }),
  planted("plantedHang", () => Bun.sleepSync(600_000)),
  planted("plantedDeath", () => process.kill(process.pid, "SIGKILL")),
  planted("plantedSlowness", () => busyFor(40), { limitMs: 20, iterations: 60 }),
  planted("plantedGrowth", () => undefined, {
    maxGrowthMiB: 16,
    async open() {
      return () => {
        hoard.push(new Uint8Array(2 ** 18).fill(1));
        return "accepted";
      };
    },
  }),
  planted("plantedNothing", () => undefined),
];
