import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeBase64 } from "../../src/base/base64.ts";
import { concatBytes, decodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { decodeEcdsaSignature, encodeEcdsaSignature } from "../../src/crypto/ecdsaSignature.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeAcknowledgeBody } from "../../src/log/bodies.ts";
import { type Entry, formatEntry, parseEntry, signedBytes } from "../../src/log/entry.ts";
import { readCredential } from "../scenario/serverHere.ts";
import { isMessage, patienceMs, quit } from "../scenario/world.ts";
import { TestConversation } from "../server/testConversation.ts";
import { HostileMember } from "./hostileMember.ts";
import { HostilePeers } from "./hostilePeers.ts";

/*
 * The second heading of the original's security tests, test_security_sig_fail.py, under its five names, and more: an entry that its
 * author has signed is changed on its way to a running `serve`.
 */

setDefaultTimeout(patienceMs);

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["victim"]);
});
afterAll(() => peers?.dispose());

/** alice has created the conversation, bob has answered, and alice signs what comes next. */
async function signedMessage() {
  const pair = await peers.pair();
  const { alice, bob, aliceClient, bobClient, conversation } = pair;
  const { entries } = await aliceClient.expect("entries", {
    ...{ type: "fetch_entries", conversation: conversation.id, from: 0, limit: 1 },
  });
  const created = parseEntry(entries[0]?.line ?? "");
  const answer = conversation.sign(bob, "message");
  await conversation.post(bobClient, formatEntry(answer));
  await aliceClient.push("pushed");
  const refused = (line: string, from = aliceClient, others = bobClient) =>
    peers.refusedPost(from, line, { conversation: conversation.id, others });
  const post = async (line: string) => {
    await conversation.post(aliceClient, line);
    expect((await bobClient.push("pushed")).entries.map((one) => one.line)).toEqual([line]);
  };
  return { pair: { ...pair, alice, bob, created, answer }, refused, post };
}

type Pair = Awaited<ReturnType<typeof signedMessage>>["pair"];

/** n of P-256 (FIPS 186-4 §D.1.2.3) */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** @returns (r, n - s), which every ECDSA verifier takes that doesn't ask for the low S */
function highTwin(sig: Uint8Array): Uint8Array {
  const numbers = decodeEcdsaSignature(sig, "p256");
  if (numbers === undefined) throw new Error("no signature");
  const s = order - BigInt(`0x${encodeHex(numbers.s)}`);
  return encodeEcdsaSignature({ r: numbers.r, s: Uint8Array.fromHex(s.toString(16).padStart(64, "0")) });
}

interface Tampering {
  /** The original's name of it where it has one, and what is changed after it was signed. */
  readonly name: string;
  readonly change: (entry: Entry, pair: Pair) => Partial<Entry>;
  readonly code: string;
}

const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

const tamperings: readonly Tampering[] = [
  {
    name: "test_ciphertext_tampering_detected: one bit of the ciphertext",
    change: ({ ct }) => ({ ct: flipped(ct, ct.length - 1) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "another ciphertext of the same length",
    change: ({ ct }) => ({ ct: systemRandom(ct.length) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "test_seqno_tampering_detected: a seqno of one less, which is the one that is next",
    change: (_, { alice, conversation }) => {
      const { seqno } = conversation.sign(alice, "message");
      return { ...conversation.sign(alice, "message", { seqno: seqno + 1 }), seqno };
    },
    code: "BAD_SIGNATURE",
  },
  {
    name: "test_timestamp_tampering_detected: one millisecond of the time",
    change: ({ ts }) => ({ ts: ts - 1 }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "test_signature_tampering_detected: one bit of the signature's number S",
    change: ({ sig }) => ({ sig: flipped(sig, sig.length - 1) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the signature, for its twin with the high S that other programs take",
    change: ({ sig }) => ({ sig: highTwin(sig) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the signature, for the other member's over the same bytes",
    change: (entry, { bob }) => ({ sig: bob.key.sign(signedBytes(entry, entry.ct)) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the signature, for that of the entry before",
    change: (_, { created }) => ({ sig: created.sig }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "bytes behind the signature",
    change: ({ sig }) => ({ sig: concatBytes(sig, Uint8Array.of(0)) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the view, for the prefix before it that its author had seen too",
    change: ({ view }, { conversation }) => ({
      view: { size: view.size - 1, root: conversation.rootAt(view.size - 1) },
    }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the view's root",
    change: ({ view }) => ({ view: { ...view, root: encodeHex(systemRandom(32)) } }),
    code: "BAD_VIEW",
  },
  {
    name: "the kind, for one whose body this could be",
    change: (_, { alice, conversation }) => ({
      ...conversation.sign(alice, "leave"),
      kind: "acknowledge",
      ct: encodeAcknowledgeBody({ disputed: [], unprocessable: [] }),
    }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the commitment",
    change: () => ({ commitment: encodeHex(systemRandom(32)) }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the commitment, for the other member's",
    change: (_, { answer }) => ({ commitment: answer.commitment }),
    code: "BAD_SIGNATURE",
  },
  {
    name: "the epoch",
    change: ({ epoch }) => ({ epoch: epoch + 1 }),
    code: "STALE_EPOCH",
  },
  {
    name: "the sender, for the other member",
    change: (_, { bob }) => ({ sender: bob.certificate.fingerprint }),
    code: "UNKNOWN_SENDER",
  },
];

describe("test_security_sig_fail: serve", () => {
  let scene: Awaited<ReturnType<typeof signedMessage>>;
  beforeAll(async () => {
    scene = await signedMessage();
  });

  test.each(tamperings)("refuses $name", async ({ change, code }) => {
    const { pair, refused, post } = scene;
    const { alice, conversation } = pair;
    const entry = conversation.sign(alice, "message");
    const tampered = formatEntry({ ...entry, ...change(entry, pair) });
    expect(tampered).not.toBe(formatEntry(entry));
    expect(await refused(tampered)).toBe(code);
    // The seqno is still free, and what was signed is taken.
    await post(formatEntry(entry));
  });

  test("test_original_message_verification: takes the line as it was signed, and delivers it as it was signed", async () => {
    const { pair, post } = scene;
    await post(pair.conversation.message(pair.alice));
  });

  test("refuses an entry that its author signed for another conversation of the same two", async () => {
    const { pair, refused } = scene;
    const { alice, bob, aliceClient, bobClient, conversation } = pair;
    const group = new TestConversation(peers, alice, bob);
    await group.post(
      aliceClient,
      await group.create(aliceClient, alice, [bob], { kind: "group", title: "g" }),
    );
    await bobClient.push("pushed");
    // The same seqno, and the view of the one it is moved to: all that differs is what was signed.
    const { seqno, view } = conversation.sign(alice, "message");
    const entry = group.sign(alice, "message", { seqno, view });
    expect(await refused(formatEntry({ ...entry, conversation: conversation.id }))).toBe("BAD_SIGNATURE");
  });

  test("refuses a member's entry that another posts, signed by its author or by the poster", async () => {
    const { pair, refused } = scene;
    const { alice, bob, aliceClient, bobClient, conversation } = pair;
    const entry = conversation.sign(alice, "message");
    expect(await refused(formatEntry(entry), bobClient, aliceClient)).toBe("UNKNOWN_SENDER");
    const bobs = { ...entry, sig: bob.key.sign(signedBytes(entry, entry.ct)) };
    expect(await refused(formatEntry(bobs), bobClient, aliceClient)).toBe("UNKNOWN_SENDER");
  });

  test("refuses text behind a signature, around a line, and every other form of the same entry", async () => {
    const { pair, refused } = scene;
    const line = pair.conversation.message(pair.alice);
    const sig = parseEntry(line).sig;
    const forms = [
      line.replace(/"}$/, 'injected"}'),
      line.replace(/"}$/, '=="}'),
      line.replace(/"}$/, '\\n2|0|x|y|z"}'),
      `${line}\n`,
      ` ${line}`,
      line.replace('{"v":2', '{"v": 2'),
      line.replace('{"v":2', '{"v":2.0'),
      line.replace('"seqno":', '"seqno":0'),
      line.replace(/}$/, ',"x":1}'),
      line.replace('{"v":2', '{"v":2,"v":2'),
      line.replace('{"v":2', '{"\\u0076":2'),
      line.replace(
        encodeBase64(sig),
        encodeBase64(sig).replaceAll("+", "-").replaceAll("/", "_").replace(/=*$/, ""),
      ),
    ];
    for (const form of forms) expect([form, await refused(form)]).toEqual([form, "MALFORMED"]);
  });
});

describe("test_security_sig_fail: connect", () => {
  test("shows no words under another's commitment, disputes them at once, and reads on", async () => {
    const victim = await peers.world.join("victim", peers.port);
    const mallory = await peers.person("mallory");
    const client = await peers.register(mallory);
    const credential = await readCredential(peers.world.path("victim/certs/victim"));
    const member = await HostileMember.begin(peers, mallory, client, { username: "victim", credential });
    await member.say("good day");
    await victim.waitForEvent("the first words", isMessage("good day"));
    victim.type("/to mallory");
    victim.type("what I said");
    await victim.waitForEvent("that it was sent", ({ event }) => event === "sent");
    const [own = ""] = (await member.follow(1)).filter((line) => parseEntry(line).kind === "message");
    const { commitment } = parseEntry(own);
    if (commitment === "-") throw new Error("a message has a commitment");

    const index = await member.say("what the victim is said to have said", commitment);
    await victim.waitForEvent("the warning", ({ event, code }) => event === "warning" && code === "DISPUTED");
    const [dispute = ""] = await member.follow(1);
    expect(parseEntry(dispute).kind).toBe("acknowledge");
    expect(decodeUtf8(parseEntry(dispute).ct)).toBe(`{"disputed":[${index}],"unprocessable":[]}`);
    await member.say("and on");
    await victim.waitForEvent("the next words", isMessage("and on"));

    const { folder, exitCode } = await quit(victim);
    expect(exitCode).toBe(0);
    expect(victim.output).not.toContain("is said to have said");
    const done = await peers.world.run("victim", ["verify", folder, "--json"]);
    expect(done.exitCode).toBe(0);
    expect(JSON.parse(done.stdout)).toMatchObject({ verdict: "valid" });
    expect(done.stdout).toContain("DISPUTED");
  });
});
