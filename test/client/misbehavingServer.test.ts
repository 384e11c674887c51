import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeBody } from "../../src/log/bodies.ts";
import { parseCheckpoint } from "../../src/log/checkpoint.ts";
import { leafHash, parseEntry } from "../../src/log/entry.ts";
import { appendLeaf, emptyFrontier, rootOf } from "../../src/log/merkle.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import type { ServerMessage } from "../../src/wire/sessionMessages.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { TestConversation } from "../server/testConversation.ts";
import { type Person, personOf, type TestServer } from "../server/testServer.ts";
import { disposableServer } from "./disposableServer.ts";
import { type Passing, TamperingServer } from "./tamperingServer.ts";
import { Party } from "./testParty.ts";

let real: TestServer & AsyncDisposable;
let tampering: TamperingServer;
/** Somebody whom nothing is done to: what is said to her shows that everything else goes on. */
let carol: Party;
const people = new Map<Hex, Person>();

beforeAll(async () => {
  const authority = await createTestAuthority({ nowMs: Date.now(), intermediates: true });
  real = await disposableServer({}, { authority });
  tampering = new TamperingServer({
    identity: real.identity,
    ca: real.authority.ca,
    port: () => real.port,
    clients: (fingerprint) => {
      const person = people.get(fingerprint);
      if (person === undefined) throw new Error("nobody has this certificate");
      return person;
    },
  });
  carol = await party("carol");
  await carol.register({ port: tampering.port });
});
afterAll(async () => {
  await carol?.dispose();
  await tampering?.stop();
  await real?.[Symbol.asyncDispose]();
});

async function party(username: string): Promise<Party> {
  const person = await real.newPerson(username);
  people.set(person.certificate.fingerprint, person);
  return new Party(real, person);
}

const login = (one: Party) => one.login({ port: tampering.port });

/** Alice and bob through the server that will misbehave, and bob in a conversation with carol. */
async function scene(name: string) {
  tampering.tamper = undefined;
  const alice = await party(`${name}.a`);
  const bob = await party(`${name}.b`);
  await alice.register({ port: tampering.port });
  await bob.register({ port: tampering.port });
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "first");
  await bob.until(() => bob.texts.length === 1);
  const withCarol = await bob.client.openDirect("carol");
  bob.events.length = 0;
  const dispose = async () => {
    tampering.tamper = undefined;
    await alice.dispose();
    await bob.dispose();
  };
  return { alice, bob, conversation, withCarol, [Symbol.asyncDispose]: dispose };
}

type Scene = Awaited<ReturnType<typeof scene>>;
type MessageOf<T extends ServerMessage["type"]> = Extract<ServerMessage, { type: T }>;

/** Replaces messages of this type to bob, about the conversation with alice where they name one. */
function toBob<T extends ServerMessage["type"]>(
  { bob, conversation }: Pick<Scene, "bob" | "conversation">,
  type: T,
  replace: (message: MessageOf<T>, passing: Passing) => readonly ServerMessage[],
): (passing: Passing) => readonly ServerMessage[] {
  const isOfType = (message: ServerMessage): message is MessageOf<T> => message.type === type;
  return (passing) => {
    const { message, to } = passing;
    const isMeant =
      to === bob.person.certificate.fingerprint &&
      (!("conversation" in message) || message.conversation === conversation);
    return isMeant && isOfType(message) ? replace(message, passing) : [message];
  };
}

const errorsOf = (one: Party) => one.of("error").map(({ code }) => code);

/** The victim has refused with this code, has shown nothing, has told what it keeps, and goes on with everybody else. */
async function expectRefused({ bob, withCarol, conversation }: Scene, code: string): Promise<void> {
  await bob.until(() => errorsOf(bob).length > 0);
  expect(errorsOf(bob)).toEqual([code]);
  const [error] = bob.of("error");
  expect(error).toMatchObject({ conversation, stopped: { to: expect.any(String) } });
  expect(existsSync(error?.stopped?.evidence ?? "")).toBe(true);
  expect(bob.texts).toEqual([]);
  const words = `to carol after ${code}, ${conversation}`;
  await bob.client.send(withCarol, words);
  await carol.until(() => carol.texts.includes(words));
}

/** Both go on in a new conversation, which bob begins. */
async function expectFresh({ alice, bob, conversation }: Scene): Promise<Hex> {
  tampering.tamper = undefined;
  const fresh = await bob.client.fresh(conversation);
  expect(fresh).not.toBe(conversation);
  expect(await bob.client.openDirect(alice.person.username)).toBe(fresh);
  await bob.client.send(fresh, "anew");
  await alice.until(() => alice.texts.includes("anew") && alice.of("replaced").length > 0);
  for (const one of [alice, bob])
    expect(one.of("replaced")).toMatchObject([{ conversation, successor: fresh }]);
  // Alice writes where bob reads, and no longer where he doesn't.
  expect(await alice.client.openDirect(bob.person.username)).toBe(fresh);
  const old = alice.client.send(conversation, "into the void");
  await expect(old).rejects.toMatchObject({ code: "CONVERSATION_REPLACED" });
  await alice.client.send(fresh, "answer");
  await bob.until(() => bob.texts.includes("answer"));
  return fresh;
}

const pushes: [what: string, (here: Scene) => (message: MessageOf<"pushed">) => readonly ServerMessage[]][] =
  [
    [
      "another receive time",
      () => (push) => [{ ...push, entries: push.entries.map((one) => ({ ...one, at: one.at + 1 })) }],
    ],
    [
      "an entry that stands already in the place of a new one",
      ({ alice, conversation }) => {
        const [, first = ""] = alice.transcript(conversation).split("\n");
        const { index: _, ...stored } = JSON.parse(first) as { index: number; at: number };
        const { at, ...entry } = stored;
        return (push) => [{ ...push, entries: [{ at, line: JSON.stringify(entry) }] }];
      },
    ],
    [
      "a checkpoint that nobody has signed",
      () => (push) => {
        const { checkpoint } = push;
        const sig = checkpoint.sig.map((byte, i) => (i === checkpoint.sig.length - 1 ? byte ^ 1 : byte));
        return [{ ...push, checkpoint: { ...checkpoint, sig } }];
      },
    ],
    [
      "a signed checkpoint over another root",
      ({ conversation }) =>
        (push) => {
          const root = push.checkpoint.root.replace(/^./, (digit) => (digit === "0" ? "1" : "0")) as Hex;
          return [{ ...push, checkpoint: tampering.sign(conversation, { ...push.checkpoint, root }) }];
        },
    ],
  ];
for (const [what, replace] of pushes)
  test(`a client that is pushed ${what} takes nothing in, and goes on in a new conversation`, async () => {
    await using here = await scene(`push${pushes.findIndex(([one]) => one === what)}`);
    tampering.tamper = toBob(here, "pushed", replace(here));
    await here.alice.client.send(here.conversation, "never shown");
    await expectRefused(here, "SERVER_MISBEHAVED");
    await expectFresh(here);
  });

test("a client that is sent two entries in the wrong order takes neither in", async () => {
  await using here = await scene("order");
  const { alice, bob, conversation } = here;
  await bob.quit();
  for (const text of ["one", "two"]) await alice.client.send(conversation, text);
  let isSwapping = true;
  tampering.tamper = toBob(here, "entries", (message) => [
    isSwapping ? { ...message, entries: message.entries.toReversed() } : message,
  ]);
  bob.events.length = 0;
  await login(bob);
  await expectRefused(here, "SERVER_MISBEHAVED");
  // With the next connection the server is asked again, and nothing is lost.
  isSwapping = false;
  await bob.quit();
  await login(bob);
  expect(bob.texts).toEqual(["one", "two"]);
});

test("a chain without its issuing CA costs no conversation once the server gives it whole", async () => {
  tampering.tamper = undefined;
  const below = await real.authority.issueIntermediate("Issuing CA");
  const issued = await below.issueUser("below.a", "below.a@example.org");
  const person = personOf(issued, "below.a", "below.a@example.org");
  people.set(person.certificate.fingerprint, person);
  await using alice = new Party(real, person);
  await using bob = await party("below.b");
  await alice.register({ port: tampering.port });
  await bob.register({ port: tampering.port });
  tampering.tamper = ({ message }) =>
    message.type === "certificates"
      ? [{ ...message, chains: message.chains.map((chain) => chain.slice(0, 1)) }]
      : [message];
  const conversation = await alice.client.openDirect("below.b");
  await bob.until(() => errorsOf(bob).includes("SERVER_MISBEHAVED"));
  tampering.tamper = undefined;
  await bob.quit();
  await login(bob);
  await bob.client.send(conversation, "whole again");
  await alice.until(() => alice.texts.includes("whole again"));
});

test("a client whose server withholds an entry that it has signed for says so", async () => {
  await using here = await scene("withheld");
  const { alice, bob, conversation } = here;
  const pushed = toBob(here, "pushed", (push) => (push.from === 2 ? [] : [push]));
  const fetched = toBob(here, "entries", (answer) => [{ ...answer, entries: [] }]);
  tampering.tamper = (passing) => (passing.message.type === "entries" ? fetched(passing) : pushed(passing));
  for (const text of ["kept back", "then this"]) await alice.client.send(conversation, text);
  await expectRefused(here, "SERVER_MISBEHAVED");
  expect(bob.of("error")[0]?.message).toContain("does not send the entries that it has signed for");
});

test("a client whose server drops an entry that it had accepted says so", async () => {
  await using here = await scene("dropped");
  const { bob, conversation } = here;
  await bob.client.send(conversation, "accepted, then dropped");
  const lines = bob.transcript(conversation).trimEnd().split("\n").map(parseTranscriptLine);
  const second = bob.client.comparison(conversation, 2);
  const at = lines[1]?.at ?? 0;
  tampering.tamper = toBob(here, "entries", (answer) => [
    { ...answer, entries: [], checkpoint: tampering.sign(conversation, { size: 2, root: second.root, at }) },
  ]);
  await bob.quit();
  bob.events.length = 0;
  await login(bob);
  expect(errorsOf(bob)).toEqual([]);
  await expect(bob.client.send(conversation, "more")).rejects.toMatchObject({ code: "SERVER_MISBEHAVED" });
  await expectRefused(here, "SERVER_MISBEHAVED");
  expect(bob.of("error")[0]).toMatchObject({ stopped: { unsent: 1 } });
  const fresh = await expectFresh(here);
  expect(bob.client.unsent(fresh)).toEqual(["more"]);
  await Promise.all(bob.client.resend(fresh));
  await here.alice.until(() => here.alice.texts.includes("more"));
  expect(bob.client.unsent(fresh)).toEqual([]);
  expect(bob.of("kept").at(-1)).toMatchObject({ conversation: fresh, text: "more" });
});

test("a signed checkpoint that contradicts what stands stops the conversation for good, and both are kept", async () => {
  await using here = await scene("contradiction");
  const { alice, bob, conversation, withCarol } = here;
  const root = bob.client
    .comparison(conversation, 2)
    .root.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
  const checkpoint = tampering.sign(conversation, { size: 2, root: root as Hex, at: Date.now() });
  tampering.push(bob.person.certificate.fingerprint, {
    type: "pushed",
    conversation,
    from: 2,
    entries: [],
    checkpoint,
  });
  await expectRefused(here, "CONVERSATION_STOPPED");
  const evidence = bob.of("error")[0]?.stopped?.evidence ?? "";
  expect(evidence).toBe(join(bob.folderOf(conversation), "checkpoints.jsonl"));
  const kept = readFileSync(evidence, "utf8").trimEnd().split("\n").map(parseCheckpoint);
  expect(kept.map(({ size }) => size)).toEqual([2, 2]);
  expect(kept[0]?.root).not.toBe(kept[1]?.root);
  // It stays so after a restart; asking for the person says why and begins nothing by itself.
  await bob.quit();
  bob.events.length = 0;
  await login(bob);
  expect(await bob.client.openDirect(alice.person.username)).toBe(conversation);
  expect(bob.of("error")).toMatchObject([{ code: "CONVERSATION_STOPPED", stopped: { evidence } }]);
  await expect(bob.client.send(conversation, "more")).rejects.toMatchObject({ code: "CONVERSATION_STOPPED" });
  await expect(bob.client.fresh(withCarol)).rejects.toMatchObject({ code: "NOT_STOPPED" });
  const fresh = await expectFresh(here);
  // Both know after a restart which one counts, also where a vault was lost; the evidence is untouched.
  await bob.quit();
  await login(bob);
  expect(await bob.client.openDirect(alice.person.username)).toBe(fresh);
  expect(readFileSync(evidence, "utf8").trimEnd().split("\n")).toHaveLength(2);
  await alice.quit();
  await alice.login({ port: tampering.port, vaultFile: join(alice.folder, "new.db") });
  expect(await alice.client.openDirect(bob.person.username)).toBe(fresh);
});

for (const [where, changed] of [
  ["at its end", 2],
  ["before others that can't stand then", 1],
] as const)
  test(`another log, other ${where}, is kept against a server that is asked to repair a transcript`, async () => {
    await using here = await scene(`repair${changed}`);
    const { bob, conversation } = here;
    const file = join(bob.folderOf(conversation), "transcript.jsonl");
    await bob.quit();
    const damaged = `${readFileSync(file, "utf8").split("\n")[0]}\n`;
    writeFileSync(file, damaged);
    tampering.tamper = toBob(here, "entries", (answer) => {
      const entries = answer.entries.map((one, i) => ({ ...one, at: one.at + (i === changed ? 1 : 0) }));
      let frontier = emptyFrontier;
      for (const { at, line } of entries) frontier = appendLeaf(frontier, leafHash(parseEntry(line), at));
      const root = encodeHex(rootOf(frontier));
      const at = entries.at(-1)?.at ?? 0;
      return [
        { ...answer, entries, checkpoint: tampering.sign(conversation, { size: frontier.size, root, at }) },
      ];
    });
    bob.events.length = 0;
    await login(bob);
    // It is read, and found damaged, when it is used.
    await expect(bob.client.send(conversation, "more")).rejects.toThrow();
    await expectRefused(here, "CONVERSATION_STOPPED");
    const evidence = bob.of("error")[0]?.stopped?.evidence ?? "";
    const kept = readFileSync(evidence, "utf8").trimEnd().split("\n").map(parseCheckpoint);
    expect(kept.map(({ size }) => size)).toEqual([3, 3]);
    expect(kept[0]?.root).not.toBe(kept[1]?.root);
    await expectFresh(here);
  });

test("of two who begin anew at once both end up in one conversation", async () => {
  await using here = await scene("race");
  const { alice, bob, conversation } = here;
  const { size, root } = bob.client.comparison(conversation);
  const other = root.replace(/^./, (digit) => (digit === "0" ? "1" : "0")) as Hex;
  const checkpoint = tampering.sign(conversation, { size, root: other, at: Date.now() });
  for (const one of [alice, bob]) {
    const { fingerprint } = one.person.certificate;
    tampering.push(fingerprint, { type: "pushed", conversation, from: size, entries: [], checkpoint });
    await one.until(() => errorsOf(one).includes("CONVERSATION_STOPPED"));
  }
  const [first, second] = await Promise.all([alice, bob].map((one) => one.client.fresh(conversation)));
  if (first === undefined || second === undefined) throw new Error("there are two");
  expect(first).toBe(second);
  await alice.client.send(first, "met again");
  await bob.until(() => bob.texts.includes("met again"));
  for (const one of [alice, bob])
    expect(one.of("replaced")).toMatchObject([{ conversation, successor: first }]);
});

test("a server that holds on to the conversation that it has spoilt is refused for it", async () => {
  await using here = await scene("holding");
  const { alice, bob, conversation } = here;
  const isCreate = ({ request }: Passing) =>
    request?.type === "post" && request.line.includes('"kind":"create"');
  tampering.tamper = (passing) => {
    const { message, request } = passing;
    if (isCreate(passing) && message.type === "accepted" && request !== undefined)
      return [
        { type: "refused", id: request.id, code: "CONVERSATION_EXISTS", message: "no", detail: conversation },
      ];
    const late = toBob(here, "pushed", (push) => [
      { ...push, entries: push.entries.map((one) => ({ ...one, at: one.at + 1 })) },
    ]);
    return late(passing);
  };
  await alice.client.send(conversation, "spoilt");
  await expectRefused(here, "SERVER_MISBEHAVED");
  await expect(bob.client.fresh(conversation)).rejects.toMatchObject({ code: "SERVER_MISBEHAVED" });
  expect(bob.client.conversations().filter(({ name }) => name === alice.person.username)).toHaveLength(1);
});

for (const [what, other] of [
  [
    "a group's",
    async ({ alice, bob }: Scene) => {
      const group = new TestConversation(real, alice.person, bob.person, carol.person);
      const raw = await real.login(alice.person);
      const body = { kind: "group" as const, title: "three of us" };
      await group.post(raw, await group.create(raw, alice.person, [bob.person, carol.person], body));
      raw.close();
      return group.id;
    },
  ],
  ["somebody else's", async ({ alice }: Scene) => alice.client.openDirect("carol")],
] as const)
  test(`a client whose create is answered with ${what} conversation refuses it`, async () => {
    await using here = await scene(`exists${what.length}`);
    const stranger = await party(`exists${what.length}.c`);
    await using third = stranger;
    await third.register({ port: tampering.port });
    const detail = await other(here);
    const { bob, withCarol } = here;
    tampering.tamper = ({ message, request }) =>
      message.type === "accepted" && request?.type === "post" && request.line.includes('"kind":"create"')
        ? [{ type: "refused", id: request.id, code: "CONVERSATION_EXISTS", message: "", detail }]
        : [message];
    const opening = bob.client.openDirect(third.person.username);
    await expect(opening).rejects.toMatchObject({ code: "SERVER_MISBEHAVED" });
    await bob.client.send(withCarol, `on we go, ${detail}`);
    await carol.until(() => carol.texts.includes(`on we go, ${detail}`));
  });

for (const [what, alter] of [
  [
    "another conversation's",
    async ({ bob, withCarol }: Scene) => {
      let other: MessageOf<"countersigned"> | undefined;
      tampering.tamper = ({ message }) => {
        if (message.type === "countersigned") other = message;
        return [message];
      };
      await bob.client.receipt(withCarol);
      if (other === undefined) throw new Error("there is no other receipt");
      const { signed_data } = other;
      return (message: MessageOf<"countersigned">) => ({ ...message, signed_data });
    },
  ],
  [
    "no",
    async () =>
      (message: MessageOf<"countersigned">, { request }: Passing) =>
        request?.type === "sign_receipt" ? { ...message, signed_data: request.signed_data } : message,
  ],
  [
    "a damaged",
    async () => (message: MessageOf<"countersigned">) => ({
      ...message,
      signed_data: message.signed_data.map((byte, i) =>
        i === message.signed_data.length - 9 ? byte ^ 1 : byte,
      ),
    }),
  ],
] as const)
  test(`a receipt that comes back with ${what} countersignature is not kept as one`, async () => {
    await using here = await scene(`receipt${what.length}`);
    const { bob, conversation } = here;
    const change = await alter(here);
    tampering.tamper = toBob(here, "countersigned", (message, passing) => [change(message, passing)]);
    await expect(bob.client.receipt(conversation)).rejects.toMatchObject({ code: "BAD_RECEIPT" });
    expect(bob.of("receipt").filter((one) => one.conversation === conversation)).toEqual([]);
    tampering.tamper = undefined;
    expect(await bob.client.receipt(conversation)).toMatchObject({ countersigned: true });
  });

test("a receipt that nobody asked for changes nothing unless all of its signatures are good", async () => {
  await using here = await scene("pushed-receipt");
  const { alice, bob, conversation, withCarol } = here;
  const { size } = await bob.client.receipt(conversation);
  const other = await bob.client.receipt(withCarol);
  const file = join(bob.folderOf(conversation), "receipt.p7s");
  const kept = readFileSync(file);
  const bad = [
    new Uint8Array(readFileSync(join(other.folder, "receipt.p7s"))),
    new Uint8Array(kept.map((byte, i) => (i === kept.length - 9 ? byte ^ 1 : byte))),
    systemRandom(300),
    new Uint8Array(1),
  ];
  const refusals = () => bob.of("warning").filter(({ code }) => code === "RECEIPT_REFUSED");
  for (const [i, signed_data] of bad.entries()) {
    tampering.push(bob.person.certificate.fingerprint, { type: "receipt", conversation, size, signed_data });
    await bob.until(() => refusals().length > i);
    expect(readFileSync(file)).toEqual(kept);
  }
  await bob.client.send(conversation, "on we go");
  await alice.until(() => alice.texts.includes("on we go"));
  expect(refusals()).toHaveLength(bad.length);
});

test("a client that is given another blob than an entry names joins nothing with it", async () => {
  await using here = await scene("blob");
  const { alice, bob } = here;
  const dora = await party("blob.d");
  await using _ = dora;
  await dora.register({ port: tampering.port });
  tampering.tamper = ({ message, to }) =>
    message.type === "blob" && to === dora.person.certificate.fingerprint
      ? [{ ...message, data: message.data.map((byte, i) => (i === 100 ? byte ^ 1 : byte)) }]
      : [message];
  await alice.client.openDirect(dora.person.username);
  await dora.until(() => errorsOf(dora).length > 0);
  expect(errorsOf(dora)).toEqual(["SERVER_MISBEHAVED"]);
  expect(dora.client.conversations()).toEqual([]);
  const withBob = await dora.client.openDirect(bob.person.username);
  await dora.client.send(withBob, "this one is good");
  await bob.until(() => bob.texts.includes("this one is good"));
});

test("a client that is handed the key package of somebody else begins nothing", async () => {
  await using here = await scene("package");
  const { alice, bob, conversation } = here;
  const dora = await party("package.d");
  await using _ = dora;
  await dora.register({ port: tampering.port });
  const raw = await real.login(alice.person);
  const other = await raw.expect("key_packages", { type: "fetch_key_packages", username: "carol" });
  raw.close();
  tampering.tamper = ({ message }) =>
    message.type === "key_packages" ? [{ ...message, packages: other.packages }] : [message];
  const opening = bob.client.openDirect(dora.person.username);
  await expect(opening).rejects.toMatchObject({ code: "CERTIFICATE_REFUSED" });
  expect(bob.client.conversations().map(({ name }) => name)).not.toContain(dora.person.username);
  await bob.client.send(conversation, "to alice all the same");
});

test("what a conversation was about to do when it broke costs no words that were typed since", async () => {
  await using here = await scene("overtaken");
  const { alice, bob, conversation } = here;
  await bob.quit();
  const [first = ""] = alice.transcript(conversation).split("\n");
  const create = decodeBody(parseTranscriptLine(first).entry);
  if (create.kind !== "create") throw new Error("it does not begin with a create");
  // A device that is new comes back by the GroupInfo, and the server is slow to send it that.
  const vaultFile = join(bob.folder, "new.db");
  const { fingerprint } = bob.person.certificate;
  const held: ServerMessage[] = [];
  let asked = 0;
  tampering.tamper = toBob(here, "blob", (message) => {
    if (message.sha256 !== create.body.group || ++asked === 1) return [message];
    held.push(message);
    return [];
  });
  const arrived = bob.login({ port: tampering.port, vaultFile }).catch(() => undefined);
  await waitFor(() => held.length === 1);
  const entries = [{ at: 0, line: "no entry" }];
  const checkpoint = tampering.sign(conversation, { size: 4, root: create.body.group, at: Date.now() });
  tampering.push(fingerprint, { type: "pushed", conversation, from: 3, entries, checkpoint });
  await bob.until(() => errorsOf(bob).includes("SERVER_MISBEHAVED"));
  const sending = bob.client.send(conversation, "typed since").catch(() => undefined);
  await bob.until(() => bob.of("kept").length > 0);
  await waitFor(() => held.length === 2);
  const [late] = held;
  if (late !== undefined) tampering.push(fingerprint, late);
  await Bun.sleep(200);
  bob.client.close();
  await Promise.all([sending, arrived]);
  tampering.tamper = undefined;
  await bob.login({ port: tampering.port, vaultFile });
  await bob.client.send(conversation, "typed last");
  await alice.until(() => alice.texts.includes("typed last"));
  expect(alice.texts).toEqual(["typed since", "typed last"]);
});

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(5);
}
