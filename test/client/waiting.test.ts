import { expect, test } from "bun:test";
import { askedDelayMs, askPatiently } from "../../src/client/askedDelay.ts";
import { ClientError } from "../../src/client/clientError.ts";
import { TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

const tryLater = (detail: string) => new ClientError("REFUSED", "too much", { refusal: "TRY_LATER", detail });

test("a client that is told to post later says so, waits, and sends what waits in its order", async () => {
  // A conversation begins with some 12 KB, a message of 20 000 bytes makes a line of 28 000.
  const server = await TestServer.create({ limits: { storedBytes: { capacity: 20_000, refillMs: 0.05 } } });
  try {
    await using alice = new Party(server, await server.person("alice"));
    await using bob = new Party(server, await server.person("bob"));
    await alice.register();
    await bob.register();
    const conversation = await alice.client.openDirect("bob");
    const texts = ["a", "b", "c"].map((letter) => letter.repeat(20_000));
    const sent = await Promise.all(texts.map((text) => alice.client.send(conversation, text)));
    expect(sent.map(({ seqno }) => seqno)).toEqual([2, 3, 4]);
    await bob.until(() => bob.texts.length === 3);
    expect(bob.texts).toEqual(texts);
    const warnings = alice.of("warning").filter(({ code }) => code === "TRY_LATER");
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings[0]?.message).toMatch(/try again in [12] s/);
    expect(alice.of("error")).toEqual([]);
  } finally {
    await server.dispose();
  }
});

test("who begins a conversation is told at once that it has to wait", async () => {
  const server = await TestServer.create({
    limits: { conversationCreations: { capacity: 1, refillMs: 30_000 } },
  });
  try {
    await using alice = new Party(server, await server.person("alice"));
    await using bob = new Party(server, await server.person("bob"));
    await using carol = new Party(server, await server.person("carol"));
    for (const party of [alice, bob, carol]) await party.register();
    await alice.client.openDirect("bob");
    await expect(alice.client.openDirect("carol")).rejects.toMatchObject({ refusal: "TRY_LATER" });
  } finally {
    await server.dispose();
  }
});

test("askPatiently() asks three times, after the time that it is told, and not when that is too long", async () => {
  const asked: number[] = [];
  const answers = (...details: string[]) => {
    asked.length = 0;
    return () => {
      asked.push(performance.now());
      const detail = details.shift();
      return detail === undefined ? Promise.resolve("done") : Promise.reject(tryLater(detail));
    };
  };
  expect(await askPatiently("sign_receipt", answers("100", "50"))).toBe("done");
  const [first = 0, second = 0, third = 0] = asked;
  expect([second - first >= 95, third - second >= 45]).toEqual([true, true]);
  await expect(askPatiently("sign_receipt", answers("1", "1", "1"))).rejects.toMatchObject({
    refusal: "TRY_LATER",
  });
  expect(asked).toHaveLength(3);
  await expect(askPatiently("sign_receipt", answers("30001"))).rejects.toMatchObject({
    refusal: "TRY_LATER",
  });
  expect(asked).toHaveLength(1);
  await expect(askPatiently("post", answers("1"))).rejects.toMatchObject({ refusal: "TRY_LATER" });
  expect(asked).toHaveLength(1);
});

test("askedDelayMs() believes a server within 15 minutes", () => {
  expect(
    ["0", "1500", "900001", "99999999999", "-1", "x"].map((detail) => askedDelayMs(tryLater(detail))),
  ).toEqual([0, 1_500, 900_000, 0, 0, 0]);
  expect(askedDelayMs(new ClientError("REFUSED", "", { refusal: "TOO_MANY", detail: "5" }))).toBeUndefined();
});
