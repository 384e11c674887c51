import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { FrozenNetwork } from "../store/frozenNetwork.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { directConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

setDefaultTimeout(60_000);

const postsInFlight = 8;
/** More than what the server may hold for one connection, in requests and in bytes. */
const posts = 120;

describe.skipIf(!hasPostgres)("while the database does not answer", () => {
  let database: PostgresServer;
  beforeAll(async () => {
    database = await PostgresServer.start();
  }, 60_000);
  afterAll(() => database.dispose());

  /** A conversation on a server whose way to the database can be held up. */
  async function begin() {
    const direct = database.createDatabase();
    const network = new FrozenNetwork(direct);
    const address = { ...direct, port: await network.listen() };
    const server = await TestServer.create();
    await server.stop();
    server.openStore = () =>
      openPostgresStore({ address, connectTimeoutMs: 500, statementTimeoutMs: 1_000, maxConnections: 4 });
    await server.start({ limits: { postsInFlight } });
    const pair = await directConversation(server, ["alice", "bob"]);
    const end = async () => {
      await server.dispose();
      network.close();
    };
    return { server, network, end, ...pair };
  }

  test("the server takes so many posts of a connection and reads no further; each is answered once, and stands once", async () => {
    const { server, network, end, alice, aliceClient, bobClient, conversation } = await begin();
    const view = { size: 1, root: conversation.rootAt(1) };
    const lines = Array.from({ length: posts }, (_, i) =>
      conversation.message(alice, {
        seqno: i + 2,
        view,
        ct: crypto.getRandomValues(new Uint8Array(28 + 64 * 64)),
      }),
    );
    network.freeze();
    const answers = lines.map((line) => aliceClient.request({ type: "post", line }));
    let settled = 0;
    for (const answer of answers) void answer.then(() => settled++);
    const first = await answers[0];
    // As long as nothing comes back, only what was in flight is given up.
    expect(first).toMatchObject({ type: "refused", code: "UNAVAILABLE" });
    expect(settled).toBeLessThanOrEqual(2 * postsInFlight);
    expect(server.running.isStoreReachable).toBe(false);
    network.thaw();
    const outcomes = await Promise.all(answers);
    expect(outcomes.filter(({ type }) => type !== "accepted" && type !== "refused")).toEqual([]);
    // What was refused is posted again, in its order, until it stands: as a client does.
    const stands = new Map<number, string>();
    for (const line of lines)
      for (;;) {
        const answer = await aliceClient.request({ type: "post", line });
        if (answer.type !== "accepted") {
          expect(answer).toMatchObject({ code: "UNAVAILABLE" });
          continue;
        }
        stands.set(answer.index, line);
        break;
      }
    expect([...stands.keys()]).toEqual(lines.map((_, i) => i + 1));
    const seen = new Map<number, string>();
    while (seen.size < posts) {
      const { from, entries } = await bobClient.push("pushed");
      for (const [i, { line }] of entries.entries()) seen.set(from + i, line);
    }
    expect(seen).toEqual(stands);
    await end();
  });

  test("because it was stopped, and again when it goes on: the same", async () => {
    const { server, end, alice, aliceClient, bobClient, conversation } = await begin();
    const line = conversation.message(alice);
    database.suspend();
    expect(await aliceClient.refusalCode({ type: "post", line })).toBe("UNAVAILABLE");
    database.resume();
    while (!server.running.isStoreReachable) await Bun.sleep(20);
    await conversation.post(aliceClient, line);
    expect((await bobClient.push("pushed")).entries.map((one) => one.line)).toEqual([line]);
    await end();
  });
});
