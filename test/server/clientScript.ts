import { expect } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import { parseEntry } from "../../src/log/entry.ts";
import { formatTranscriptLine } from "../../src/log/transcript.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../src/pki/cms/verifySigner.ts";
import type { RawClient } from "./rawClient.ts";
import { TestConversation } from "./testConversation.ts";
import { newKeyPackage, type Person, type TestServer } from "./testServer.ts";

/** Refused as UNAVAILABLE it asks for the very same again, as a client does that wants it done. */
function insistent(client: RawClient): RawClient {
  const once = client.expect.bind(client);
  client.expect = async (type, request) => {
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = await client.request(request);
      if (answer.type !== "refused" || answer.code !== "UNAVAILABLE") {
        // The account was made, and only its answer was lost.
        if (
          answer.type === "refused" &&
          answer.code === "TAKEN" &&
          attempt > 0 &&
          request.type === "register"
        )
          return once(type, { type: "login", email: request.email, password: request.password });
        if (answer.type !== type) throw new Error(`${request.type} was answered: ${JSON.stringify(answer)}`);
        return answer as Awaited<ReturnType<typeof once<typeof type>>>;
      }
    }
    throw new Error(`${request.type} stays UNAVAILABLE`);
  };
  return client;
}

/** Everything that clients do with a server, step by step; afterwards it is looked at what stands. */
export class ClientScript {
  readonly #server: TestServer;
  readonly #conversation: TestConversation;
  readonly #clients = new Map<Person, RawClient>();
  readonly #tickets = new Map<Person, Uint8Array>();
  readonly #handedOut: string[] = [];
  readonly #lines: string[] = [];
  readonly #people: readonly [Person, Person, Person];

  constructor(server: TestServer, people: readonly [Person, Person, Person]) {
    this.#server = server;
    this.#people = people;
    this.#conversation = new TestConversation(server, ...people);
  }

  get steps(): readonly (() => Promise<unknown>)[] {
    const [alice, bob, carol] = this.#people;
    const conversation = this.#conversation;
    return [
      () => this.#enter(alice),
      () => this.#enter(bob),
      () => this.#publish(bob),
      () => this.#take(alice, "bob"),
      () => this.#take(alice, "bob"),
      async () => this.#post(alice, await conversation.create(this.#client(alice), alice, [bob])),
      () => this.#post(alice, conversation.message(alice)),
      () => this.#burst(alice, bob),
      async () => this.#post(alice, await conversation.commit(this.#client(alice), alice)),
      () => this.#post(bob, conversation.message(bob)),
      () => this.#look(bob),
      () => this.#sign(alice),
      () => this.#sign(bob),
      () => this.#tell(bob),
      () => this.#enter(carol),
      () => this.#resume(carol),
      () => this.#renew(carol),
      () => this.#release(bob),
    ];
  }

  async check(): Promise<void> {
    const [alice, bob] = this.#people;
    // Handed out once each.
    expect(new Set(this.#handedOut).size).toBe(2);
    // Each entry once, in one order, under the root that was signed.
    const { entries, checkpoint } = await this.#client(alice).expect("entries", this.#page());
    expect(entries.map(({ line }) => line)).toEqual(this.#lines);
    const { size, root } = this.#conversation.state;
    expect([checkpoint.size, checkpoint.root]).toEqual([size, root]);
    // Who is online was told of all of it, without asking.
    const told = new Map<number, string>();
    for (const { type, ...message } of this.#client(bob).received) {
      if (type === "pushed" && "entries" in message && "from" in message)
        for (const [i, { line }] of message.entries.entries()) told.set(message.from + i, line);
      if (type === "accepted" && "index" in message)
        told.set(message.index, this.#lines[message.index] ?? "");
    }
    expect([...told].sort(([a], [b]) => a - b)).toEqual([...this.#lines.entries()]);
    // Both members' signatures, each once, countersigned.
    const { signed_data } = await this.#client(bob).expect("countersigned", {
      type: "fetch_receipt",
      conversation: this.#conversation.id,
      size,
    });
    const { signers } = decodeSignedData(signed_data);
    const statement = await this.#statement(alice);
    for (const signer of signers) verifySigner(signer, statement);
    const members = [alice, bob].map(({ certificate }) => certificate.fingerprint);
    expect(signers.map(({ fingerprint }) => fingerprint).sort()).toEqual(
      [...members, this.#server.identity.certificate.fingerprint].sort(),
    );
    for (const { fingerprint, counterSignatures } of signers)
      expect(counterSignatures).toHaveLength(members.includes(fingerprint) ? 1 : 0);
  }

  #client(person: Person): RawClient {
    const client = this.#clients.get(person);
    if (client === undefined) throw new Error(`${person.username} is not connected`);
    return client;
  }

  async #enter(person: Person): Promise<void> {
    const { email, username, password } = person;
    const client = insistent(await this.#server.dial(person));
    this.#clients.set(person, client);
    const { ticket } = await client.expect("authenticated", { type: "register", email, username, password });
    this.#tickets.set(person, ticket);
  }

  /** On a new connection each time, for one is resumed to once. */
  async #resume(person: Person): Promise<void> {
    const ticket = this.#tickets.get(person) ?? new Uint8Array(0);
    for (let attempt = 0; attempt < 3; attempt++) {
      const client = insistent(await this.#server.dial(person));
      const answer = await client.request({ type: "resume", ticket });
      if (answer.type === "refused" && answer.code === "UNAVAILABLE") continue;
      expect(answer.type).toBe("authenticated");
      this.#clients.set(person, client);
      // From here on it is known to have the next ticket.
      await client.expect("pong", { type: "ping" });
      return;
    }
    throw new Error("resume stays UNAVAILABLE");
  }

  async #tell(person: Person): Promise<void> {
    const marks = [{ conversation: this.#conversation.id, size: this.#lines.length }];
    await this.#client(person).expect("delivery_marks", { type: "delivered", marks });
  }

  /** The two may begin another one now, and do. */
  async #release(person: Person): Promise<void> {
    const [alice, bob] = this.#people;
    const client = this.#client(person);
    await client.expect("pair_released", { type: "release_pair", conversation: this.#conversation.id });
    const next = new TestConversation(this.#server, ...this.#people);
    const line = await next.create(client, bob, [alice]);
    await client.expect("accepted", { type: "post", line });
  }

  async #renew(person: Person): Promise<void> {
    const { username, email, password, issued } = person;
    const renewed = await this.#server.authority.issueUser(username, email, { pkcs8: issued.pkcs8 });
    const client = insistent(await this.#server.dial(renewed));
    await client.expect("authenticated", { type: "login", email, password });
    expect(this.#server.running.sessions).toBe(3);
  }

  async #publish(person: Person): Promise<void> {
    const packages = await Promise.all([newKeyPackage(person.device), newKeyPackage(person.device)]);
    const lastResort = await newKeyPackage(person.device, { lastResort: true });
    const published = await this.#client(person).expect("published", {
      type: "publish_key_packages",
      packages: packages.map(({ publicPackage }) => publicPackage),
      last_resort: lastResort.publicPackage,
    });
    expect(published).toMatchObject({ one_time: 2, last_resort: true });
  }

  async #take(person: Person, username: string): Promise<void> {
    const { packages } = await this.#client(person).expect("key_packages", {
      type: "fetch_key_packages",
      username,
    });
    expect(packages).toHaveLength(1);
    for (const one of packages) this.#handedOut.push(encodeHex(one.package));
  }

  async #post(person: Person, line: string): Promise<void> {
    await this.#conversation.post(this.#client(person), line);
    this.#lines.push(line);
  }

  /** Posts of two at a time: what is refused with one batch may stand with the next. */
  async #burst(alice: Person, bob: Person): Promise<void> {
    const conversation = this.#conversation;
    const { size, root } = conversation.state;
    const view = { size, root };
    const first = conversation.state.senders.get(alice.certificate.fingerprint)?.lastSeqno ?? 0;
    const posts = [
      { person: alice, line: conversation.message(alice, { view, seqno: first + 1 }) },
      { person: bob, line: conversation.message(bob, { view, seqno: 1 }) },
    ];
    const answers = await Promise.all(
      posts.map(async ({ person, line }) => ({
        line,
        ...(await this.#client(person).expect("accepted", { type: "post", line })),
      })),
    );
    for (const { line, at } of answers.sort((a, b) => a.index - b.index)) {
      conversation.take(line, at);
      this.#lines.push(line);
    }
  }

  async #look(person: Person): Promise<void> {
    const client = this.#client(person);
    const { id } = this.#conversation;
    const list = await client.expect("conversations", { type: "list_conversations", after: null });
    expect(list.conversations).toEqual([{ conversation: id, size: this.#lines.length }]);
    expect((await client.expect("entries", this.#page())).entries).toHaveLength(this.#lines.length);
    const fingerprints = this.#people.map(({ certificate }) => certificate.fingerprint);
    const chains = await client.expect("certificates", { type: "fetch_certificates", fingerprints });
    expect(chains.chains).toHaveLength(2);
    const [create = ""] = this.#lines;
    const { group } = JSON.parse(new TextDecoder().decode(parseEntry(create).ct));
    const blob = await client.expect("blob", { type: "fetch_blob", sha256: group, offset: 0 });
    expect(blob.size).toBe(blob.data.length);
    await client.expect("logs_noted", { type: "logs_returned" });
  }

  #page() {
    return { type: "fetch_entries", conversation: this.#conversation.id, from: 0, limit: 256 } as const;
  }

  async #statement(person: Person): Promise<Uint8Array> {
    const { entries } = await this.#client(person).expect("entries", this.#page());
    const hash = crypto().sha256Stream();
    for (const [index, { at, line }] of entries.entries())
      hash.update(
        new TextEncoder().encode(`${formatTranscriptLine({ entry: parseEntry(line), index, at })}\n`),
      );
    return buildStatement({ state: this.#conversation.state, sha256: encodeHex(hash.digest()) });
  }

  async #sign(person: Person): Promise<void> {
    const statement = await this.#statement(person);
    const { certificate, key } = person;
    const signed = signDetached({
      content: statement,
      certificate,
      key,
      signingTimeMs: Date.now(),
      includeCertificates: [],
    });
    const conversation = this.#conversation.id;
    await this.#client(person).expect("countersigned", {
      type: "sign_receipt",
      conversation,
      statement,
      signed_data: signed,
    });
  }
}
