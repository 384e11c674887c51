import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hex } from "../../src/base/hex.ts";
import {
  type ClientEvent,
  type OperatorClient,
  type OperatorOptions,
  openOperatorClient,
} from "../../src/client/client.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import type { Issued } from "../pki/testAuthority.ts";
import { newDevice, newKeyPackage, TestServer } from "../server/testServer.ts";
import { overriding } from "./overriding.ts";
import { Party } from "./testParty.ts";

/** The server's operator, with a folder of its own. */
class OperatorParty {
  readonly folder = mkdtempSync(join(tmpdir(), "securechat-operator-"));
  readonly events: ClientEvent[] = [];
  readonly #server: TestServer;
  client: OperatorClient | undefined;
  #waiting: (() => void)[] = [];

  constructor(server: TestServer) {
    this.#server = server;
  }

  async open(identity: Issued = this.#server.identity, over: Partial<OperatorOptions> = {}) {
    const { chain, key } = identity;
    const client = await openOperatorClient({
      chain,
      key,
      anchors: [this.#server.authority.ca],
      vaultFile: join(this.folder, "vault.db"),
      transcriptsFolder: join(this.folder, "transcripts"),
      history: true,
      random: systemRandom,
      now: Date.now,
      attach: () => this.#server.running.attachOperator(),
      onEvent: (event) => {
        this.events.push(event);
        for (const wake of this.#waiting.splice(0)) wake();
      },
      ...over,
    });
    this.client = client;
    return client;
  }

  async attach(identity?: Issued): Promise<OperatorClient> {
    const client = await this.open(identity);
    await client.attach();
    return client;
  }

  /** Resolves with the first event for which the condition holds. */
  async until(condition: (event: ClientEvent) => boolean): Promise<ClientEvent> {
    for (;;) {
      const found = this.events.find(condition);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  message(text: string): Promise<ClientEvent> {
    return this.until((event) => event.event === "message" && event.text === text);
  }

  folderOf(conversation: Hex): string {
    const found = this.client?.conversations().find((one) => one.conversation === conversation);
    return join(this.folder, "transcripts", found?.folder ?? "");
  }

  async dispose(): Promise<void> {
    this.client?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The conversation of a party that has one. */
function only({ client }: Party): Hex {
  const [first] = client.conversations();
  if (first === undefined) throw new Error("no conversation");
  return first.conversation;
}

describe("the server's operator", () => {
  let server: TestServer;
  let operator: OperatorParty;
  let alice: Party;
  beforeAll(async () => {
    server = await TestServer.create();
    operator = new OperatorParty(server);
    alice = new Party(server, await server.person("alice"));
  });
  afterAll(async () => {
    await alice?.dispose();
    await operator?.dispose();
    await server?.dispose();
  });

  test("is offered by the login only once it has been there", async () => {
    const client = await alice.register();
    expect(client.operator).toBeUndefined();
    await alice.quit();
    await operator.attach();
    expect((await alice.login()).operator).toEqual({
      name: "localhost",
      fingerprint: server.identity.certificate.fingerprint,
    });
  });

  test("talks with a member in a conversation of two, as any other", async () => {
    const conversation = await alice.client.openDirect("localhost");
    await alice.client.send(conversation, "is anybody there?");
    const asked = await operator.message("is anybody there?");
    expect(asked).toMatchObject({ conversation, to: "alice", from: "alice" });
    await operator.client?.send(conversation, "the operator is");
    await alice.until(() => alice.texts.includes("the operator is"));
    expect(alice.of("operator")).toMatchObject([
      { conversation, name: "localhost", fingerprint: server.identity.certificate.fingerprint },
    ]);
    const members = alice.client.members(conversation);
    expect(members.map(({ username, email }) => [username, email])).toEqual([
      ["alice", "alice@example.org"],
      ["localhost", ""],
    ]);
  });

  test("is found again without a connection, as anybody is whom one has talked to", async () => {
    const conversation = only(alice);
    const lost = new Party(server, await server.person("dora"));
    const policy = { delayMs: () => 3_600_000, endingPatienceMs: 0 };
    const client = await lost.register({ reconnect: policy });
    const own = await client.openDirect("localhost");
    lost.link.cut();
    await lost.until(() => lost.of("connection").length > 0);
    expect(await client.openDirect("localhost")).toBe(own);
    expect(own).not.toBe(conversation);
    client.close();
    await lost.dispose();
  });

  test("has its signature in a receipt once, beside the member's", async () => {
    const conversation = only(alice);
    const mine = await alice.client.receipt(conversation);
    const own = await operator.client?.receipt(conversation);
    expect(own).toMatchObject({ size: mine.size, countersigned: true });
    const file = readFileSync(join(operator.folderOf(conversation), "receipt.p7s"));
    const signers = decodeSignedData(file).signers.map((signer) => [
      signer.fingerprint,
      signer.counterSignatures.length,
    ]);
    expect(new Map(signers as [Hex, number][])).toEqual(
      new Map([
        [server.identity.certificate.fingerprint, 0],
        [alice.person.certificate.fingerprint, 1],
      ]),
    );
    expect(signers).toHaveLength(2);
  });

  test("finds what came while it was away", async () => {
    operator.client?.close();
    const conversation = only(alice);
    await alice.client.send(conversation, "while you were out");
    await operator.attach();
    await operator.message("while you were out");
  });

  test("comes back under a renewed certificate over the same key, in the place of the old one", async () => {
    operator.client?.close();
    const { pkcs8 } = server.identity;
    const renewed = await server.authority.issueServer(["localhost", "127.0.0.1"], { pkcs8 });
    await server.running.replaceIdentity(renewed);
    await alice.quit();
    // Nobody has been there under the new certificate yet.
    expect((await alice.login()).operator).toBeUndefined();
    const conversation = only(alice);
    await operator.attach(renewed);
    await alice.client.send(conversation, "with which certificate?");
    await operator.message("with which certificate?");
    await operator.client?.send(conversation, "with the new one");
    await alice.until(() => alice.texts.includes("with the new one"));
    expect(alice.client.members(conversation).map(({ fingerprint }) => fingerprint)).toEqual([
      alice.person.certificate.fingerprint,
      renewed.certificate.fingerprint,
    ]);
    expect(alice.of("warning").map(({ code }) => code)).toContain("NEW_CERTIFICATE");
    expect(alice.of("membership").map(({ action }) => action)).toContain("rejoin");
    expect(await alice.client.receipt(conversation)).toMatchObject({ countersigned: true });
  });

  test("gives way to a second session of its own", async () => {
    const second = server.running.attachOperator();
    await operator.until((event) => event.event === "closed" && event.code === "REPLACED");
    second.close();
  });
});

describe("who is not the operator", () => {
  let server: TestServer;
  const parties: (Party | OperatorParty)[] = [];
  afterEach(async () => {
    for (const party of parties.splice(0)) await party.dispose();
    await server?.dispose();
  });

  test("nobody registers or logs in under a name of the server", async () => {
    server = await TestServer.create();
    const impostor = await server.person("localhost");
    const { email, username, password } = impostor;
    const client = await server.dial(impostor);
    for (const request of [
      { type: "register", email, username, password },
      { type: "login", email, password },
    ] as const)
      expect(await client.request(request)).toMatchObject({ type: "refused", code: "IDENTITY_MISMATCH" });
  });

  test("nobody comes in over the network under the server's certificate", async () => {
    server = await TestServer.create();
    await expect(server.dial(server.identity)).rejects.toThrow("bad_certificate");
  });

  test("a key package of a user, or of another certificate with the server's name, is refused", async () => {
    server = await TestServer.create();
    await server.stop();
    const bob = await server.person("bob");
    const other = newDevice(await server.authority.issueServer("localhost"));
    let given = (await newKeyPackage(bob.device)).publicPackage;
    server.wrapStore = (store) => ({
      ...store,
      keyPackages: overriding(store.keyPackages, {
        canTake: async () => true,
        take: async () => ({ package: given, lastResort: false }),
      }),
    });
    await server.start();
    const alice = new Party(server, await server.person("alice"));
    parties.push(alice);
    const client = await alice.register();
    const refusal = () =>
      client.openDirect("localhost").then(
        () => "opened",
        ({ code, message }) => `${code}: ${message}`,
      );
    expect(await refusal()).toContain("CERTIFICATE_REFUSED: what the server gave for localhost is refused");
    given = (await newKeyPackage(other)).publicPackage;
    expect(await refusal()).toBe(
      "CERTIFICATE_REFUSED: the operator's certificate is not the one that the server has shown",
    );
  });

  test("an operator under another certificate than the handshake's is none, until the next connection", async () => {
    server = await TestServer.create();
    const operator = new OperatorParty(server);
    const alice = new Party(server, await server.person("alice"));
    parties.push(operator, alice);
    const client = await alice.open();
    await client.connect();
    const { pkcs8 } = server.identity;
    const renewed = await server.authority.issueServer(["localhost", "127.0.0.1"], { pkcs8 });
    await server.running.replaceIdentity(renewed);
    await operator.attach(renewed);
    const { email, username, password } = alice.person;
    await client.register({ email, username, password });
    expect(client.operator).toBeUndefined();
    await alice.quit();
    expect((await alice.login()).operator?.fingerprint).toBe(renewed.certificate.fingerprint);
  });

  test("an operator whose certificate is revoked is put out, and refused by everybody", async () => {
    server = await TestServer.create();
    const operator = new OperatorParty(server);
    const alice = new Party(server, await server.person("alice"));
    parties.push(operator, alice);
    await operator.attach();
    const client = await alice.register();
    server.running.replaceCrl(server.authority.crl([{ certificate: server.identity.certificate }]).der);
    const { code } = (await operator.until(({ event }) => event === "closed")) as { code: string };
    expect(["CERTIFICATE_REFUSED", "SERVER_CERTIFICATE"]).toContain(code);
    await alice.until(() => alice.of("closed").some((event) => event.code === "SERVER_CERTIFICATE"));
    await expect(client.openDirect("localhost")).rejects.toMatchObject({ code: "NOT_CONNECTED" });
    expect(operator.client?.conversations()).toEqual([]);
  });

  test("no operator is offered or handed out where the server is told so", async () => {
    server = await TestServer.create({ offersOperator: false });
    const operator = new OperatorParty(server);
    const alice = new Party(server, await server.person("alice"));
    parties.push(operator, alice);
    await operator.attach();
    const client = await alice.register();
    expect(client.operator).toBeUndefined();
    const raw = await server.login(alice.person);
    expect(await raw.request({ type: "fetch_operator_key_package" })).toMatchObject({ code: "NOT_FOUND" });
  });
});
