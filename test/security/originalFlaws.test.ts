import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBase64 } from "../../src/base/base64.ts";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { formatEntry, parseEntry } from "../../src/log/entry.ts";
import { isMessage, patienceMs, quit } from "../scenario/world.ts";
import { HostilePeers } from "./hostilePeers.ts";
import { HostileServer } from "./hostileServer.ts";

/*
 * The other attacks that work on the original SecureChat, made on the running executables: they fail here.
 */

setDefaultTimeout(patienceMs);

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["alice", "bob"]);
  for (const name of ["alice", "bob"])
    expect((await peers.chat(name, peers.port, ["--register"])).exitCode).toBe(0);
});
afterAll(() => peers?.dispose());

/** Every byte that the server has kept or logged. */
function serverBytes(): Buffer {
  const folder = peers.world.path("server");
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  return Buffer.concat([
    ...files.map((one) => readFileSync(join(one.parentPath, one.name))),
    Buffer.from(peers.server.output),
  ]);
}

test("flaw 2, impersonation with somebody's signed messages: nobody else can post them, nor anywhere else", async () => {
  const { alice, bobClient, aliceClient, conversation } = await peers.pair();
  const line = conversation.message(alice);
  const onlookers = { conversation: conversation.id, others: aliceClient };
  expect(await peers.refusedPost(bobClient, line, onlookers)).toBe("UNKNOWN_SENDER");
  const thief = await peers.person(`${alice.username}x`);
  const identity = { chain: alice.chain, key: thief.key };
  expect((await peers.refusedHandshake(identity)).alert).toBe("decrypt_error");
  const other = await peers.pair();
  const moved = formatEntry({ ...parseEntry(line), conversation: other.conversation.id });
  const elsewhere = { conversation: other.conversation.id, others: other.bobClient };
  expect(await peers.refusedPost(aliceClient, moved, elsewhere)).toBe("UNKNOWN_SENDER");
  await conversation.post(aliceClient, line);
});

test("flaw 3, no proof of possession: a copy of a certificate and the password are not enough", async () => {
  const carol = await peers.person("carol");
  await peers.register(carol);
  const before = peers.kept();
  const { key } = await peers.person("thief");
  expect((await peers.refusedHandshake({ chain: carol.chain, key })).alert).toBe("decrypt_error");
  expect(peers.kept()).toEqual(before);
});

test("flaw 4, a server with any user's certificate: the client goes before it says who it is", async () => {
  const bob = await peers.authority.issueUser("bob.local");
  using impostor = new HostileServer(bob, peers.authority.ca);
  const done = await peers.chat("alice", impostor.port, ["--login"]);
  expect([done.exitCode, done.stderr]).toEqual([1, expect.stringContaining("(SERVER_CERTIFICATE)")]);
  expect(await impostor.encounters()).toEqual([{ kind: "refused", alert: "bad_certificate", frames: 2 }]);
});

describe("flaw 5, passwords:", () => {
  test("none is kept or logged, nor a fast hash of one", async () => {
    const dora = await peers.person("dora");
    await peers.register(dora);
    const kept = serverBytes();
    const { password } = dora;
    expect(kept.includes(dora.email)).toBe(true);
    for (const form of [encodeUtf8(password), crypto().sha256(encodeUtf8(password))])
      for (const text of [Buffer.from(form), encodeBase64(form), Buffer.from(form).toString("hex")])
        expect(kept.includes(text)).toBe(false);
    expect(peers.kept()["table users"]?.filter((row) => !row.includes("$argon2id$v=19$m=19456,t=2"))).toEqual(
      [],
    );
  });

  test("a weak one and a hash in its place are refused, and guesses have to wait", async () => {
    const eve = await peers.person("eve");
    const client = await peers.dial(eve);
    const { email, username } = eve;
    const before = peers.kept();
    for (const password of ["short", "1234567", username, email])
      expect([password, await client.refusalCode({ type: "register", email, username, password })]).toEqual([
        password,
        "WEAK_PASSWORD",
      ]);
    expect(peers.kept()).toEqual(before);
    const id = 1_000;
    const original = { type: "register", id, email, username, pwd: "aGFzaA==", salt: "" };
    client.sendBytes(encodeUtf8(JSON.stringify(original)));
    expect(await client.ended).toBe("decode_error");
    expect(peers.kept()).toEqual(before);

    await peers.register(eve);
    const guessing = await peers.dial(eve);
    const answers: string[] = [];
    for (let guess = 0; guess < 7; guess++)
      answers.push(await guessing.refusalCode({ type: "login", email, password: `guess number ${guess}` }));
    expect(answers.slice(0, 5)).toEqual(new Array(5).fill("AUTHENTICATION_FAILED"));
    expect(answers.at(-1)).toBe("TRY_LATER");
  });

  test("nobody learns who has an account, nor anything about the database", async () => {
    const [frank, grace] = [await peers.person("frank"), await peers.person("grace")];
    await peers.register(frank);
    const answerTo = async (person: typeof frank) => {
      const client = await peers.dial(person);
      return client.refusal({ type: "login", email: person.email, password: "not the password" });
    };
    expect(await answerTo(frank)).toEqual(await answerTo(grace));
    // Of others neither: the certificate is compared first.
    const client = await peers.dial(grace);
    const probe = (email: string) =>
      client.refusal({ type: "register", email, username: "grace", password: "long enough" });
    expect(await probe(frank.email)).toEqual(await probe("nobody@example.org"));
    const quoted = {
      type: "login",
      email: "grace@example.org",
      password: "'; DROP TABLE users; --",
    } as const;
    expect((await client.refusal(quoted)).message).not.toMatch(
      /sql|sqlite|postgres|select|table|column|host/i,
    );
  });
});

test("flaw 6, accounts without a certificate: an account opens for its own only, the CA's and the server's for none", async () => {
  const [heidi, ivan] = [await peers.person("heidi"), await peers.person("ivan")];
  await peers.register(heidi);
  const client = await peers.dial(ivan);
  const before = peers.kept();
  const { email, password } = heidi;
  expect(await client.refusalCode({ type: "login", email, password })).toBe("IDENTITY_MISMATCH");
  const { ca, caKey } = peers.authority;
  expect((await peers.refusedHandshake({ chain: [ca.der], key: caKey })).alert).toBe("bad_certificate");
  const { certificate, key } = peers.identity;
  expect((await peers.refusedHandshake({ chain: [certificate.der], key })).alert).toBe("bad_certificate");
  expect(peers.kept()).toEqual(before);
});

describe("a talk of real clients", () => {
  const words = "AAAAAAAAAAAAAAAA".repeat(64);
  const hostile = "\u001b]0;owned\u0007 [INFO] forged line, \u202ereversed";
  let transcript: string;
  let folder: string;

  beforeAll(async () => {
    const bob = await peers.world.join("bob", peers.port, { register: false });
    const alice = await peers.world.join("alice", peers.port, { register: false, to: "bob" });
    for (const text of [words, words, hostile]) alice.type(text);
    await bob.waitForEvent("the last words", isMessage(hostile));
    await quit(bob);
    ({ folder } = await quit(alice));
    transcript = readFileSync(peers.world.path("alice", folder, "transcript.jsonl"), "utf8");
  });

  test("flaw 8, equal blocks: equal messages and equal blocks have nothing in common", () => {
    const messages = transcript
      .trimEnd()
      .split("\n")
      .flatMap((line) => {
        const { kind, ct } = JSON.parse(line) as { kind: string; ct: string };
        return kind === "message" ? [Buffer.from(ct, "base64")] : [];
      });
    const blocks = messages.flatMap((ct) =>
      Array.from({ length: Math.floor(ct.length / 16) }, (_, i) =>
        ct.subarray(16 * i, 16 * i + 16).toString("hex"),
      ),
    );
    expect(messages.length).toBeGreaterThanOrEqual(3);
    expect(blocks.length).toBeGreaterThan(128);
    expect(new Set(blocks).size).toBe(blocks.length);
  });

  test("flaw 11, receipts that prove nothing: the server signs no other range, no empty log and no junk", async () => {
    const { alice, aliceClient, bobClient, conversation } = await peers.pair();
    const statement = readFileSync(peers.world.path("alice", folder, "receipt.json"));
    const signed_data = new Uint8Array(readFileSync(peers.world.path("alice", folder, "receipt.p7s")));
    const receipts = () => peers.kept()["table receipts"];
    const before = receipts();
    const { id } = conversation;
    const tried = [
      statement,
      encodeUtf8(statement.toString().replace(/"conversation":"[^"]*"/, `"conversation":"${id}"`)),
      encodeUtf8('{"first_seq":77,"last_seq":77}'),
      encodeUtf8("junk"),
    ];
    for (const one of tried)
      for (const signature of [signed_data, encodeUtf8("junk")])
        for (const client of [aliceClient, bobClient])
          expect(
            await client.refusalCode({
              ...{ type: "sign_receipt", conversation: id, signed_data: signature },
              statement: new Uint8Array(one),
            }),
          ).toBe("BAD_RECEIPT");
    expect(receipts()).toEqual(before);
    await conversation.post(aliceClient, conversation.message(alice));
  });

  test("flaw 13, words in the log of the server: it has none of them, and no line that somebody else wrote", () => {
    const kept = serverBytes();
    for (const text of [words.slice(0, 32), "owned", "forged line", "reversed"])
      expect([text, kept.includes(text)]).toEqual([text, false]);
    const form = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[(INFO|WARNING|ERROR)\] [^\p{Cc}]+$/u;
    expect(peers.server.output.split("\n").filter((line) => !form.test(line))).toEqual([]);
  });
});

test("flaw 9, a forged seqno that locks the author out: one of 10^15, unsigned or signed, moves nothing", async () => {
  const { alice, aliceClient, bobClient, conversation } = await peers.pair();
  const onlookers = { conversation: conversation.id, others: bobClient };
  const entry = conversation.sign(alice, "message");
  for (const seqno of [10 ** 15, Number.MAX_SAFE_INTEGER]) {
    const unsigned = formatEntry({ ...entry, seqno, sig: new Uint8Array(64) });
    expect(await peers.refusedPost(aliceClient, unsigned, onlookers)).toBe("GAP");
    const signed = conversation.message(alice, { seqno });
    expect(await peers.refusedPost(aliceClient, signed, onlookers)).toBe("GAP");
  }
  const unsigned = formatEntry({ ...entry, sig: new Uint8Array(64) });
  expect(await peers.refusedPost(aliceClient, unsigned, onlookers)).toBe("BAD_SIGNATURE");
  await conversation.post(aliceClient, formatEntry(entry));
});

test("flaw 10, no freshness: old and early times are refused, and a message can't be left out unnoticed", async () => {
  const { alice, aliceClient, bobClient, conversation } = await peers.pair();
  const onlookers = { conversation: conversation.id, others: bobClient };
  for (const ts of [0, Date.now() - 301_000, Date.now() + 301_000]) {
    const line = conversation.message(alice, { ts });
    expect(await peers.refusedPost(aliceClient, line, onlookers)).toBe("CLOCK");
  }
  const negative = conversation.message(alice).replace(/"ts":\d+/, '"ts":-5');
  expect(await peers.refusedPost(aliceClient, negative, onlookers)).toBe("MALFORMED");
  // Whoever leaves her second message out on its way can't have the third taken in its place.
  const [second, third] = [2, 3].map((seqno) => conversation.message(alice, { seqno })) as [string, string];
  expect(await peers.refusedPost(aliceClient, third, onlookers)).toBe("GAP");
  await conversation.post(aliceClient, second);
  await conversation.post(aliceClient, third);
});

test("flaw 12, text behind a signature: there is no second form of a line that would get into a transcript", async () => {
  const { alice, aliceClient, bobClient, conversation } = await peers.pair();
  const onlookers = { conversation: conversation.id, others: bobClient };
  const line = conversation.message(alice);
  for (const behind of ["injected", "=\n2|1|x|y|z", "===="]) {
    const injected = line.replace(/"}$/, `${JSON.stringify(behind).slice(1, -1)}"}`);
    expect(await peers.refusedPost(aliceClient, injected, onlookers)).toBe("MALFORMED");
  }
  await conversation.post(aliceClient, line);
  expect((await bobClient.push("pushed")).entries.map((one) => one.line)).toEqual([line]);
});
