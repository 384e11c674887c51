import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { createDevice } from "../../src/group/device.ts";
import { decodeBody, encodeMembershipBody } from "../../src/log/bodies.ts";
import { parseEntry } from "../../src/log/entry.ts";
import { encodePem } from "./pemFile.ts";
import type { RawClient } from "./rawClient.ts";
import { directConversation, rosterOf, rowOf, TestConversation } from "./testConversation.ts";
import { newDevice, type Person, TestServer } from "./testServer.ts";
import { withLog } from "./wrappedStore.ts";

const post = (line: string) => ({ type: "post", line }) as const;

/** A server on which whatever has to be judged after a log waits while it is held. */
async function gatedServer(): Promise<{ server: TestServer; hold: () => () => void }> {
  let gate = Promise.resolve();
  const server = await TestServer.create();
  await server.stop();
  server.wrapStore = (store) =>
    withLog(store, {
      async size(conversation) {
        await gate;
        return store.log.size(conversation);
      },
    });
  await server.start();
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    return resolve;
  };
  return { server, hold };
}

describe("membership", () => {
  let server: TestServer;
  let count = 0;
  let crlNumber = 1n;
  beforeAll(async () => {
    server = await TestServer.create();
  });
  afterAll(() => server.dispose());

  /** `people` are registered and connected, all but the last in one group of the first. */
  async function group(size: number, at: TestServer = server) {
    const suffix = ++count;
    const people: Person[] = [];
    const clients: RawClient[] = [];
    for (let i = 0; i <= size; i++) {
      const person = await at.person(`p${i}x${suffix}`);
      people.push(person);
      clients.push(await at.register(person));
    }
    const [creator, creatorClient] = [people[0], clients[0]];
    if (creator === undefined || creatorClient === undefined) throw new Error("nobody");
    const conversation = new TestConversation(at, ...people);
    const others = people.slice(1, size);
    const line = await conversation.create(creatorClient, creator, others, { kind: "group", title: "team" });
    await conversation.post(creatorClient, line);
    return {
      people: people as [Person, Person, ...Person[]],
      clients: clients as [RawClient, RawClient, ...RawClient[]],
      conversation,
    };
  }

  const fetchAll = (conversation: TestConversation) =>
    ({ type: "fetch_entries", conversation: conversation.id, from: 0, limit: 256 }) as const;

  test("add makes the whole log readable to who comes in, who is told at once", async () => {
    const { people, clients, conversation } = await group(2);
    const [creator, , newcomer] = people;
    const [creatorClient, , newcomerClient] = clients;
    if (newcomer === undefined || newcomerClient === undefined) throw new Error("nobody");
    await conversation.post(creatorClient, conversation.message(creator));
    expect(await newcomerClient.refusalCode(fetchAll(conversation))).toBe("NOT_FOUND");
    await conversation.post(
      creatorClient,
      await conversation.commit(creatorClient, creator, { add: [newcomer] }),
    );
    expect((await newcomerClient.push("pushed")).from).toBe(2);
    expect((await newcomerClient.expect("entries", fetchAll(conversation))).entries).toHaveLength(3);
    await conversation.post(newcomerClient, conversation.message(newcomer));
  });

  test("remove shows who goes the entry that removes it, under a checkpoint of its own, and nothing later", async () => {
    const { people, clients, conversation } = await group(3);
    const [creator, , removed] = people;
    const [creatorClient, otherClient, removedClient] = clients;
    if (removed === undefined || removedClient === undefined) throw new Error("nobody");
    await removedClient.push("pushed");
    const view = { size: 1, root: conversation.rootAt(1) };
    const line = await conversation.commit(creatorClient, creator, { remove: [removed] });
    const late = conversation.message(creator, { seqno: 3, epoch: 2, view });
    const [removal, refusedLate] = await Promise.all([
      creatorClient.expect("accepted", post(line)),
      creatorClient.refusalCode(post(late)),
    ]);
    expect(refusedLate).toBe("BAD_VIEW");
    conversation.take(line, removal.at);
    await conversation.post(creatorClient, await conversation.commit(creatorClient, creator));
    const { entries } = await creatorClient.expect("entries", fetchAll(conversation));
    const groupAt = (index: number) =>
      ({ type: "fetch_blob", sha256: groupOf(entries[index]?.line ?? ""), offset: 0 }) as const;
    expect((await removedClient.request(groupAt(1))).type).toBe("blob");
    expect(await removedClient.refusalCode(groupAt(2))).toBe("NOT_FOUND");
    const pushed = await removedClient.push("pushed");
    expect([pushed.from, pushed.entries.length, pushed.checkpoint.size]).toEqual([1, 1, 2]);
    const seen = await removedClient.expect("entries", fetchAll(conversation));
    expect([seen.entries.length, seen.checkpoint.size, seen.checkpoint.root]).toEqual([
      2,
      2,
      conversation.rootAt(2),
    ]);
    const listed = await removedClient.expect("conversations", { type: "list_conversations", after: null });
    expect(listed.conversations).toEqual([{ conversation: conversation.id, size: 2 }]);
    await otherClient.push("pushed");
    await removedClient.request({ type: "ping" });
    expect(removedClient.pendingPushes).toBe(0);
    expect(await removedClient.refusalCode(post(conversation.message(removed)))).toBe("UNKNOWN_SENDER");
  });

  test("remove and what follows it in the same batch reach each member under a checkpoint over what it sees", async () => {
    const { server: gated, hold } = await gatedServer();
    const { people, clients, conversation } = await group(3, gated);
    const [creator, other, removed] = people;
    const [creatorClient, otherClient, removedClient] = clients;
    if (removed === undefined || removedClient === undefined) throw new Error("nobody");
    await removedClient.push("pushed");
    await otherClient.push("pushed");
    const removal = await conversation.commit(creatorClient, creator, { remove: [removed] });
    const view = { size: 1, root: conversation.rootAt(1) };
    const next = conversation.line(creator, "acknowledge", { seqno: 3, view });
    // What is posted while another entry is being judged is the next batch.
    const release = hold();
    const before = conversation.line(other, "acknowledge");
    const answerBefore = otherClient.expect("accepted", post(before));
    await otherClient.request({ type: "ping" });
    const answers = [removal, next].map((line) => creatorClient.expect("accepted", post(line)));
    await creatorClient.request({ type: "ping" });
    release();
    conversation.take(before, (await answerBefore).at);
    const accepted = await Promise.all(answers);
    expect(accepted.map(({ index, checkpoint }) => [index, checkpoint.size])).toEqual([
      [2, 4],
      [3, 4],
    ]);
    conversation.take(removal, accepted[0]?.at ?? 0);
    expect(await removedClient.push("pushed")).toMatchObject({ from: 1, checkpoint: { size: 2 } });
    const ofRemoved = await removedClient.push("pushed");
    expect(ofRemoved).toMatchObject({ from: 2, checkpoint: { size: 3, root: conversation.rootAt(3) } });
    expect(ofRemoved.entries).toHaveLength(1);
    const ofOther = await otherClient.push("pushed");
    expect([ofOther.from, ofOther.entries.length, ofOther.checkpoint.size]).toEqual([2, 2, 4]);
    await gated.dispose();
  });

  test("by one member with the commit of another is refused", async () => {
    const { people, clients, conversation } = await group(2);
    const [creator, second] = people;
    const [, client] = clients;
    const { ct } = parseEntry(await conversation.commit(client, creator));
    expect(await client.refusalCode(post(conversation.line(second, "membership", { ct })))).toBe("BAD_BODY");
  });

  test("renew with a commit from outside is refused, and rejoin with the old device key too", async () => {
    const { people, clients, conversation } = await group(2);
    const [, second] = people;
    const { username, email, issued, device } = second;
    const again = await server.authority.issueUser(username, email, { pkcs8: issued.pkcs8 });
    const { chain, key, certificate } = again;
    const expiresMs = device.identity.expiresMs;
    const renewed = {
      ...second,
      chain,
      key,
      certificate,
      device: createDevice({ chain, key, seed32: device.seed, expiresMs }),
    };
    conversation.knows(renewed);
    const client = await server.login(renewed);
    expect(await clients[1].ended).toBe("replaced");
    const roster = conversation.state.roster.map((row) =>
      row.username === username ? { ...row, fingerprint: certificate.fingerprint } : row,
    );
    const outside = await conversation.external(renewed.device, second.certificate.fingerprint);
    const line = await conversation.membership(client, renewed, outside, { action: "renew", roster });
    expect(await client.refusal(post(line))).toMatchObject({
      code: "BAD_BODY",
      message: expect.stringContaining("outsider"),
    });
    const rejoin = { action: "rejoin", roster } as const;
    const asRejoin = await conversation.membership(client, renewed, outside, rejoin);
    expect(await client.refusalCode(post(asRejoin))).toBe("BAD_BODY");
  });

  test("remove as revoked is FORBIDDEN to who is no admin while the server's CRL doesn't say so", async () => {
    const { people, clients, conversation } = await group(3);
    const [creator, second, third] = people;
    const [, client] = clients;
    if (third === undefined) throw new Error("nobody");
    const missing = encodeHex(systemRandom(32));
    const ct = encodeMembershipBody({
      action: "remove",
      admins: [],
      roster: rosterOf(creator, second),
      crl: "1",
      commit: missing,
      welcome: null,
      group: missing,
    });
    const line = conversation.line(second, "membership", { ct });
    expect(await client.refusalCode(post(line))).toBe("FORBIDDEN");
    server.running.replaceCrl(
      server.authority.crl([{ certificate: third.certificate }], { number: crlNumber++ }).der,
    );
    // Now only the blobs are missing.
    expect(await client.refusalCode(post(line))).toBe("BAD_BLOB");
  });

  test("add of who is revoked is refused", async () => {
    const { people, clients, conversation } = await group(2);
    const [creator, , newcomer] = people;
    const [client] = clients;
    if (newcomer === undefined) throw new Error("nobody");
    server.running.replaceCrl(
      server.authority.crl([{ certificate: newcomer.certificate }], { number: crlNumber++ }).der,
    );
    const line = await conversation.commit(client, creator, { add: [newcomer] });
    expect(await client.refusalCode(post(line))).toBe("CERTIFICATE_REVOKED");
  });

  test("leave makes messages wait for the removal of who left", async () => {
    const { people, clients, conversation } = await group(3);
    const [creator, , leaver] = people;
    const [creatorClient, , leaverClient] = clients;
    if (leaver === undefined || leaverClient === undefined) throw new Error("nobody");
    await conversation.post(leaverClient, conversation.line(leaver, "leave"));
    expect(await creatorClient.refusalCode(post(conversation.message(creator)))).toBe("REKEY_NEEDED");
    await conversation.post(
      creatorClient,
      await conversation.commit(creatorClient, creator, { remove: [leaver] }),
    );
    await conversation.post(creatorClient, conversation.message(creator));
  });

  test("of one epoch is accepted once: the second committer is told that its epoch is over", async () => {
    const { people, clients, conversation } = await group(2);
    const [creator] = people;
    const [client] = clients;
    const first = await conversation.commit(client, creator);
    const second = conversation.line(creator, "message", { seqno: 3 });
    await conversation.post(client, first);
    expect(await client.refusalCode(post(second))).toBe("STALE_EPOCH");
  });

  test("is refused when roster, group info, commit or action don't fit each other", async () => {
    const { people, clients, conversation } = await group(3);
    const [creator, second, third] = people;
    const [client] = clients;
    if (third === undefined) throw new Error("nobody");
    const attempt = async (change: object, body: object) =>
      client.refusalCode(post(await conversation.commit(client, creator, change, body)));
    // Commits are made one on the other here, so each of these belongs to an epoch that never comes.
    const other = rowOf(second, encodeHex(systemRandom(32)));
    expect(await attempt({}, { roster: [...rosterOf(creator, third), other] })).toBe("BAD_BODY");
    expect(await attempt({}, { roster: rosterOf(creator, second) })).toBe("BAD_BODY");
    expect(await attempt({}, {})).toBe("BAD_BODY");
    expect(await attempt({}, { group: encodeHex(systemRandom(32)) })).toBe("BAD_BLOB");
    expect(await client.expect("entries", fetchAll(conversation))).toMatchObject({ checkpoint: { size: 1 } });
  });

  test("with a device that its certificate's key did not sign for is refused, also for who is in already", async () => {
    const { people, clients, conversation } = await group(2);
    const [creator, , outsider] = people;
    const [client] = clients;
    if (outsider === undefined) throw new Error("nobody");
    const { identity, seed } = newDevice(creator.issued);
    const { chain, fingerprint } = outsider.device.identity;
    const ghost = { ...outsider, device: { identity: { ...identity, chain, fingerprint }, seed } };
    expect(await client.refusalCode(post(await conversation.commit(client, creator, { add: [ghost] })))).toBe(
      "BAD_BODY",
    );
    const later = { ...identity, devicePublicKey: creator.device.identity.devicePublicKey };
    const unsigned = { ...creator, device: { identity: later, seed: creator.device.seed } };
    expect(await client.refusalCode(post(await conversation.commit(client, unsigned)))).toBe("BAD_BODY");
    expect(await client.expect("entries", fetchAll(conversation))).toMatchObject({ checkpoint: { size: 1 } });
  });

  test("goes on with a device that has expired since it came in, and lets none in that has", async () => {
    const { people, clients, conversation } = await group(2);
    const [, second, outsider] = people;
    const [client, other] = clients;
    if (outsider === undefined) throw new Error("nobody");
    const until = (person: Person, expiresMs: number) =>
      createDevice({ chain: person.chain, key: person.key, seed32: systemRandom(32), expiresMs });
    const short = until(second, Date.now() + 60_000);
    await conversation.post(other, await conversation.rejoin(other, second, short));
    server.skewMs += 61_000;
    try {
      const line = await conversation.commit(other, { ...second, device: short });
      await conversation.post(other, line);
      const expired = { ...outsider, device: until(outsider, Date.now()) };
      const add = await conversation.commit(other, { ...second, device: short }, { add: [expired] });
      expect(await other.refusal(post(add))).toMatchObject({ code: "BAD_BODY" });
    } finally {
      server.skewMs -= 61_000;
    }
    expect(await client.expect("entries", fetchAll(conversation))).toMatchObject({ checkpoint: { size: 3 } });
  });

  test("rejoin takes a lost device back in with a commit from outside", async () => {
    const { people, clients, conversation } = await group(2);
    const [creator, second] = people;
    const [creatorClient, client] = clients;
    await creatorClient.request({ type: "ping" });
    await conversation.post(client, await conversation.rejoin(client, second, newDevice(second.issued)));
    expect((await creatorClient.push("pushed")).from).toBe(1);
    await conversation.post(creatorClient, conversation.message(creator));
  });
});

test("who changes a group too often is told when to go on, and others are not held up by it", async () => {
  const server = await TestServer.create({ limits: { commits: { capacity: 2, refillMs: 60_000 } } });
  const { alice, bob, aliceClient, bobClient, conversation } = await directConversation(server, [
    "alice",
    "bob",
  ]);
  for (let i = 0; i < 2; i++)
    await conversation.post(aliceClient, await conversation.commit(aliceClient, alice));
  const line = await conversation.commit(aliceClient, alice);
  expect(await aliceClient.refusal(post(line))).toMatchObject({ code: "TRY_LATER" });
  await conversation.post(bobClient, conversation.message(bob));
  server.skewMs += 61_000;
  await conversation.post(aliceClient, line);
  await server.dispose();
});

/** The hash of the group info that a membership entry names. */
function groupOf(line: string): Hex {
  const body = decodeBody(parseEntry(line));
  if (body.kind !== "membership") throw new Error(body.kind);
  return body.body.group;
}

describe("revocation", () => {
  test("cuts the revoked off, tells the others, keeps it out, and makes messages wait for its removal", async () => {
    const server = await TestServer.create();
    const { alice, bob, aliceClient, bobClient, conversation } = await directConversation(server, [
      "alice",
      "bob",
    ]);
    const line = conversation.message(bob);
    server.running.replaceCrl(server.authority.crl([{ certificate: bob.certificate }]).der);
    expect(await bobClient.ended).toBe("certificate_revoked");
    expect((await aliceClient.push("crl")).crl.length).toBeGreaterThan(100);
    await expect(server.dial(bob)).rejects.toMatchObject({
      code: "PEER_ALERT",
      alert: "certificate_revoked",
    });
    expect(await aliceClient.refusalCode(post(conversation.message(alice)))).toBe("REKEY_NEEDED");
    expect((await aliceClient.request(post(conversation.line(alice, "acknowledge")))).type).toBe("accepted");
    expect(await aliceClient.refusalCode(post(line))).toBe("UNKNOWN_SENDER");
    await server.dispose();
  });

  test("between handshake and login, and between a post and its turn, is noticed", async () => {
    const { server, hold } = await gatedServer();
    const { bob, aliceClient, bobClient, conversation } = await directConversation(server, ["alice", "bob"]);
    const halfway = await server.dial(await server.person("carol"));
    const release = hold();
    bobClient.request(post(conversation.line(bob, "acknowledge"))).catch(() => undefined);
    expect((await bobClient.request({ type: "ping" })).type).toBe("pong");
    const { certificate } = await server.person("carol");
    server.running.replaceCrl(server.authority.crl([{ certificate }, { certificate: bob.certificate }]).der);
    release();
    const { email, username, password } = await server.person("carol");
    halfway.request({ type: "register", email, username, password }).catch(() => undefined);
    expect([await halfway.ended, await bobClient.ended]).toEqual([
      "certificate_revoked",
      "certificate_revoked",
    ]);
    expect(
      await aliceClient.expect("conversations", { type: "list_conversations", after: null }),
    ).toMatchObject({
      conversations: [{ conversation: conversation.id, size: 1 }],
    });
    await server.dispose();
  });

  test("list is handed to everybody after login, PEM or DER, and an older one is refused", async () => {
    const server = await TestServer.create();
    const alice = await server.person("alice");
    await server.register(alice);
    await server.stop();
    const crl = server.authority.crl([], { number: 7n });
    await server.start({ crl: encodePem("X509 CRL", crl.der) });
    const client = await server.login(alice);
    expect(encodeHex((await client.push("crl")).crl)).toBe(encodeHex(crl.der));
    expect(() => server.running.replaceCrl(server.authority.crl([], { number: 6n }).der)).toThrow("older");
    await server.dispose();
  });

  test("by a list that is overdue still keeps the revoked out and lets the others in, with a warning", async () => {
    const server = await TestServer.create();
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    await server.register(alice);
    await server.stop();
    const hour = 3_600_000;
    const { der } = server.authority.crl([{ certificate: bob.certificate }], {
      thisUpdateMs: Date.now() - 2 * hour,
      nextUpdateMs: Date.now() - hour,
    });
    await server.start({ crl: der });
    expect(server.log).toContain("[WARNING] The CRL was due for renewal");
    expect((await server.login(alice)).alert).toBeUndefined();
    await expect(server.dial(bob)).rejects.toMatchObject({ alert: "certificate_revoked" });
    await server.dispose();
  });
});
