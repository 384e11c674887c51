import { expect, test } from "bun:test";
import { directConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";
import { withLog } from "./wrappedStore.ts";

test("a log that has to be read after a restart does not keep everybody else waiting for all of it", async () => {
  const server = await TestServer.create();
  const { alice, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const view = { size: 1, root: conversation.rootAt(1) };
  const [line, ...earlier] = Array.from({ length: 200 }, (_, i) =>
    conversation.message(alice, { seqno: 201 - i, view }),
  );
  await Promise.all(
    earlier.reverse().map((one) => aliceClient.expect("accepted", { type: "post", line: one })),
  );
  await server.stop();

  let turn = 0;
  let isOver = false;
  const count = () => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  const read: number[] = [];
  const compared: number[] = [];
  server.wrapStore = (store) =>
    withLog(store, {
      entries(request) {
        read.push(turn);
        return store.log.entries(request);
      },
      roots(id, sizes) {
        if (sizes[0] === 200) compared.push(turn);
        return store.log.roots(id, sizes);
      },
    });
  await server.start();
  const client = await server.login(alice);
  count();
  await client.expect("accepted", { type: "post", line: line ?? "" });
  isOver = true;
  // Between the two 199 entries are verified.
  expect([read.length, compared.length]).toEqual([1, 1]);
  expect((compared[0] ?? 0) - (read[0] ?? 0)).toBeGreaterThan(3);
  await server.dispose();
});
