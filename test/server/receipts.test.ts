import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import { parseEntry } from "../../src/log/entry.ts";
import { formatTranscriptLine } from "../../src/log/transcript.ts";
import { countersign } from "../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../src/pki/cms/mergeSignedData.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../src/pki/cms/verifySigner.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { directConversation, statementOf, type TestConversation } from "./testConversation.ts";
import { type Person, TestServer } from "./testServer.ts";

describe("receipts", () => {
  let server: TestServer;
  let count = 0;
  beforeAll(async () => {
    server = await TestServer.create();
  });
  afterAll(() => server.dispose());

  const pair = () => directConversation(server, [`a${++count}`, `b${count}`]);

  const sign = ({ certificate, key }: Person, content: Uint8Array, signingTimeMs = Date.now()) =>
    signDetached({ content, certificate, key, signingTimeMs, includeCertificates: [] });
  const request = (conversation: TestConversation, statement: Uint8Array, signed_data: Uint8Array) =>
    ({ type: "sign_receipt", conversation: conversation.id, statement, signed_data }) as const;

  test("are countersigned by the server, merged signer by signer, and sent to the others", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    await conversation.post(aliceClient, conversation.message(alice));
    const statement = await statementOf(aliceClient, conversation);
    const first = await aliceClient.expect(
      "countersigned",
      request(conversation, statement, sign(alice, statement)),
    );
    expect(first).toMatchObject({ conversation: conversation.id, size: 2 });
    const pushed = await bobClient.push("receipt");
    expect(encodeHex(pushed.signed_data)).toBe(encodeHex(first.signed_data));

    const second = await bobClient.expect(
      "countersigned",
      request(conversation, statement, sign(bob, statement)),
    );
    const serverPrint = server.identity.certificate.fingerprint;
    const { signers } = decodeSignedData(second.signed_data);
    expect(signers.map(({ fingerprint }) => fingerprint).sort()).toEqual(
      [alice.certificate.fingerprint, bob.certificate.fingerprint, serverPrint].sort(),
    );
    for (const signer of signers) {
      verifySigner(signer, statement);
      const byServer = signer.counterSignatures.map(({ fingerprint }) => fingerprint);
      expect(byServer).toEqual(signer.fingerprint === serverPrint ? [] : [serverPrint]);
    }
    const fetched = await aliceClient.expect("countersigned", {
      type: "fetch_receipt",
      conversation: conversation.id,
      size: 2,
    });
    expect(encodeHex(fetched.signed_data)).toBe(encodeHex(second.signed_data));
  });

  test("signed again keep the first signature and its date", async () => {
    const { alice, aliceClient, conversation } = await pair();
    const statement = await statementOf(aliceClient, conversation);
    const first = await aliceClient.expect(
      "countersigned",
      request(conversation, statement, sign(alice, statement)),
    );
    const again = sign(alice, statement, Date.now() - 60_000);
    const second = await aliceClient.expect("countersigned", request(conversation, statement, again));
    expect(encodeHex(second.signed_data)).toBe(encodeHex(first.signed_data));
  });

  test("signed by both at the same time hold both signatures", async () => {
    const { alice, bob, aliceClient, bobClient, conversation } = await pair();
    const statement = await statementOf(aliceClient, conversation);
    await Promise.all([
      aliceClient.expect("countersigned", request(conversation, statement, sign(alice, statement))),
      bobClient.expect("countersigned", request(conversation, statement, sign(bob, statement))),
    ]);
    const whole = await aliceClient.expect("countersigned", {
      type: "fetch_receipt",
      conversation: conversation.id,
      size: 1,
    });
    expect(decodeSignedData(whole.signed_data).signers).toHaveLength(3);
  });

  test("with as many signers as a file may hold take no more", async () => {
    const { alice, aliceClient, conversation } = await pair();
    const statement = await statementOf(aliceClient, conversation);
    let signedData = signDetached({
      ...{ content: statement, certificate: server.identity.certificate, key: server.identity.key },
      ...{ signingTimeMs: Date.now(), includeCertificates: [] },
    });
    for (let i = 1; i < 64; i++)
      signedData = mergeSignedData(signedData, sign(await server.person(`signer${i}`), statement));
    const store = await openSqliteStore({ file: server.file });
    const record = { conversation: conversation.id, size: 1, statement, signedData, version: 1 };
    expect(await store.receipts.save(record, Date.now())).toBe(true);
    await store.close();
    expect(await aliceClient.refusalCode(request(conversation, statement, sign(alice, statement)))).toBe(
      "TOO_MANY",
    );
  });

  test("about an earlier size are signed too", async () => {
    const { alice, aliceClient, conversation } = await pair();
    const statement = await statementOf(aliceClient, conversation);
    for (let i = 0; i < 3; i++) await conversation.post(aliceClient, conversation.message(alice));
    const answer = await aliceClient.expect(
      "countersigned",
      request(conversation, statement, sign(alice, statement)),
    );
    expect(answer.size).toBe(1);
  });

  test("of a long log are made from stored states and all its lines", async () => {
    const { alice, aliceClient, conversation } = await pair();
    const view = { size: 1, root: conversation.rootAt(1) };
    const lines = Array.from({ length: 600 }, (_, i) => conversation.message(alice, { seqno: i + 2, view }));
    const answers = await Promise.all(
      lines.map((line) => aliceClient.expect("accepted", { type: "post", line })),
    );
    const hash = crypto().sha256Stream();
    const create = await aliceClient.expect("entries", {
      type: "fetch_entries",
      conversation: conversation.id,
      from: 0,
      limit: 1,
    });
    const whole = [
      create.entries[0] ?? { at: 0, line: "" },
      ...lines.map((line, i) => ({ line, at: answers[i]?.at ?? 0 })),
    ];
    for (const [index, { at, line }] of whole.slice(0, 550).entries()) {
      if (index > 0) conversation.take(line, at);
      hash.update(
        new TextEncoder().encode(`${formatTranscriptLine({ entry: parseEntry(line), index, at })}\n`),
      );
    }
    const statement = buildStatement({ state: conversation.state, sha256: encodeHex(hash.digest()) });
    await server.stop();
    await server.start();
    const again = await server.login(alice);
    const answer = await again.expect(
      "countersigned",
      request(conversation, statement, sign(alice, statement)),
    );
    expect(answer.size).toBe(550);
  });

  test("are refused unless the statement is true of the log to the byte", async () => {
    const { alice, aliceClient, conversation } = await pair();
    await conversation.post(aliceClient, conversation.message(alice));
    const text = new TextDecoder().decode(await statementOf(aliceClient, conversation));
    const other = await pair();
    const changed = [
      text.replace(/(?<="root":").(?=.)/, (digit) => (digit === "f" ? "0" : "f")),
      text.replace(/(?<="transcript_sha256":")./, (digit) => (digit === "0" ? "1" : "0")),
      text.replace('"last_seq":2', '"last_seq":1'),
      text.replace('"size":2', '"size":1'),
      text.replace('"size":2', '"size":3'),
      text.replace('"localhost"', '"elsewhere"'),
      text.replace(conversation.id, other.conversation.id),
      `${text} `,
      "{}",
    ];
    for (const one of changed) {
      const statement = new TextEncoder().encode(one);
      expect(one).not.toBe(text);
      expect(await aliceClient.refusalCode(request(conversation, statement, sign(alice, statement)))).toBe(
        "BAD_RECEIPT",
      );
    }
    const none = { type: "fetch_receipt", conversation: conversation.id, size: 2 } as const;
    expect(await aliceClient.refusalCode(none)).toBe("NOT_FOUND");
  });

  test("are refused unless the file is the member's own fresh signature and nothing else", async () => {
    const { alice, bob, aliceClient, conversation } = await pair();
    const statement = await statementOf(aliceClient, conversation);
    const good = sign(alice, statement);
    const { certificate, key } = bob;
    const bad = [
      sign(bob, statement),
      mergeSignedData(good, sign(bob, statement)),
      countersign(good, alice.certificate.fingerprint, { certificate, key, signingTimeMs: Date.now() }),
      countersign(good, alice.certificate.fingerprint, { ...alice, signingTimeMs: Date.now() }),
      sign(alice, new TextEncoder().encode("something else")),
      sign(alice, statement, Date.now() - 310_000),
      sign(alice, statement, Date.now() + 310_000),
      good.subarray(0, good.length - 1),
      new Uint8Array([...good, 0]),
      new Uint8Array(100),
    ];
    for (const [i, one] of bad.entries())
      expect([i, await aliceClient.refusalCode(request(conversation, statement, one))]).toEqual([
        i,
        "BAD_RECEIPT",
      ]);
    const signature = decodeSignedData(good).signers[0]?.signature;
    if (signature === undefined) throw new Error("no signature");
    const at = Buffer.from(good).indexOf(signature) + signature.length - 1;
    const flipped = good.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    expect(await aliceClient.refusalCode(request(conversation, statement, flipped))).toBe("BAD_RECEIPT");
  });

  test("for strangers are NOT_FOUND", async () => {
    const { aliceClient, conversation } = await pair();
    const statement = await statementOf(aliceClient, conversation);
    const eve = await server.person(`eve${++count}`);
    const client = await server.register(eve);
    expect(await client.refusalCode(request(conversation, statement, sign(eve, statement)))).toBe(
      "NOT_FOUND",
    );
  });
});

test("who asks for too many receipts is told when to come again", async () => {
  const server = await TestServer.create({
    limits: { receiptSignatures: { capacity: 1, refillMs: 60_000 } },
  });
  const { aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  const nothing = new Uint8Array(10);
  const request = {
    type: "sign_receipt",
    conversation: conversation.id,
    statement: nothing,
    signed_data: nothing,
  } as const;
  expect(await aliceClient.refusalCode(request)).toBe("BAD_RECEIPT");
  expect(await aliceClient.refusalCode(request)).toBe("TRY_LATER");
  await server.dispose();
});
