import { expect, test } from "bun:test";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { decodeLogState, encodeLogState } from "../../src/server/logStateRecord.ts";
import { Conversation, roster, serverName } from "../log/conversation.ts";
import { certificatesOf, Organisation } from "../log/organisation.ts";

async function stateOfALog() {
  const organisation = await Organisation.create();
  const [alice, bob, server] = await Promise.all([
    organisation.user("alice"),
    organisation.user("bob"),
    organisation.server(serverName),
  ]);
  const conversation = new Conversation(certificatesOf(organisation));
  conversation.post(conversation.create(alice, server, { roster: roster(alice.row(), bob.row()) }));
  conversation.post(conversation.message(alice));
  return conversation.state;
}

test("decodeLogState() reads what encodeLogState() wrote", async () => {
  const state = await stateOfALog();
  expect(decodeLogState(encodeLogState(state))).toEqual(state);
});

test("decodeLogState() refuses a record with two rows for one device", async () => {
  const record = JSON.parse(decodeUtf8(encodeLogState(await stateOfALog())) ?? "");
  const [first] = record.senders;
  const twice = { ...record, senders: [...record.senders, { ...first, lastSeqno: 0 }] };
  expect(decodeLogState(encodeUtf8(JSON.stringify(record)))).toBeDefined();
  expect(decodeLogState(encodeUtf8(JSON.stringify(twice)))).toBeUndefined();
});
