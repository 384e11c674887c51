import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { DeliveryMarks } from "../../src/server/deliveryMarks.ts";
import { randomHex } from "../store/certificateRecord.ts";
import { directConversation, TestConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

setDefaultTimeout(30_000);

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

test("a mark reaches the other member who is online, and never the one who sent it", async () => {
  const { bob, aliceClient, bobClient, conversation } = await directConversation(server, ["on.a", "on.b"]);
  const marks = [{ conversation: conversation.id, size: 1 }];
  expect(await bobClient.expect("delivery_marks", { type: "delivered", marks })).toMatchObject({ marks: [] });
  const mark = { conversation: conversation.id, member: bob.certificate.fingerprint, size: 1 };
  expect(await aliceClient.push("delivered")).toEqual({ type: "delivered", ...mark });
  // Once more is nothing new.
  await bobClient.expect("delivery_marks", { type: "delivered", marks });
  await conversation.post(aliceClient, conversation.message(await server.person("on.a")));
  await bobClient.expect("delivery_marks", {
    type: "delivered",
    marks: [{ conversation: conversation.id, size: 2 }],
  });
  expect((await aliceClient.push("delivered")).size).toBe(2);
  expect(bobClient.received.filter(({ type }) => type === "delivered")).toEqual([]);
});

test("who connects later is answered with the marks of the others", async () => {
  const { alice, bob, bobClient, aliceClient, conversation } = await directConversation(server, [
    "la.a",
    "la.b",
  ]);
  aliceClient.close();
  await aliceClient.ended;
  const marks = [{ conversation: conversation.id, size: 1 }];
  await bobClient.expect("delivery_marks", { type: "delivered", marks });
  const later = await server.login(alice);
  const mark = { conversation: conversation.id, member: bob.certificate.fingerprint, size: 1 };
  expect((await later.expect("delivery_marks", { type: "delivered", marks })).marks).toEqual([mark]);
});

test("a mark beyond the log, back, or of somebody who is no member goes nowhere", async () => {
  const { aliceClient, bobClient, conversation } = await directConversation(server, ["no.a", "no.b"]);
  const eve = await server.register(await server.person("no.eve"));
  const { id } = conversation;
  const tell = (size: number) => ({ type: "delivered" as const, marks: [{ conversation: id, size }] });
  await bobClient.expect("delivery_marks", tell(2));
  await bobClient.expect("delivery_marks", tell(Number.MAX_SAFE_INTEGER));
  expect((await eve.expect("delivery_marks", tell(1))).marks).toEqual([]);
  await bobClient.expect("delivery_marks", tell(1));
  expect((await aliceClient.push("delivered")).size).toBe(1);
  // What eve is told of it, and what she tells, is nothing; all of the above was worked on before this.
  expect((await eve.expect("delivery_marks", tell(1))).marks).toEqual([]);
  await aliceClient.expect("pong", { type: "ping" });
  expect(aliceClient.pendingPushes).toBe(0);
});

test("a flood of marks is told to wait, and reaches nobody", async () => {
  const frozen = await TestServer.create({ limits: { deliveryMarks: { capacity: 3, refillMs: 60_000 } } });
  try {
    frozen.freezeClock();
    const { alice, bobClient, conversation } = await directConversation(frozen, ["fl.a", "fl.b"]);
    const mark = { conversation: conversation.id, size: 1 };
    await bobClient.expect("delivery_marks", { type: "delivered", marks: [mark, mark] });
    const two = { type: "delivered" as const, marks: [mark, mark] };
    expect(await bobClient.refusal(two)).toMatchObject({ code: "TRY_LATER", detail: "60000" });
    await bobClient.expect("delivery_marks", { type: "delivered", marks: [mark] });
    // The rate is the person's, not the connection's: one who comes again has no more.
    bobClient.close();
    const again = await frozen.login(await frozen.person("fl.b"));
    expect(await again.refusalCode({ type: "delivered", marks: [mark] })).toBe("TRY_LATER");
    frozen.skewMs += 60_000;
    await again.expect("delivery_marks", { type: "delivered", marks: [mark] });
    expect(alice.username).toBe("fl.a");
  } finally {
    await frozen.dispose();
  }
});

test("a server that was started anew remembers no marks: they are kept nowhere", async () => {
  const restarted = await TestServer.create();
  try {
    const { alice, bobClient, conversation } = await directConversation(restarted, ["re.a", "re.b"]);
    const marks = [{ conversation: conversation.id, size: 1 }];
    await bobClient.expect("delivery_marks", { type: "delivered", marks });
    await restarted.stop();
    await restarted.start();
    const later = await restarted.login(alice);
    expect((await later.expect("delivery_marks", { type: "delivered", marks })).marks).toEqual([]);
  } finally {
    await restarted.dispose();
  }
});

test("release_pair lets the two begin another conversation, and is refused to everybody else", async () => {
  const { alice, bob, aliceClient, bobClient, conversation } = await directConversation(server, [
    "rp.a",
    "rp.b",
  ]);
  const eve = await server.register(await server.person("rp.eve"));
  const release = { type: "release_pair" as const, conversation: conversation.id };
  expect(await eve.refusalCode(release)).toBe("NOT_FOUND");
  const second = new TestConversation(server, alice, bob);
  const line = await second.create(bobClient, bob, [alice]);
  expect(await bobClient.refusal({ type: "post", line })).toMatchObject({
    code: "CONVERSATION_EXISTS",
    detail: conversation.id,
  });
  await aliceClient.expect("pair_released", release);
  await bobClient.expect("accepted", { type: "post", line });
  // The second is the pair's now: giving up the first again frees nothing.
  await aliceClient.expect("pair_released", release);
  const third = new TestConversation(server, alice, bob);
  const again = { type: "post" as const, line: await third.create(aliceClient, alice, [bob]) };
  expect(await aliceClient.refusal(again)).toMatchObject({ code: "CONVERSATION_EXISTS", detail: second.id });
  // The log of the first goes on as it was.
  await conversation.post(bobClient, conversation.message(bob));
});

test("the marks of one conversation are bounded, whoever another server says to be a member", () => {
  const marks = new DeliveryMarks();
  const conversation = randomHex(16);
  const member = randomHex(32);
  expect(marks.note({ conversation, member, size: 1 })).toBe(true);
  for (let i = 0; i < 1_000; i++) marks.note({ conversation, member: randomHex(32), size: 1 });
  expect(marks.of(conversation)).toHaveLength(512);
  expect(marks.note({ conversation, member, size: 2 })).toBe(true);
});
