import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { verifyCheckpoint } from "../../src/log/checkpoint.ts";
import { formatEntry, parseEntry, signEntry } from "../../src/log/entry.ts";
import { compareRows } from "../../src/log/roster.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import type { ServerMessage } from "../../src/wire/sessionMessages.ts";
import type { RawClient } from "./rawClient.ts";
import { directConversation, rosterOf, rowOf, TestConversation } from "./testConversation.ts";
import { type Person, TestServer } from "./testServer.ts";

const post = (line: string) => ({ type: "post", line }) as const;

describe("post", () => {
  let server: TestServer;
  let eve: Person;
  let eveClient: RawClient;
  let count = 0;
  beforeAll(async () => {
    server = await TestServer.create();
    eve = await server.person("eve");
    eveClient = await server.register(eve);
  });
  afterAll(() => server.dispose());

  const pair = () => directConversation(server, [`a${++count}`, `b${count}`]);

  test("stores an entry, answers with a checkpoint of the server over it, and pushes both to the others", async () => {
    const { alice, aliceClient, bobClient, conversation } = await pair();
    const line = conversation.message(alice);
    const accepted = await aliceClient.expect("accepted", post(line));
    const root = conversation.take(line, accepted.at);
    expect(accepted).toMatchObject({ conversation: conversation.id, index: 1 });
    expect(accepted.checkpoint).toMatchObject({ size: 2, root });
    const leaf = server.identity.certificate;
    const verified = verifyPath({
      leaf,
      intermediates: [],
      anchors: [server.authority.ca],
      crls: [],
      purpose: "server",
      atMs: Date.now(),
    });
    verifyCheckpoint({ conversation: conversation.id, ...accepted.checkpoint }, verified, "localhost");
    expect(await bobClient.push("pushed")).toEqual({
      type: "pushed",
      conversation: conversation.id,
      from: 1,
      entries: [{ at: accepted.at, line }],
      checkpoint: accepted.checkpoint,
    });
  });

  test("of many entries at once keeps their order on every connection, under few checkpoints", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    const view = { size: 1, root: conversation.rootAt(1) };
    const lines = (person: Person, first: number) =>
      Array.from({ length: 60 }, (_, i) => conversation.message(person, { seqno: first + i, view }));
    const requests = [
      ...lines(alice, 2).map((line) => aliceClient.request(post(line))),
      ...lines(bob, 1).map((line) => bobClient.request(post(line))),
    ];
    const answers = await Promise.all(requests);
    expect(answers.every(({ type }) => type === "accepted")).toBe(true);
    // Each hears of everything once, in the order of the log: own entries as answers, the other's as pushes.
    for (const client of [aliceClient, bobClient]) {
      await client.request({ type: "ping" });
      const indexes = client.received.flatMap((message) => indexesOf(message, conversation.id));
      expect(indexes).toEqual(Array.from({ length: 121 }, (_, i) => i));
    }
    const checkpoints = new Set(
      answers.map((answer) => (answer.type === "accepted" ? encodeHex(answer.checkpoint.sig) : "")),
    );
    expect(checkpoints.size).toBeLessThan(100);
  });

  test("of the same signed bytes again is answered again and stored once, whatever the signature", async () => {
    const { alice, aliceClient, bobClient, conversation } = await pair();
    const entry = conversation.sign(alice, "message");
    const { ct, sig: _, ...unsigned } = entry;
    const first = await aliceClient.expect("accepted", post(formatEntry(entry)));
    const again = await aliceClient.expect("accepted", post(formatEntry(entry)));
    const resigned = await aliceClient.expect(
      "accepted",
      post(formatEntry(signEntry(unsigned, ct, alice.key))),
    );
    const strip = ({ id: _, ...rest }: typeof first) => rest;
    expect([strip(again), strip(resigned)]).toEqual([strip(first), strip(first)]);
    const { entries } = await aliceClient.expect("entries", fetchAll(conversation.id));
    expect(entries).toHaveLength(2);
    expect((await bobClient.push("pushed")).from).toBe(1);
    expect(bobClient.pendingPushes).toBe(0);
    conversation.take(formatEntry(entry), first.at);
    const other = conversation.message(alice, { seqno: entry.seqno });
    expect(await aliceClient.refusal(post(other))).toMatchObject({
      code: "REPLAY",
      detail: String(entry.seqno + 1),
    });
  });

  test("of the same entry twice in one go is stored once", async () => {
    const { alice, aliceClient, conversation } = await pair();
    const line = conversation.message(alice);
    const answers = await Promise.all(
      [line, line, line].map((one) => aliceClient.expect("accepted", post(one))),
    );
    expect(answers.map(({ index }) => index)).toEqual([1, 1, 1]);
    expect((await aliceClient.expect("entries", fetchAll(conversation.id))).entries).toHaveLength(2);
  });

  test("refuses by code what breaks a rule of the log, and nothing has changed then", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    await conversation.post(aliceClient, conversation.message(alice));
    const good = conversation.sign(alice, "message");
    const tampered = { ...good, ct: systemRandom(good.ct.length) };
    const root = conversation.rootAt(1);
    const refusals: [string, string][] = [
      ["GAP", conversation.message(alice, { seqno: 4 })],
      ["REPLAY", conversation.message(alice, { seqno: 1 })],
      ["BAD_SIGNATURE", formatEntry(tampered)],
      ["BAD_SIGNATURE", formatEntry({ ...good, sig: bobsSignature(bob, good) })],
      ["BAD_VIEW", conversation.message(alice, { view: { size: 3, root } })],
      ["BAD_VIEW", conversation.message(alice, { view: { size: 2, root } })],
      ["BAD_VIEW", conversation.message(alice, { view: { size: 0, root } })],
      ["STALE_EPOCH", conversation.message(alice, { epoch: 0 })],
      ["STALE_EPOCH", conversation.message(alice, { epoch: 2 })],
      ["CLOCK", conversation.message(alice, { ts: Date.now() - 301_000 })],
      ["CLOCK", conversation.message(alice, { ts: Date.now() + 301_000 })],
      ["BAD_BODY", conversation.line(alice, "acknowledge", { ct: new TextEncoder().encode("{}") })],
      [
        "FORBIDDEN",
        await new TestConversation(server, alice, bob).create(
          aliceClient,
          alice,
          [bob],
          {},
          {
            conversation: conversation.id,
            seqno: 3,
          },
        ),
      ],
      ["MALFORMED", `${formatEntry(good)} `],
      ["MALFORMED", formatEntry(good).replace('"v":2', '"v":3')],
      ["MALFORMED", "{}"],
      ["UNKNOWN_SENDER", conversation.message(bob)],
    ];
    for (const [code, line] of refusals)
      expect([code, await aliceClient.refusalCode(post(line))]).toEqual([code, code]);
    expect(await aliceClient.expect("accepted", post(formatEntry(good)))).toMatchObject({ index: 2 });
    expect((await bobClient.push("pushed")).from).toBe(1);
    expect((await bobClient.push("pushed")).from).toBe(2);
  });

  test("names the server's time with CLOCK and the next seqno with GAP", async () => {
    const { alice, aliceClient, conversation } = await pair();
    const clock = await aliceClient.refusal(post(conversation.message(alice, { ts: 1 })));
    expect(Math.abs(Number(clock.detail) - Date.now())).toBeLessThan(60_000);
    const gap = await aliceClient.refusal(post(conversation.message(alice, { seqno: 9 })));
    expect(gap).toMatchObject({ code: "GAP", detail: "2" });
  });

  test("tells a stranger the same about a conversation that exists and one that doesn't", async () => {
    const { alice, conversation } = await pair();
    const nowhere = new TestConversation(server, alice, eve);
    const view = { size: 1, root: conversation.rootAt(1) };
    const there = await eveClient.refusal(post(conversation.message(eve, { view, epoch: 1 })));
    const nothing = await eveClient.refusal(post(nowhere.message(eve, { view, epoch: 1 })));
    expect(there.code).toBe("UNKNOWN_SENDER");
    expect([nothing.code, nothing.detail]).toEqual([there.code, there.detail]);
    for (const id of [conversation.id, nowhere.id]) {
      expect(await eveClient.refusalCode(fetchAll(id))).toBe("NOT_FOUND");
      expect(await eveClient.refusalCode({ type: "fetch_receipt", conversation: id, size: 1 })).toBe(
        "NOT_FOUND",
      );
    }
    expect(
      (await eveClient.expect("conversations", { type: "list_conversations", after: null })).conversations,
    ).toEqual([]);
    const { fingerprint } = alice.certificate;
    const asked = {
      type: "fetch_certificates",
      fingerprints: [fingerprint, eve.certificate.fingerprint],
    } as const;
    expect(
      (await eveClient.expect("certificates", asked)).chains.map((chain) => chain.map(encodeHex)),
    ).toEqual([eve.chain.map((der) => encodeHex(der))]);
  });

  test("of a direct conversation for a pair that has one is answered with the one there is", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    for (const [client, person, other] of [
      [aliceClient, alice, bob],
      [bobClient, bob, alice],
    ] as const) {
      const second = new TestConversation(server, alice, bob);
      const line = await second.create(client, person, [other]);
      expect(await client.refusal(post(line))).toMatchObject({
        code: "CONVERSATION_EXISTS",
        detail: conversation.id,
      });
      expect(await client.refusalCode(fetchAll(second.id))).toBe("NOT_FOUND");
    }
  });

  test("of two creates by the two at the same time: one wins, the other is told which", async () => {
    const [alice, bob] = [await server.person(`a${++count}`), await server.person(`b${count}`)];
    const [aliceClient, bobClient] = [await server.register(alice), await server.register(bob)];
    const ofAlice = new TestConversation(server, alice, bob);
    const ofBob = new TestConversation(server, alice, bob);
    const lines = [
      await ofAlice.create(aliceClient, alice, [bob]),
      await ofBob.create(bobClient, bob, [alice]),
    ] as const;
    const answers = await Promise.all([
      aliceClient.request(post(lines[0])),
      bobClient.request(post(lines[1])),
    ]);
    const won = answers.findIndex(({ type }) => type === "accepted");
    expect(won).toBeGreaterThanOrEqual(0);
    expect(answers[1 - won]).toMatchObject({
      type: "refused",
      code: "CONVERSATION_EXISTS",
      detail: [ofAlice, ofBob][won]?.id ?? "",
    });
  });

  test("of a leave closes a direct conversation, and the two may begin another", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    await conversation.post(bobClient, conversation.line(bob, "leave"));
    expect(await aliceClient.refusalCode(post(conversation.message(alice)))).toBe("CLOSED");
    await conversation.post(aliceClient, conversation.line(alice, "acknowledge"));
    const second = new TestConversation(server, alice, bob);
    await second.post(aliceClient, await second.create(aliceClient, alice, [bob]));
    const listed = await bobClient.expect("conversations", { type: "list_conversations", after: null });
    expect(listed.conversations.map((one) => one.conversation).sort()).toEqual(
      [conversation.id, second.id].sort(),
    );
  });

  test("refuses a create that names another server or other people's certificates", async () => {
    const [alice, bob] = [await server.person(`a${++count}`), await server.person(`b${count}`)];
    const client = await server.register(alice);
    const attempt = async (body: object) => {
      const conversation = new TestConversation(server, alice, bob);
      return client.refusalCode(post(await conversation.create(client, alice, [bob], body)));
    };
    // The server has never seen bob's certificate.
    expect(await attempt({})).toBe("CERTIFICATE_INVALID");
    await server.register(bob);
    const { fingerprint } = server.identity.certificate;
    expect(await attempt({ server: { name: "other.example.org", fingerprint } })).toBe("CERTIFICATE_INVALID");
    const other = await server.authority.issueServer("localhost");
    const elsewhere = { name: "localhost", fingerprint: other.certificate.fingerprint };
    expect(await attempt({ server: elsewhere })).toBe("CERTIFICATE_INVALID");
    // The log can't see the tree: that it holds other devices only the server's own look at it tells.
    const impostor = { ...rowOf(bob), device: encodeHex(systemRandom(32)) };
    expect(await attempt({ roster: [rowOf(alice), impostor].sort(compareRows) })).toBe("BAD_BODY");
    expect(await attempt({ roster: rosterOf(bob, eve) })).toBe("BAD_BODY");
    expect(await attempt({ roster: rosterOf(alice, eve) })).toBe("BAD_BODY");
    expect(await attempt({ title: "a title" })).toBe("BAD_BODY");
    expect(await attempt({ commit: encodeHex(systemRandom(32)) })).toBe("BAD_BLOB");
    expect(await attempt({ welcome: encodeHex(systemRandom(32)) })).toBe("BAD_BLOB");
    expect(await attempt({ group: encodeHex(systemRandom(32)) })).toBe("BAD_BLOB");
  });

  test("refuses a create whose group info is of another conversation or no group info", async () => {
    const [alice, bob] = [await server.person(`a${++count}`), await server.person(`b${count}`)];
    const client = await server.register(alice);
    await server.register(bob);
    const mine = new TestConversation(server, alice, bob);
    const other = new TestConversation(server, alice, bob);
    const mineLine = await mine.create(client, alice, [bob]);
    const bodyOf = (line: string) => JSON.parse(new TextDecoder().decode(parseEntry(line).ct));
    const { commit, welcome, group } = bodyOf(mineLine);
    const swapped = await other.create(client, alice, [bob], { commit, welcome, group });
    expect(await client.refusalCode(post(swapped))).toBe("BAD_BODY");
    const crossed = await other.create(client, alice, [bob], { group: commit });
    expect(await client.refusalCode(post(crossed))).toBe("BAD_BLOB");
    const mixed = await other.create(client, alice, [bob], { group });
    expect(await client.refusalCode(post(mixed))).toBe("BAD_BODY");
    // Same conversation, same epoch, same members, but the commit is another one.
    const twice = bodyOf(await other.create(client, alice, [bob]));
    const contradictory = await other.create(client, alice, [bob], { commit: twice.commit });
    expect(await client.refusalCode(post(contradictory))).toBe("BAD_BODY");
    await mine.post(client, mineLine);
  });

  test("gives both members the same log, page by page, and its blobs", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    for (let i = 0; i < 5; i++) await conversation.post(aliceClient, conversation.message(alice));
    const whole = await aliceClient.expect("entries", fetchAll(conversation.id));
    const paged = [];
    for (let from = 0; from < 6; from += 2) {
      const page = await bobClient.expect("entries", { ...fetchAll(conversation.id), from, limit: 2 });
      expect(page).toMatchObject({ from, checkpoint: whole.checkpoint });
      paged.push(...page.entries);
    }
    expect(paged).toEqual([...whole.entries]);
    for (const from of [6, 7, 1_000])
      expect((await bobClient.expect("entries", { ...fetchAll(conversation.id), from })).entries).toEqual([]);
    const create = JSON.parse(new TextDecoder().decode(parseEntry(whole.entries[0]?.line ?? "").ct));
    for (const sha256 of [create.commit, create.welcome, create.group]) {
      expect((await bobClient.request({ type: "fetch_blob", sha256, offset: 0 })).type).toBe("blob");
      expect(await eveClient.refusalCode({ type: "fetch_blob", sha256, offset: 0 })).toBe("NOT_FOUND");
    }
    const { fingerprint } = server.identity.certificate;
    const fingerprints = [alice.certificate.fingerprint, bob.certificate.fingerprint, fingerprint];
    const { chains } = await bobClient.expect("certificates", { type: "fetch_certificates", fingerprints });
    expect(chains.map(([leaf]) => encodeHex(leaf ?? new Uint8Array(0)))).toEqual(
      [alice, bob, server.identity].map(({ certificate }) => encodeHex(certificate.der)),
    );
  });

  test("answers with long entries in several messages", async () => {
    const { alice, aliceClient, bobClient, conversation } = await pair();
    const view = { size: 1, root: conversation.rootAt(1) };
    const ct = () => systemRandom(28 + 64 * 1_000);
    const lines = [2, 3, 4, 5].map((seqno) => conversation.message(alice, { seqno, view, ct: ct() }));
    await Promise.all(lines.map((line) => aliceClient.expect("accepted", post(line))));
    const pushed: string[] = [];
    while (pushed.length < 4)
      for (const { line } of (await bobClient.push("pushed")).entries) pushed.push(line);
    expect(pushed).toEqual(lines);
    const page = await bobClient.expect("entries", { ...fetchAll(conversation.id), from: 1 });
    expect(page.entries.map(({ line }) => line)).toEqual(lines.slice(0, 2));
  });
});

test("a create that names an earlier certificate of the server is refused, an old conversation goes on", async () => {
  const server = await TestServer.create();
  const { alice, bob, conversation } = await directConversation(server, ["alice", "bob"]);
  await server.stop();
  const { chain, key, certificate } = await server.authority.issueServer(["localhost", "127.0.0.1"]);
  await server.start({ chain, key });
  const client = await server.login(alice);
  const old = new TestConversation(server, alice, bob);
  const group = { kind: "group", title: "old" } as const;
  expect(await client.refusalCode(post(await old.create(client, alice, [bob], group)))).toBe("BAD_BODY");
  const fresh = new TestConversation({ authority: server.authority, identity: { certificate } }, alice, bob);
  await fresh.post(client, await fresh.create(client, alice, [bob], group));
  const answer = await client.expect("accepted", post(conversation.message(alice)));
  expect(answer.checkpoint.server).toBe(certificate.fingerprint);
  const fingerprints = [server.identity.certificate.fingerprint, certificate.fingerprint];
  expect(
    (await client.expect("certificates", { type: "fetch_certificates", fingerprints })).chains,
  ).toHaveLength(2);
  await server.dispose();
});

test("more posts than may be in flight wait for their turn and are all answered in order", async () => {
  const server = await TestServer.create({ limits: { postsInFlight: 3, postBytesInFlight: 100_000 } });
  const { alice, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const view = { size: 1, root: conversation.rootAt(1) };
  const lines = Array.from({ length: 40 }, (_, i) =>
    conversation.message(alice, {
      seqno: i + 2,
      view,
      ct: systemRandom(28 + 64 * (i % 5 === 0 ? 1_000 : 1)),
    }),
  );
  const answers = await Promise.all(lines.map((line) => aliceClient.expect("accepted", post(line))));
  expect(answers.map(({ index }) => index)).toEqual(lines.map((_, i) => i + 1));
  await server.dispose();
});

test("who begins too many conversations is told when to go on", async () => {
  const server = await TestServer.create({
    limits: { conversationCreations: { capacity: 1, refillMs: 60_000 } },
  });
  const [alice, bob] = [await server.person("alice"), await server.person("bob")];
  const client = await server.register(alice);
  await server.register(bob);
  const first = new TestConversation(server, alice, bob);
  await first.post(client, await first.create(client, alice, [bob], { kind: "group", title: "one" }));
  const second = new TestConversation(server, alice, bob);
  const line = await second.create(client, alice, [bob], { kind: "group", title: "two" });
  expect(await client.refusalCode(post(line))).toBe("TRY_LATER");
  server.skewMs += 61_000;
  await second.post(client, line);
  await server.dispose();
});

function fetchAll(conversation: TestConversation["id"]) {
  return { type: "fetch_entries", conversation, from: 0, limit: 256 } as const;
}

function bobsSignature(bob: Person, entry: ReturnType<typeof parseEntry>): Uint8Array {
  const { ct, sig: _, ...unsigned } = entry;
  return signEntry(unsigned, ct, bob.key).sig;
}

function indexesOf(message: ServerMessage, conversation: string): number[] {
  if (message.type === "accepted" && message.conversation === conversation) return [message.index];
  if (message.type === "pushed" && message.conversation === conversation)
    return message.entries.map((_, i) => message.from + i);
  return [];
}
