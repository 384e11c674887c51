import { describe, expect, test } from "bun:test";
import type { Hex } from "../../src/base/hex.ts";
import type { LogState } from "../../src/log/conversationLog.ts";
import { BoundedCache } from "../../src/server/boundedCache.ts";
import { networkOf } from "../../src/server/loginDelay.ts";
import { decodeLogState, encodeLogState } from "../../src/server/logStateRecord.ts";
import { PasswordHasher } from "../../src/server/passwordHasher.ts";
import { Refusal, refused } from "../../src/server/refusal.ts";
import { formatJsonLogLine, formatLogLine } from "../../src/server/serverLog.ts";

test("networkOf() is the IPv4 address, mapped or not, and the /64 of an IPv6 address in any spelling", () => {
  expect(networkOf("192.0.2.7")).toBe("192.0.2.7");
  expect(networkOf("::ffff:192.0.2.7")).toBe("192.0.2.7");
  for (const one of [
    "2001:db8:0:1::5",
    "2001:0db8:0000:0001:ffff:1:2:3",
    "2001:db8::1:0:0:0:9",
    "2001:db8:0:1::%eth0",
  ])
    expect(networkOf(one)).toBe("2001:db8:0:1::/64");
  expect(networkOf("::1")).toBe("0:0:0:0::/64");
  expect(networkOf("fe80::1%lo")).toBe("fe80:0:0:0::/64");
});

test("formatLogLine() writes the original's lines", () => {
  const at = new Date(2026, 10, 23, 1, 20, 6, 123).getTime();
  expect(formatLogLine(at, "INFO", "Server running on 0.0.0.0:5000")).toBe(
    "2026-11-23 01:20:06,123 [INFO] Server running on 0.0.0.0:5000",
  );
});

test("formatJsonLogLine() puts the session of a message into a field", () => {
  const at = Date.UTC(2026, 10, 23, 1, 20, 6, 123);
  const line = formatJsonLogLine(at, "WARNING", '[SESSION-007] "quoted"\nand more');
  expect(line).toBe(
    '{"time":"2026-11-23T01:20:06.123Z","level":"warning","session":"SESSION-007","message":"\\"quoted\\"\\nand more"}',
  );
  expect(JSON.parse(formatJsonLogLine(at, "INFO", "[WORKER-2] [SESSION-001] of a worker"))).toEqual({
    time: "2026-11-23T01:20:06.123Z",
    level: "info",
    worker: "WORKER-2",
    session: "SESSION-001",
    message: "of a worker",
  });
  expect(JSON.parse(formatJsonLogLine(at, "INFO", "[WORKER-2] Server stopped"))).toMatchObject({
    worker: "WORKER-2",
    message: "Server stopped",
  });
  expect(JSON.parse(formatJsonLogLine(at, "INFO", "[session-7] not a tag"))).toEqual({
    time: "2026-11-23T01:20:06.123Z",
    level: "info",
    message: "[session-7] not a tag",
  });
});

test("refused() escapes control characters and stays within 512 bytes", () => {
  const long = refused(1, new Refusal("MALFORMED", `\u001b[2J${"ä€😀".repeat(200)}`));
  if (long.type !== "refused") throw new Error(long.type);
  expect(long.message).toStartWith("\\u{1b}[2J");
  expect(new TextEncoder().encode(long.message).length).toBeLessThanOrEqual(512);
  expect(long.message.isWellFormed()).toBe(true);
});

test("BoundedCache forgets what was not used for longest", () => {
  const cache = new BoundedCache<string, number>(2);
  cache.keep("a", 1);
  cache.keep("b", 2);
  expect(cache.find("a")).toBe(1);
  cache.keep("c", 3);
  expect([cache.find("a"), cache.find("b"), cache.find("c")]).toEqual([1, undefined, 3]);
});

describe("PasswordHasher", () => {
  test("refuses with TRY_LATER when too many wait: the last of whoever takes up most of the line", async () => {
    const hasher = new PasswordHasher({ passwordsAtOnce: 1, passwordsWaiting: 2 });
    const flood = ["a", "b", "c"].map((password) => hasher.hash(password, "10.0.0.1"));
    const honest = hasher.hash("honest", "10.0.0.2");
    const outcomes = await Promise.all(
      [...flood, honest].map((hash) =>
        hash.then(
          () => "hashed",
          (error: Refusal) => `${error.code} ${error.detail}`,
        ),
      ),
    );
    expect(outcomes).toEqual(["hashed", "hashed", "TRY_LATER 120", "hashed"]);
    expect(await hasher.hash("again", "10.0.0.1")).toStartWith("$argon2id$");
  });

  test("serves one network after the other", async () => {
    const hasher = new PasswordHasher({ passwordsAtOnce: 1, passwordsWaiting: 10 });
    const order: string[] = [];
    const hash = async (name: string, network: string) => {
      await hasher.hash(name, network);
      order.push(name);
    };
    await Promise.all([
      ...["flood 1", "flood 2", "flood 3", "flood 4"].map((name) => hash(name, "10.0.0.1")),
      hash("honest", "10.0.0.2"),
    ]);
    expect(order).toEqual(["flood 1", "flood 2", "honest", "flood 3", "flood 4"]);
  });

  test("knows an equivalent spelling of the password, and nobody without an account", async () => {
    const hasher = new PasswordHasher({ passwordsAtOnce: 2, passwordsWaiting: 2 });
    expect(await hasher.verify("caf\u0065\u0301", await hasher.hash("caf\u00e9", "n"), "n")).toBe(true);
    expect(await hasher.verify("cafe", await hasher.hash("caf\u00e9", "n"), "n")).toBe(false);
    expect(await hasher.verify("an account that does not exist", undefined, "n")).toBe(false);
  });
});

describe("log state records", () => {
  const hex = (digit: string, bytes: number) => digit.repeat(2 * bytes) as Hex;
  const row = {
    username: "alice",
    email: "alice@example.org",
    fingerprint: hex("a", 32),
    device: hex("d", 32),
  };
  const state: LogState = {
    conversation: hex("c", 16),
    kind: "group",
    title: "team",
    server: { name: "localhost", fingerprint: hex("5", 32) },
    creator: { username: "alice", email: "alice@example.org", authority: hex("e", 32) },
    admins: ["alice"],
    roster: [row],
    epoch: 3,
    epochIndex: 4,
    size: 6,
    frontier: { size: 6, peaks: [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] },
    root: hex("f", 32),
    firstAt: 1,
    lastAt: 2,
    senders: new Map([
      [
        row.fingerprint,
        {
          username: "alice",
          email: "alice@example.org",
          authority: hex("e", 32),
          notAfterMs: 9,
          lastSeqno: 3,
          lastViewSize: 5,
          admittedIndex: 0,
          inRoster: true,
          left: false,
        },
      ],
    ]),
    departed: [row],
    closed: false,
  };

  test("come back as they were", () => {
    expect(decodeLogState(encodeLogState(state))).toEqual(state);
  });

  test("of another version or damaged are not used", () => {
    const text = new TextDecoder().decode(encodeLogState(state));
    const decode = (changed: string) => decodeLogState(new TextEncoder().encode(changed));
    expect(decode(text.replace('"v":1', '"v":2'))).toBeUndefined();
    expect(decode(text.slice(1))).toBeUndefined();
    expect(decode(text.replace('"epoch":3', '"epoch":"3"'))).toBeUndefined();
  });
});
