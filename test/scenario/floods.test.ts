import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { startClient } from "../../src/channel/clientHandshake.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { clearAlertCode, type RawSocket } from "../server/rawClient.ts";
import { TestConversation, upload } from "../server/testConversation.ts";
import { newKeyPackage } from "../server/testServer.ts";
import { PopulatedServer } from "./populatedServer.ts";
import { SteadyPair } from "./steadyPair.ts";
import { patienceMs } from "./world.ts";

setDefaultTimeout(patienceMs);

const mebibyte = 1024 * 1024;
/** What a flood may add to the server's memory: far below what it sends or asks for. */
const mayGrowBytes = 96 * mebibyte;

/** Runs a flood; the server must live, its memory stay within bounds, and others be served meanwhile and after it. */
async function survive<T>(
  server: PopulatedServer,
  pair: SteadyPair,
  { name, flood }: { name: string; flood: (others: { readonly served: number }) => Promise<T> },
): Promise<T> {
  const before = server.footprint().rss;
  let peak = before;
  let isOver = false;
  const others = { served: 0 };
  const talk = (async () => {
    while (!isOver) {
      await pair.exchange();
      others.served += 1;
      // At the pace of people who type fast.
      await Bun.sleep(10);
      peak = Math.max(peak, server.footprint().rss);
    }
  })();
  const result = await flood(others).finally(() => {
    isOver = true;
  });
  peak = Math.max(peak, server.footprint().rss);
  await talk;
  await pair.exchange();
  const after = server.footprint().rss;
  const [b, p, a] = [before, peak, after].map((bytes) => Math.round(bytes / mebibyte));
  console.info(
    `${name}: ${others.served} messages of others; server ${b} MiB before, ${p} at most, ${a} after`,
  );
  expect(server.isRunning).toBe(true);
  expect(others.served).toBeGreaterThan(0);
  expect(peak - before).toBeLessThan(mayGrowBytes);
  return result;
}

/** Reads to the end of a connection. @returns the alert in clear that it ended with */
async function endOf(socket: RawSocket): Promise<string | undefined> {
  let alert: string | undefined;
  for (;;) {
    const payload = await socket.read().catch(() => undefined);
    if (payload === undefined) return alert;
    alert = clearAlertCode(payload) ?? alert;
  }
}

const address = (number: number) => `127.0.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`;

function count<T>(values: readonly T[], value: T): number {
  return values.filter((one) => one === value).length;
}

describe("floods of strangers", () => {
  let server: PopulatedServer;
  let pair: SteadyPair;
  beforeAll(async () => {
    server = await PopulatedServer.start(4, ["--handshake-timeout=3", "--max-half-open=512"]);
    pair = await SteadyPair.of(server, [0, 1]);
  });
  afterAll(() => server.dispose());

  test("2 000 connections that say nothing: 512 are let in, the others told so; then there is room again", async () => {
    await survive(server, pair, {
      name: "half-open connections",
      async flood() {
        const connections: Promise<string | undefined>[] = [];
        for (let i = 0; i < 2_000; i++) {
          // A reset may be there before the connection is.
          const socket = await server.socket(address(Math.floor(i / 100))).catch(() => undefined);
          connections.push(socket === undefined ? Promise.resolve(undefined) : endOf(socket));
        }
        const ends = await Promise.all(connections);
        const refused = count(ends, "too_many_connections");
        // Of a flood of refused ones only some are told; the others are reset.
        expect(count(ends, "timeout") + refused + count(ends, undefined)).toBe(2_000);
        expect(count(ends, "timeout")).toBeGreaterThanOrEqual(512);
        // Some time out before the last have come, on a slow machine.
        expect(refused).toBeGreaterThan(0);
      },
    });
    (await server.login(server.member(2))).close();
  });

  test("handshakes that are abandoned at every step leave nothing behind", async () => {
    const { payload: hello } = await startClient({
      nonce32: systemRandom(32),
      x25519Secret32: systemRandom(32),
      mlKemSeed64: systemRandom(64),
    });
    const steps: ((socket: RawSocket) => Promise<void> | void)[] = [
      () => undefined,
      (socket) => socket.writeBytes(encodeFrame(hello).subarray(0, 700)),
      (socket) => socket.write(hello),
      async (socket) => {
        socket.write(hello);
        for (const _ of ["server_hello", "server_auth"]) await socket.read();
      },
      async (socket) => {
        socket.write(hello);
        for (const _ of ["server_hello", "server_auth"]) await socket.read();
        socket.write(systemRandom(700));
        await endOf(socket);
      },
    ];
    await survive(server, pair, {
      name: "abandoned handshakes",
      async flood() {
        const lanes = Array.from({ length: 20 }, async (_, lane) => {
          for (let i = 0; i < 10; i++)
            for (const step of steps) {
              const socket = await server.socket(address(lane));
              await step(socket);
              socket.end();
            }
          const client = await server.dial(server.member(3), address(lane));
          client.close();
        });
        await Promise.all(lanes);
      },
    });
    (await server.login(server.member(2))).close();
  });

  test("connections that come and go are held to a rate for each address, and others come in", async () => {
    const ends = await survive(server, pair, {
      name: "connection churn",
      async flood() {
        const alerts: (string | undefined)[] = [];
        const lanes = Array.from({ length: 20 }, async () => {
          while (alerts.length < 1_000 || !alerts.includes("too_many_connections")) {
            const socket = await server.socket("127.7.7.7").catch(() => undefined);
            socket?.writeBytes(encodeFrame(new Uint8Array(1)));
            alerts.push(socket && (await endOf(socket)));
          }
        });
        const newcomer = server.login(server.member(2), "127.7.7.8");
        await Promise.all(lanes);
        (await newcomer).close();
        return alerts;
      },
    });
    expect(count(ends, "decode_error")).toBeGreaterThanOrEqual(500);
  });
});

describe("floods of people with accounts", () => {
  let server: PopulatedServer;
  let pair: SteadyPair;
  beforeAll(async () => {
    server = await PopulatedServer.start(40, [
      ...["--request-rate", "400,400/s", "--conversation-rate", "3,1/h"],
      ...["--max-unnamed-blobs", "4096", "--max-queued", "512"],
    ]);
    pair = await SteadyPair.of(server, [0, 1]);
  });
  afterAll(() => server.dispose());

  const logins = async (...numbers: number[]) =>
    Promise.all(numbers.map((number) => server.login(server.member(number))));

  test("one that posts as fast as it can is slowed down to its rate, and all of it stands in its order", async () => {
    const flooders = await SteadyPair.of(server, [2, 3]);
    const { conversation, authorClient, author } = flooders;
    const view = { size: 1, root: conversation.rootAt(1) };
    const lines = Array.from({ length: 1_000 }, (_, i) =>
      conversation.message(author, { seqno: i + 2, view }),
    );
    const startedMs = performance.now();
    const answers = await survive(server, pair, {
      name: "posts",
      flood: () => Promise.all(lines.map((line) => authorClient.expect("accepted", { type: "post", line }))),
    });
    expect(answers.map(({ index }) => index)).toEqual(lines.map((_, i) => i + 1));
    // 400 at once, then 400 a second: 1 000 take 1.5 s.
    expect(performance.now() - startedMs).toBeGreaterThan(1_400);
  });

  test("one that asks for much is held up to its rate, whatever it asks for", async () => {
    const [client] = await logins(4);
    if (client === undefined) throw new Error("no client");
    const piece = systemRandom(65_536);
    const sha256 = encodeHex(systemRandom(32));
    const startedMs = performance.now();
    const requests = Array.from({ length: 200 }, (_, i) => {
      if (i % 4 === 0)
        return client.request({ type: "put_blob", sha256, size: 65_536, offset: 65_536, data: piece });
      if (i % 4 === 1) return client.request({ type: "list_conversations", after: null });
      if (i % 4 === 2) return client.request({ type: "fetch_blob", sha256, offset: 0 });
      return client.request({ type: "ping" });
    });
    const answers = await survive(server, pair, { name: "requests", flood: () => Promise.all(requests) });
    // 50 x 23 and 150 tokens, less the first 400, at 400 a second.
    expect(performance.now() - startedMs).toBeGreaterThan(2_000);
    const kinds = answers
      .slice(0, 4)
      .map((answer) => (answer.type === "refused" ? answer.code : answer.type));
    expect(kinds).toEqual(["BAD_BLOB", "conversations", "NOT_FOUND", "pong"]);
  });

  test("wrong passwords of many accounts from many addresses are slowed down, and others log in", async () => {
    await survive(server, pair, {
      name: "wrong passwords",
      async flood() {
        const guess = async (number: number): Promise<string[]> => {
          const member = server.member(number);
          const client = await server.dial(member, address(number));
          const codes: string[] = [];
          for (let i = 0; i < 7; i++)
            codes.push(
              await client.refusalCode({ type: "login", email: member.email, password: `guess number ${i}` }),
            );
          client.close();
          return codes;
        };
        const guesses = Array.from({ length: 20 }, (_, i) => guess(10 + i));
        const honest = await server.login(server.member(7), "127.0.0.9");
        honest.close();
        for (const codes of await Promise.all(guesses)) {
          expect(codes.slice(0, 5)).toEqual(Array(5).fill("AUTHENTICATION_FAILED"));
          expect(codes.slice(5)).toEqual(["TRY_LATER", "TRY_LATER"]);
        }
      },
    });
  });

  test("somebody's key packages can't be drained by one person", async () => {
    const [victim, drainer, honest] = await logins(30, 31, 32);
    if (victim === undefined || drainer === undefined || honest === undefined) throw new Error("no clients");
    const { device, username } = server.person(30);
    const made = await Promise.all(Array.from({ length: 10 }, () => newKeyPackage(device)));
    const more = await Promise.all(Array.from({ length: 5 }, () => newKeyPackage(device)));
    const publish = { type: "publish_key_packages", last_resort: null } as const;
    const bytes = (pairs: typeof made) => pairs.map(({ publicPackage }) => publicPackage);
    await victim.expect("published", { ...publish, packages: bytes(made) });
    await victim.expect("published", { ...publish, packages: bytes(more) });
    const take = { type: "fetch_key_packages", username } as const;
    const answers = await survive(server, pair, {
      name: "key packages",
      flood: () => Promise.all(Array.from({ length: 100 }, () => drainer.request(take))),
    });
    expect(
      count(
        answers.map(({ type }) => type),
        "key_packages",
      ),
    ).toBe(10);
    const refusals = answers.flatMap((answer) => (answer.type === "refused" ? [answer] : []));
    expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(["TRY_LATER"]));
    expect(Number(refusals[0]?.detail)).toBeGreaterThan(60_000);
    await honest.expect("key_packages", take);
  });

  test("conversations can't be made without end", async () => {
    const [client] = await logins(33);
    const [creator, other] = [server.person(33), server.person(34)];
    if (client === undefined) throw new Error("no client");
    (await server.login(other)).close();
    const results: string[] = [];
    await survive(server, pair, {
      name: "conversations",
      async flood() {
        for (let i = 0; i < 5; i++) {
          const conversation = new TestConversation(server, creator, other);
          const body = { kind: "group", title: `Flood ${i}` } as const;
          const line = await conversation.create(client, creator, [other], body);
          const answer = await client.request({ type: "post", line });
          results.push(
            answer.type === "refused" ? `${answer.code} ${Number(answer.detail) > 60_000}` : answer.type,
          );
        }
      },
    });
    expect(results).toEqual(["accepted", "accepted", "accepted", "TRY_LATER true", "TRY_LATER true"]);
  });

  test("blobs that no entry names end at the quota", async () => {
    const [client] = await logins(35);
    if (client === undefined) throw new Error("no client");
    const code = await survive(server, pair, {
      name: "blobs",
      async flood() {
        // Its announced size counts at once: a blob of 4 MiB of which one piece comes fills the quota.
        await client.expect("blob_stored", {
          ...{ type: "put_blob", sha256: encodeHex(systemRandom(32)), size: 4 * mebibyte, offset: 0 },
          data: systemRandom(1_000),
        });
        return client.refusalCode({
          ...{ type: "put_blob", sha256: encodeHex(systemRandom(32)), size: 1, offset: 0 },
          data: systemRandom(1),
        });
      },
    });
    expect(code).toBe("TOO_MANY");
    const [other] = await logins(36);
    if (other === undefined) throw new Error("no client");
    expect(await upload(other, systemRandom(1_000))).toHaveLength(64);
  });

  test("one that asks and never reads is not worked for beyond what may wait for it", async () => {
    const { conversation, authorClient, author } = await SteadyPair.of(server, [37, 38]);
    const view = { size: 1, root: conversation.rootAt(1) };
    const line = conversation.message(author, { seqno: 2, view, ct: systemRandom(28 + 64 * 1_000) });
    await authorClient.expect("accepted", { type: "post", line });
    const fetch = { type: "fetch_entries", conversation: conversation.id, from: 0, limit: 10 } as const;
    await survive(server, pair, {
      name: "a reader that never reads",
      async flood(others) {
        authorClient.socket.pause();
        const answers: Promise<unknown>[] = [];
        for (let i = 0; i < 5_000; i++) answers.push(authorClient.request(fetch).catch(() => undefined));
        const enough = others.served + 20;
        while (others.served < enough) await Bun.sleep(5);
        authorClient.close();
        authorClient.socket.resume();
        await Promise.all(answers);
      },
    });
  });
});

test("one that stores too much is told how long to wait, and others go on storing", async () => {
  const server = await PopulatedServer.start(4, ["--storage-rate", "3,1/day"]);
  const pair = await SteadyPair.of(server, [0, 1]);
  const { conversation, authorClient, author } = await SteadyPair.of(server, [2, 3]);
  const view = { size: 1, root: conversation.rootAt(1) };
  const codes = await survive(server, pair, {
    name: "stored bytes",
    async flood() {
      const codes: string[] = [];
      for (let seqno = 2; seqno < 60; seqno++) {
        const ct = systemRandom(28 + 64 * 1_000);
        const line = conversation.message(author, { seqno, view, ct });
        const answer = await authorClient.request({ type: "post", line });
        codes.push(answer.type === "refused" ? answer.code : answer.type);
        if (answer.type !== "refused") continue;
        expect(Number(answer.detail)).toBeGreaterThan(1_000);
        return codes;
      }
      return codes;
    },
  });
  expect(codes.at(-1)).toBe("TRY_LATER");
  expect(count(codes, "accepted")).toBe(codes.length - 1);
  expect(codes.length).toBeGreaterThan(30);
  await server.dispose();
});
