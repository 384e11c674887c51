import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { hashPassword } from "../../src/store/passwordHash.ts";
import { encodeFrame, maxHandshakeFrameBytes, maxSessionFrameBytes } from "../../src/wire/frame.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { endInClear, RawClient, RawSocket } from "./rawClient.ts";
import { directConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

const text = (value: string) => new TextEncoder().encode(value);

describe("a connection before the handshake", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.create();
  });
  afterAll(() => server.dispose());

  const sent = async (bytes: Uint8Array) => {
    const socket = await RawSocket.dial(server.port);
    socket.writeBytes(bytes);
    return endInClear(socket);
  };

  test("is ended with an alert for whatever is no hello", async () => {
    expect(await sent(encodeFrame(text("{}")))).toBe("decode_error");
    expect(await sent(encodeFrame(text("not json")))).toBe("decode_error");
    expect(await sent(encodeFrame(systemRandom(1_000)))).toBe("decode_error");
    expect(await sent(encodeFrame(text('{"type":"ready"}')))).toBe("unexpected_message");
    expect(await sent(encodeFrame(text('{"type":"hello","version":1}')))).toBe("unsupported_version");
    expect(await sent(new Uint8Array(4))).toBe("decode_error");
    expect(await sent(Uint8Array.of(0, 0, 0x40, 1))).toBe("record_overflow");
    expect(await sent(text("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))).toBe("record_overflow");
    expect(await sent(encodeFrame(systemRandom(maxHandshakeFrameBytes)))).toBe("decode_error");
  });

  test("is ended for a certificate of another CA, of a server, expired, or without its key", async () => {
    const alertOf = async (identity: {
      chain: readonly Uint8Array[];
      key: (typeof server.identity)["key"];
    }) =>
      server.dial(identity).then(
        () => "none",
        (error: { alert?: string; code: string }) => error.alert ?? error.code,
      );
    const alice = await server.person("alice");
    const foreign = await (await createTestAuthority({ name: "Another CA" })).issueUser("alice");
    expect(await alertOf(foreign)).toBe("unknown_ca");
    const sameName = await (await createTestAuthority()).issueUser("alice");
    expect(await alertOf(sameName)).toBe("bad_certificate");
    expect(await alertOf(server.identity)).toBe("bad_certificate");
    const now = Date.now();
    const expired = await server.authority.issueUser("old", "old@example.org", {
      notBeforeMs: now - 7_200_000,
      notAfterMs: now - 3_600_000,
    });
    expect(await alertOf(expired)).toBe("certificate_expired");
    expect(await alertOf({ chain: alice.chain, key: (await server.person("bob")).key })).toBe(
      "decrypt_error",
    );
    expect(await alertOf({ chain: [server.authority.ca.der], key: server.authority.caKey })).toBe(
      "bad_certificate",
    );
    expect(await alertOf(alice)).toBe("none");
  });
});

describe("a connection that is established", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.create();
  });
  afterAll(() => server.dispose());

  const messages: readonly [string, Uint8Array][] = [
    ["no JSON", text("no json")],
    ["no object", text("[]")],
    ["an unknown type", text('{"type":"shutdown","id":1}')],
    ["a field too many", text('{"type":"ping","id":1,"x":0}')],
    ["no id", text('{"type":"ping"}')],
    ["white space", text('{"type":"ping", "id":1}')],
    ["an id of 0", text('{"type":"ping","id":0}')],
    ["an answer", text('{"type":"pong","id":1}')],
    ["bytes that are no UTF-8", Uint8Array.of(0xff, 0xfe)],
    ["an alert as a message", text('{"type":"alert","code":"close_notify"}')],
  ];

  test("is ended with decode_error by whatever is no request, before login and after", async () => {
    const person = await server.person("malformed");
    await server.register(person);
    for (const [name, bytes] of messages)
      for (const client of [await server.dial(person), await server.login(person)]) {
        client.sendBytes(bytes);
        expect([name, await client.ended]).toEqual([name, "decode_error"]);
      }
  }, 30_000);

  test("is ended when ids don't ascend", async () => {
    const client = await server.dial(await server.person("ids"));
    const ping = text('{"type":"ping","id":5}');
    expect(await client.requestBytes(5, ping)).toEqual({ type: "pong", id: 5 });
    client.sendBytes(ping);
    expect(await client.ended).toBe("unexpected_message");
  });

  test("is ended with decrypt_error by a record that the keys don't open", async () => {
    const client = await server.dial(await server.person("records"));
    client.socket.write(systemRandom(100));
    expect(await client.ended).toBe("decrypt_error");
  });

  test("is ended by a frame of no bytes and by one of too many", async () => {
    const empty = await server.dial(await server.person("frames"));
    empty.socket.writeBytes(new Uint8Array(4));
    expect(await empty.ended).toBe("decode_error");
    const long = await server.dial(await server.person("frames"));
    const header = new Uint8Array(4);
    new DataView(header.buffer).setUint32(0, maxSessionFrameBytes + 1);
    long.socket.writeBytes(header);
    expect(await long.ended).toBe("record_overflow");
  });

  test("byte by byte works like any other", async () => {
    const slow = await server.dial(await server.person("slow"));
    const request = text('{"type":"ping","id":1}');
    const answer = new Promise((resolve) => {
      const { write } = slow.socket;
      slow.socket.write = (payload) => {
        for (const byte of encodeFrame(payload)) slow.socket.writeBytes(Uint8Array.of(byte));
      };
      slow.requestBytes(1, request).then(resolve);
      slow.socket.write = write;
    });
    expect(await answer).toEqual({ type: "pong", id: 1 });
  });

  test("of the same account replaces the earlier one, whose posts in flight reach the new one", async () => {
    const { alice, aliceClient, bobClient, conversation } = await directConversation(server, [
      "anna",
      "bert",
    ]);
    const again = await server.login(alice);
    expect(await aliceClient.ended).toBe("replaced");
    expect(server.running.sessions).toBeGreaterThanOrEqual(2);
    await conversation.post(again, conversation.message(alice));
    expect((await bobClient.push("pushed")).from).toBe(1);
  });

  test("that the client ends is over without an alert", async () => {
    const client = await server.login(await registered("ends"));
    client.socket.write(client.records.sealAlert("close_notify"));
    expect(await client.ended).toBeUndefined();
    expect(server.log).toContain("Client disconnected: the client ended the channel: close_notify");
  });

  async function registered(name: string) {
    const person = await server.person(name);
    (await server.register(person)).close();
    return person;
  }
});

describe("time limits", () => {
  test("end a connection that says nothing, one that doesn't log in, and one that falls silent", async () => {
    const server = await TestServer.create({ limits: { handshakeMs: 300, loginMs: 300, idleMs: 300 } });
    const silent = await RawSocket.dial(server.port);
    expect(await endInClear(silent)).toBe("timeout");
    const person = await server.person("alice");
    const waiting = await server.dial(person);
    expect(await waiting.ended).toBe("timeout");
    const idle = await server.register(person);
    expect(await idle.ended).toBe("timeout");
    await server.dispose();
  });

  test("end a connection that reads none of the refusals that it is given before its login", async () => {
    const work = { capacity: 1_000_000, refillMs: 0.001 };
    const server = await TestServer.create({ limits: { loginMs: 500, work } });
    const client = await server.dial(await server.person("alice"));
    client.socket.pause();
    client.socket.together(() => {
      for (let i = 0; i < 60_000; i++)
        client.request({ type: "list_conversations", after: null }).catch(() => undefined);
    });
    const untilMs = performance.now() + 20_000;
    while (!server.log.includes("the client took too long") && performance.now() < untilMs)
      await Bun.sleep(50);
    expect(server.log).toContain("Client disconnected: the client took too long");
    client.socket.resume();
    client.close();
    await server.dispose();
  }, 60_000);

  test("don't end a connection that pings", async () => {
    const server = await TestServer.create({ limits: { idleMs: 2_000 } });
    const client = await server.register(await server.person("alice"));
    const until = performance.now() + 2_600;
    while (performance.now() < until) {
      await client.expect("pong", { type: "ping" });
      await Bun.sleep(100);
    }
    expect(client.alert).toBeUndefined();
    await server.dispose();
  }, 20_000);
});

describe("limits on connections", () => {
  const refusedByCount = async (server: TestServer) => endInClear(await RawSocket.dial(server.port));

  test("hold for connections in all, and places become free again", async () => {
    const server = await TestServer.create({ limits: { connections: 2 } });
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    const [first] = [await server.dial(alice), await server.dial(bob)];
    expect(await refusedByCount(server)).toBe("too_many_connections");
    expect(server.running.connections).toBe(2);
    first.close();
    await first.ended;
    while (server.running.connections > 1) await Bun.sleep(5);
    expect((await server.dial(alice)).alert).toBeUndefined();
    await server.dispose();
  });

  test("hold for one address", async () => {
    const server = await TestServer.create({ limits: { connectionsPerAddress: 2 } });
    const alice = await server.person("alice");
    const [first] = [await server.dial(alice), await server.dial(alice)];
    expect(await refusedByCount(server)).toBe("too_many_connections");
    first.close();
    await first.ended;
    while (server.running.connections > 1) await Bun.sleep(5);
    expect((await server.dial(alice)).alert).toBeUndefined();
    expect(await refusedByCount(server)).toBe("too_many_connections");
    await server.dispose();
  });

  test("hold for connections without a handshake, which the established ones don't count for", async () => {
    const server = await TestServer.create({ limits: { halfOpenConnections: 2 } });
    for (const name of ["alice", "bob", "carol"]) await server.dial(await server.person(name));
    const [silent] = [await RawSocket.dial(server.port), await RawSocket.dial(server.port)];
    expect(await refusedByCount(server)).toBe("too_many_connections");
    silent.end();
    while (server.running.connections > 4) await Bun.sleep(5);
    expect((await server.dial(await server.person("dave"))).alert).toBeUndefined();
    await server.dispose();
  });
});

test("a client that doesn't read is cut off, and the others don't notice", async () => {
  const server = await TestServer.create({ limits: { queuedBytes: 512 * 1024 } });
  const { alice, aliceClient, bobClient, conversation } = await directConversation(server, ["alice", "bob"]);
  bobClient.socket.pause();
  const view = { size: 1, root: conversation.rootAt(1) };
  let seqno = 2;
  while (server.running.sessions === 2) {
    const lines = Array.from({ length: 20 }, () =>
      conversation.message(alice, { seqno: seqno++, view, ct: systemRandom(28 + 64 * 1_000) }),
    );
    const answers = await Promise.all(lines.map((line) => aliceClient.request({ type: "post", line })));
    expect(answers.every(({ type }) => type === "accepted")).toBe(true);
    expect(seqno).toBeLessThan(1_000);
  }
  expect(server.log).toContain("the client does not read what it is sent");
  expect((await aliceClient.request({ type: "ping" })).type).toBe("pong");
  await server.dispose();
}, 60_000);

test("a client that asks without reading gets no more memory of the server than its answers in flight", async () => {
  const server = await TestServer.create();
  const { alice, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const view = { size: 1, root: conversation.rootAt(1) };
  for (const seqno of [2, 3])
    await aliceClient.expect("accepted", {
      type: "post",
      line: conversation.message(alice, { seqno, view, ct: systemRandom(28 + 64 * 1_000) }),
    });
  aliceClient.socket.pause();
  const fetch = { type: "fetch_entries", conversation: conversation.id, from: 0, limit: 10 } as const;
  const answers = Array.from({ length: 200 }, () => aliceClient.expect("entries", fetch));
  // 200 answers of 180 KB are far beyond what may be queued: the server has to stop working on them, not cut off.
  await Bun.sleep(300);
  expect(server.running.sessions).toBe(2);
  aliceClient.socket.resume();
  for (const answer of await Promise.all(answers)) expect(answer.entries).toHaveLength(3);
  await server.dispose();
}, 60_000);

test("a client that sends without reading is not read either", async () => {
  const server = await TestServer.create();
  const { aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const { socket } = aliceClient;
  socket.pause();
  const fetch = { type: "fetch_entries", conversation: conversation.id, from: 0, limit: 10 } as const;
  const piece = { size: 65_536, offset: 0, data: systemRandom(65_536) };
  const megabytes = 32;
  socket.together(() => {
    for (let i = 0; i < 10_000; i++) aliceClient.request(fetch).catch(() => undefined);
    for (let sent = 0; sent < megabytes * 1024 * 1024; sent += piece.size)
      aliceClient
        .request({ type: "put_blob", sha256: encodeHex(systemRandom(32)), ...piece })
        .catch(() => undefined);
  });
  // The operating system takes some MB for both ends; a server that read on would have taken the rest by now.
  let before = Number.POSITIVE_INFINITY;
  while (socket.pendingBytes < before) {
    before = socket.pendingBytes;
    await Bun.sleep(500);
  }
  expect(socket.pendingBytes).toBeGreaterThan((megabytes / 2) * 1024 * 1024);
  expect(server.running.sessions).toBe(2);
  await server.dispose();
}, 60_000);

test("stop() answers what was posted, tells everybody, and can be called again", async () => {
  const server = await TestServer.create();
  const { alice, aliceClient, bobClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const view = { size: 1, root: conversation.rootAt(1) };
  const halfOpen = await RawSocket.dial(server.port);
  const answers = Array.from({ length: 50 }, (_, i) =>
    aliceClient
      .request({ type: "post", line: conversation.message(alice, { seqno: i + 2, view }) })
      .catch(() => undefined),
  );
  await aliceClient.request({ type: "ping" }).catch(() => undefined);
  const { running } = server;
  await Promise.all([running.stop(), running.stop()]);
  expect([await aliceClient.ended, await bobClient.ended]).toEqual(["shutting_down", "shutting_down"]);
  expect(await endInClear(halfOpen)).toBe("shutting_down");
  const accepted = (await Promise.all(answers)).filter((answer) => answer?.type === "accepted").length;
  await expect(RawSocket.dial(running.port)).rejects.toThrow();
  await server.start();
  const { entries } = await (await server.login(alice)).expect("entries", {
    type: "fetch_entries",
    conversation: conversation.id,
    from: 0,
    limit: 256,
  });
  expect(entries).toHaveLength(1 + accepted);
  expect(accepted).toBe(50);
  await server.dispose();
});

test("stop() does not wait for the passwords of all who are logging in", async () => {
  const server = await TestServer.create({ limits: { passwordsAtOnce: 1 } });
  const alice = await server.person("alice");
  const { email, username, password } = alice;
  const clients = await Promise.all(Array.from({ length: 100 }, () => server.dial(alice)));
  const answers = clients.map((client) => client.request({ type: "register", email, username, password }));
  await Promise.race(answers);
  const stoppingMs = performance.now();
  await server.stop();
  const tookMs = performance.now() - stoppingMs;
  const hashingMs = performance.now();
  for (let i = 0; i < 40; i++) await hashPassword(password);
  // Of some 99 that waited one was under way.
  expect(tookMs).toBeLessThan(performance.now() - hashingMs);
  await Promise.allSettled(answers);
  await server.dispose();
}, 20_000);

test("text of a peer can't break a line of the log", async () => {
  const server = await TestServer.create();
  const client = await RawClient.connect(server.port, await server.person("alice"), {
    ca: server.authority.ca,
  });
  await client.refusalCode({
    type: "login",
    email: "a@b\n2026 [INFO] forged\u001b[2J",
    password: "12345678",
  });
  for (const { message } of server.lines) expect(message).not.toMatch(/[\u0000-\u001f]/);
  client.close();
  await server.dispose();
});
