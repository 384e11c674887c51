import { expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { certificateRecord, randomHex } from "../store/certificateRecord.ts";
import { TestServer } from "./testServer.ts";

test("fetch_certificates gives as many as fit into one answer, and the rest when asked again", async () => {
  const server = await TestServer.create();
  const alice = await server.person("alice");
  const client = await server.register(alice);
  const store = await openSqliteStore({ file: server.file });
  const [own] = await store.accounts.certificates([alice.certificate.fingerprint]);
  if (own === undefined) throw new Error("no certificate");
  const records = Array.from({ length: 60 }, () =>
    certificateRecord({ person: own.person, chain: [systemRandom(4_096)] }),
  );
  for (const record of records) await store.accounts.putCertificate(record, 1);
  await store.close();
  const missing = new Map(
    records.map(({ fingerprint, chain }) => [encodeHex(chain[0] ?? new Uint8Array(0)), fingerprint]),
  );
  let answers = 0;
  for (; missing.size > 0; answers++) {
    const { chains } = await client.expect("certificates", {
      type: "fetch_certificates",
      fingerprints: [...missing.values()],
    });
    expect(chains.length).toBeGreaterThan(0);
    for (const [leaf] of chains) expect(missing.delete(encodeHex(leaf ?? new Uint8Array(0)))).toBe(true);
  }
  expect(answers).toBe(2);
  await server.dispose();
});

test("list_conversations gives 256 at a time, by ascending id", async () => {
  const server = await TestServer.create();
  const alice = await server.person("alice");
  const client = await server.register(alice);
  const store = await openSqliteStore({ file: server.file });
  const { fingerprint } = alice.certificate;
  const ids = Array.from({ length: 300 }, () => randomHex(16));
  await Promise.all(
    ids.map((conversation) =>
      store.log.append({
        conversation,
        expectedSize: 0,
        create: { kind: "group", pair: undefined },
        entries: [{ at: 1, line: "{}", sender: fingerprint, seqno: 1, root: systemRandom(32) }],
        blobs: [],
        members: [{ change: "joined", fingerprint, index: 0 }],
        closes: false,
        checkpoint: { size: 1, root: randomHex(32), at: 1, server: randomHex(32), sig: systemRandom(70) },
        state: undefined,
      }),
    ),
  );
  await store.close();
  ids.sort();
  const first = await client.expect("conversations", { type: "list_conversations", after: null });
  expect([first.conversations.length, first.more]).toEqual([256, true]);
  const second = await client.expect("conversations", {
    type: "list_conversations",
    after: ids[255] ?? null,
  });
  expect(second.more).toBe(false);
  const listed = [...first.conversations, ...second.conversations].map(({ conversation }) => conversation);
  expect(listed).toEqual(ids);
  await server.dispose();
});
