import { afterEach, describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import { RawSocket } from "./rawClient.ts";
import { directConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

let server: TestServer;
afterEach(() => server.dispose());

const seconds = (answer: { detail: string }) => Number(answer.detail) / 1000;

describe("the rate of one person's requests", () => {
  test("holds up what is over it for at most a second, beyond that says when to come again", async () => {
    server = await TestServer.create({ limits: { work: { capacity: 30, refillMs: 100 } } });
    const client = await server.register(await server.person("alice"));
    const put = {
      type: "put_blob",
      sha256: encodeHex(new Uint8Array(32)),
      size: 100_000,
      offset: 0,
    } as const;
    // 1 + 65 536 * 4/3 / 4 096 = 22 tokens and a little.
    const data = systemRandom(65_536);
    expect((await client.request({ ...put, data })).type).toBe("blob_stored");
    const refused = await client.refusal({ ...put, data });
    expect(refused.code).toBe("TRY_LATER");
    expect(refused.message).toMatch(/^too many requests, try again in [12] s$/);
    expect(seconds(refused)).toBeGreaterThan(1);
    expect(seconds(refused)).toBeLessThan(1.7);
    await Bun.sleep(Number(refused.detail));
    const startedMs = performance.now();
    for (let i = 0; i < 5; i++) await client.expect("pong", { type: "ping" });
    expect(performance.now() - startedMs).toBeGreaterThan(300);
  });

  test("counts for all connections of the person, and for nobody else", async () => {
    server = await TestServer.create({ limits: { work: { capacity: 3, refillMs: 3_000 } } });
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    const first = await server.register(alice);
    for (let i = 0; i < 2; i++) await first.expect("pong", { type: "ping" });
    const again = await server.login(alice);
    expect(await again.refusalCode({ type: "ping" })).toBe("TRY_LATER");
    const other = await server.register(bob);
    await other.expect("pong", { type: "ping" });
  });

  test("counts the log that has to be read for a statement", async () => {
    server = await TestServer.create({ limits: { work: { capacity: 200, refillMs: 500 } } });
    const { alice, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
    for (let seqno = 2; seqno < 4; seqno++)
      await conversation.post(
        aliceClient,
        conversation.message(alice, { ct: systemRandom(28 + 64 * 1_000) }),
      );
    // Not the statement of this log, which the server finds out by reading all of it.
    const sign = {
      type: "sign_receipt",
      conversation: conversation.id,
      statement: buildStatement({ state: conversation.state, sha256: encodeHex(new Uint8Array(32)) }),
      signed_data: new Uint8Array(1),
    } as const;
    const codes: string[] = [];
    while (codes.at(-1) !== "TRY_LATER" && codes.length < 20) codes.push(await aliceClient.refusalCode(sign));
    // Two lines of 86 000 bytes are 42 tokens each time; what was posted before took 50.
    expect(codes).toEqual([...Array(codes.length - 1).fill("BAD_RECEIPT"), "TRY_LATER"]);
    expect(codes.length).toBeLessThan(7);
  });
});

test("a client that sends thousands of requests at once does not keep the next one waiting for all of them", async () => {
  server = await TestServer.create();
  const [busy, other] = [
    await server.register(await server.person("alice")),
    await server.register(await server.person("bob")),
  ];
  let answered = 0;
  const pings: Promise<unknown>[] = [];
  busy.socket.together(() => {
    for (let i = 0; i < 5_000; i++)
      pings.push(
        busy.expect("pong", { type: "ping" }).then(() => {
          answered += 1;
        }),
      );
  });
  await pings[0];
  await other.expect("pong", { type: "ping" });
  expect(answered).toBeLessThan(4_000);
  await Promise.all(pings);
});

test("a client is held to a rate before its login, which is not that of the session of the same person", async () => {
  server = await TestServer.create({ limits: { work: { capacity: 4, refillMs: 300 } } });
  const alice = await server.person("alice");
  const session = await server.register(alice);
  const stranger = await server.dial(alice);
  for (let i = 0; i < 4; i++) await stranger.expect("pong", { type: "ping" });
  const startedMs = performance.now();
  for (let i = 0; i < 2; i++) await stranger.expect("pong", { type: "ping" });
  expect(performance.now() - startedMs).toBeGreaterThan(300);
  await session.expect("pong", { type: "ping" });
});

test("connections of one address are held to a rate, others come in, and a place comes free with time", async () => {
  server = await TestServer.create({ limits: { connectionRate: { capacity: 2, refillMs: 1_500 } } });
  const alert = async (from: string) => {
    const socket = await RawSocket.dial(server.port, from);
    socket.writeBytes(new Uint8Array(4));
    return new TextDecoder().decode(await socket.read());
  };
  const [bad, full] = [
    '{"type":"alert","code":"decode_error"}',
    '{"type":"alert","code":"too_many_connections"}',
  ];
  expect([await alert("127.0.0.5"), await alert("127.0.0.5"), await alert("127.0.0.5")]).toEqual([
    bad,
    bad,
    full,
  ]);
  expect(await alert("127.0.0.6")).toBe(bad);
  let last = full;
  while (last === full) {
    await Bun.sleep(100);
    last = await alert("127.0.0.5");
  }
  expect(last).toBe(bad);
});
