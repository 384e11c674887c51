import { describe, expect, test } from "bun:test";
import { CliError } from "../../src/cli/cliError.ts";
import { type Arguments, parseArguments } from "../../src/cli/commandLine.ts";
import {
  formatDefault,
  limitFlags,
  parseLimits,
  serverLimitFlags,
  valueName,
} from "../../src/cli/limitFlags.ts";
import { defaultLimits } from "../../src/server/serverLimits.ts";

const argumentsOf = (...argv: string[]): Arguments => parseArguments(argv, "serve", limitFlags);

function refusalOf(...argv: string[]): string {
  try {
    parseLimits(argumentsOf(...argv));
  } catch (error) {
    if (error instanceof CliError && error.exitCode === 2) return error.message;
    throw error;
  }
  return "accepted";
}

describe("the limits of a server", () => {
  test("have one flag each", () => {
    expect(serverLimitFlags.map(({ limit }) => limit).sort()).toEqual(
      Object.keys(defaultLimits).sort() as never,
    );
    expect(new Set(serverLimitFlags.map(({ flag }) => flag)).size).toBe(serverLimitFlags.length);
  });

  test("are the defaults without flags, and when a flag says what --help gives as the default", () => {
    expect(parseLimits(argumentsOf())).toEqual(defaultLimits);
    const spelled = parseLimits(
      argumentsOf(...serverLimitFlags.map((limit) => `--${limit.flag}=${formatDefault(limit)}`)),
    );
    for (const [name, limit] of Object.entries(defaultLimits)) {
      const parsed = Object.entries(spelled).find(([key]) => key === name)?.[1];
      if (typeof limit === "number") expect([name, parsed]).toEqual([name, limit]);
      else {
        expect([name, parsed?.capacity]).toEqual([name, limit.capacity]);
        expect(parsed?.refillMs).toBeCloseTo(limit.refillMs, 9);
      }
    }
  });

  test("take values in their units", () => {
    const limits = parseLimits(
      argumentsOf(
        ...["--max-connections", "7", "--idle-timeout=60", "--max-queued", "1024"],
        ...["--conversation-rate", "5,2/h", "--request-rate", "10,100/s", "--storage-rate", "1,2/day"],
      ),
    );
    expect(limits).toEqual({
      ...defaultLimits,
      connections: 7,
      idleMs: 60_000,
      queuedBytes: 1_048_576,
      conversationCreations: { capacity: 5, refillMs: 1_800_000 },
      work: { capacity: 10, refillMs: 10 },
      storedBytes: { capacity: 1_048_576, refillMs: 86_400_000 / 2_097_152 },
    });
  });

  test("refuse what is out of range or has another form", () => {
    for (const limit of serverLimitFlags) {
      if (!("min" in limit)) continue;
      const { flag, min, max } = limit;
      expect(refusalOf(`--${flag}=${min}`)).toBe("accepted");
      expect(refusalOf(`--${flag}=${max}`)).toBe("accepted");
      for (const value of [min - 1, max + 1, "1.5", "-1", "1e3", "x"])
        expect(refusalOf(`--${flag}=${value}`)).toContain(
          `--${flag} must be a whole number from ${min} to ${max}`,
        );
    }
    const bad = [
      "1",
      "1,2",
      "0,1/s",
      "1,0/s",
      "1,1/ms",
      "1,1/s ",
      "01,1/s",
      "1.5,1/s",
      "1000001,1/s",
      "1,1000001/s",
    ];
    for (const value of bad)
      expect(refusalOf(`--receipt-rate=${value}`)).toContain("--receipt-rate must be like 100,12/h");
    expect(refusalOf("--receipt-rate=1000000,1000000/day")).toBe("accepted");
  });

  test("stand in the README, row by row", async () => {
    const readme = await Bun.file(new URL("../../README.md", import.meta.url)).text();
    for (const limit of serverLimitFlags) {
      const flag = `\`--${limit.flag} ${valueName(limit)}\``;
      const row = `| ${flag} | ${formatDefault(limit)} | ${limit.what} | ${limit.beyond} |`;
      expect(readme.includes(row) ? "" : row).toBe("");
    }
  });
});
