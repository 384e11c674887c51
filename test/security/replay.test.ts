import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { formatEntry, signEntry } from "../../src/log/entry.ts";
import { TcpProxy } from "../scenario/tcpProxy.ts";
import { eventsOf, patienceMs } from "../scenario/world.ts";
import { RawClient, RawSocket } from "../server/rawClient.ts";
import { HostilePeers } from "./hostilePeers.ts";

/*
 * The third heading of the original's security tests, test_security_replay.py, under its five names: posts on a running `serve`.
 * Where the original takes a gap, it is refused here.
 */

setDefaultTimeout(patienceMs);

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["victim"]);
});
afterAll(() => peers?.dispose());

const post = (line: string) => ({ type: "post", line }) as const;

/** alice has sent seqno 1 (the create), 2 and 3. */
async function talking() {
  const pair = await peers.pair();
  const { alice, aliceClient, bobClient, conversation } = pair;
  const lines: string[] = [];
  for (let i = 0; i < 2; i++) {
    const line = conversation.message(alice);
    await conversation.post(aliceClient, line);
    await bobClient.push("pushed");
    lines.push(line);
  }
  const refused = (line: string, from = aliceClient) =>
    peers.refusedPost(from, line, { conversation: conversation.id, others: bobClient });
  const expected = async () =>
    (await aliceClient.refusal(post(conversation.message(alice, { seqno: 1_000 })))).detail;
  return { ...pair, lines, refused, expected };
}

describe("test_security_replay: serve", () => {
  test("test_replay_detection: refuses other words under a seqno that was used, whatever else is new about them", async () => {
    const { alice, conversation, refused, expected } = await talking();
    for (const seqno of [1, 2, 3])
      expect([seqno, await refused(conversation.message(alice, { seqno }))]).toEqual([seqno, "REPLAY"]);
    expect(await expected()).toBe("4");
  });

  test("test_sequence_enforcement: takes 4, 5 and 6 in this order", async () => {
    const { alice, aliceClient, conversation, refused } = await talking();
    for (const seqno of [4, 5, 6]) {
      expect(await refused(conversation.message(alice, { seqno: seqno - 1 }))).toBe("REPLAY");
      expect(await refused(conversation.message(alice, { seqno: seqno + 1 }))).toBe("GAP");
      await conversation.post(aliceClient, conversation.message(alice, { seqno }));
    }
    expect(conversation.state.size).toBe(6);
  });

  test("test_duplicate_rejection: answers the same line again from the log and stores and delivers nothing", async () => {
    const { alice, aliceClient, bobClient, conversation, lines } = await talking();
    const before = peers.kept();
    for (const [i, line] of lines.entries()) {
      const again = await aliceClient.expect("accepted", post(line));
      expect([again.index, again.checkpoint.size]).toEqual([i + 1, 3]);
    }
    // Another signature over the same bytes makes no second entry either.
    const last = conversation.sign(alice, "message");
    await conversation.post(aliceClient, formatEntry(last));
    await bobClient.push("pushed");
    const { ct, sig: _, ...unsigned } = last;
    const twin = await aliceClient.expect("accepted", post(formatEntry(signEntry(unsigned, ct, alice.key))));
    expect(twin.index).toBe(3);
    await bobClient.request({ type: "ping" });
    expect(bobClient.pendingPushes).toBe(0);
    expect(peers.kept()["table entries"]?.length).toBe((before["table entries"]?.length ?? 0) + 1);
  });

  test("test_out_of_order_rejection: refuses the second before the first, and takes both in their order", async () => {
    const { alice, aliceClient, conversation, refused, expected } = await talking();
    const [first, second] = [4, 5].map((seqno) => conversation.message(alice, { seqno })) as [string, string];
    expect(await refused(second)).toBe("GAP");
    expect(await expected()).toBe("4");
    await conversation.post(aliceClient, first);
    await conversation.post(aliceClient, second);
    expect(await refused(conversation.message(alice, { seqno: 4 }))).toBe("REPLAY");
  });

  test("test_gap_tolerance: tolerates none, of one or of all the numbers there are", async () => {
    const { alice, aliceClient, conversation, refused, expected } = await talking();
    for (const seqno of [5, 8, 1_000_000_000_000_000, Number.MAX_SAFE_INTEGER])
      expect([seqno, await refused(conversation.message(alice, { seqno }))]).toEqual([seqno, "GAP"]);
    expect(await expected()).toBe("4");
    await conversation.post(aliceClient, conversation.message(alice));
  });

  test("refuses a member's line from another member, and from a stranger", async () => {
    const { alice, bob, bobClient, aliceClient, conversation, lines } = await talking();
    const stranger = await peers.register(await peers.person(`stranger-${alice.username}`));
    const fresh = conversation.message(alice);
    for (const line of [fresh, lines[0] ?? ""])
      for (const [client, others] of [
        [bobClient, aliceClient],
        [stranger, bobClient],
      ] as const)
        expect(await peers.refusedPost(client, line, { conversation: conversation.id, others })).toBe(
          "UNKNOWN_SENDER",
        );
    await conversation.post(aliceClient, fresh);
    await conversation.post(bobClient, conversation.message(bob));
  });

  test("refuses a line that was signed 6 minutes ago or is to come in 6 minutes", async () => {
    const { alice, conversation, refused } = await talking();
    for (const ms of [-360_000, 360_000])
      expect(await refused(conversation.message(alice, { ts: Date.now() + ms }))).toBe("CLOCK");
  });

  test("keeps the numbers when it is killed and started again", async () => {
    const own = await HostilePeers.create();
    try {
      const { alice, aliceClient, conversation } = await own.pair();
      const line = conversation.message(alice);
      await conversation.post(aliceClient, line);
      own.server.stop("SIGKILL");
      await own.server.exited;
      const { port } = await own.world.startServer();
      const client = await RawClient.connect(port, alice, { ca: own.authority.ca });
      const { email, password } = alice;
      await client.expect("authenticated", { type: "login", email, password });
      expect((await client.expect("accepted", post(line))).index).toBe(1);
      expect(await client.refusalCode(post(conversation.message(alice, { seqno: 2 })))).toBe("REPLAY");
      await conversation.post(client, conversation.message(alice));
      client.close();
    } finally {
      await own.dispose();
    }
  });
});

describe("a recorded session", () => {
  test("played to the server again, byte for byte, ends in the handshake and logs nobody in", async () => {
    const proxy = new TcpProxy(peers.port);
    try {
      const done = await peers.chat("victim", proxy.port, ["--register"]);
      expect(eventsOf(done.stdout)).toContainEqual(expect.objectContaining({ event: "authenticated" }));
    } finally {
      proxy.stop();
    }
    const before = peers.kept();
    const socket = await RawSocket.dial(peers.port);
    socket.writeBytes(proxy.sentByClients);
    const answers: string[] = [];
    for (;;) {
      const payload = await socket.read().catch(() => undefined);
      if (payload === undefined) break;
      answers.push(new TextDecoder().decode(payload.subarray(0, 24)));
    }
    // Its hello is answered as any other; then come the server's authentication and an alert, both under new keys.
    expect(answers[0]).toStartWith('{"type":"server_hello"');
    expect(answers).toHaveLength(3);
    await peers.server.waitFor("the end of the replayed session", (line) =>
      line.endsWith(
        "Client disconnected: a record of the handshake does not open: altered, out of order, or from elsewhere",
      )
        ? line
        : undefined,
    );
    expect(peers.kept()).toEqual(before);
  });
});
