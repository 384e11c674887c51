import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { WorkerSupervisor } from "../../src/cli/workerSupervisor.ts";

setDefaultTimeout(30_000);

/** Workers of this script, and what was logged about them. */
function supervise(count: number, script: (worker: number, generation: number) => string) {
  const lines: string[] = [];
  const generations = new Map<number, number>();
  const supervisor = new WorkerSupervisor({
    count,
    log: (_, message) => lines.push(message),
    spawn(worker) {
      const generation = (generations.get(worker) ?? 0) + 1;
      generations.set(worker, generation);
      return Bun.spawn([process.execPath, "-e", script(worker, generation)], { stdin: "ignore" });
    },
  });
  return { supervisor, lines };
}

const stay = "setInterval(() => {}, 1000)";

async function logged(lines: readonly string[], text: RegExp): Promise<void> {
  while (!lines.some((line) => text.test(line))) await Bun.sleep(10);
}

describe("WorkerSupervisor", () => {
  test("starts a worker again after a delay that doubles, also when it says that its input can't be used", async () => {
    const { supervisor, lines } = supervise(1, (_, generation) =>
      generation < 3 ? `process.exit(${generation})` : stay,
    );
    await logged(lines, /^Worker 1 has ended \(exit code 1\), another one starts in 0\.5 s$/);
    await logged(lines, /^Worker 1 has ended \(exit code 2\), another one starts in 1 s$/);
    while (lines.filter((line) => line.includes("is process")).length < 3) await Bun.sleep(10);
    await supervisor.stop();
    expect(lines).toHaveLength(5);
  });

  test("gives up when a worker of the first generation can't use its input, and ends the others", async () => {
    const { supervisor, lines } = supervise(2, (worker) => (worker === 2 ? "process.exit(2)" : stay));
    expect(await supervisor.unusable).toBe(2);
    await supervisor.stop();
    expect(lines.at(-1)).toBe("Worker 2 can't start (exit code 2)");
  });

  test("waits for nobody between two generations when it is stopped", async () => {
    const { supervisor, lines } = supervise(1, () => "process.exit(1)");
    await logged(lines, /starts in 4 s/);
    const startedMs = performance.now();
    await supervisor.stop();
    expect(performance.now() - startedMs).toBeLessThan(3_000);
    expect(lines.filter((line) => line.includes("is process"))).toHaveLength(4);
  });
});
