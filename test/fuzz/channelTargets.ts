import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { encodeJson } from "../../src/base/schema.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import { onReady, onServerAuth, onServerHello, startClient } from "../../src/channel/clientHandshake.ts";
import { decodeHello, decodeServerHello } from "../../src/channel/controlMessage.ts";
import { openHandshakeRecord, sealHandshakeRecord } from "../../src/channel/handshakeRecord.ts";
import type { AwaitClientAuth, AwaitReady, AwaitServerAuth } from "../../src/channel/handshakeState.ts";
import type { VerifyChain } from "../../src/channel/judgeChain.ts";
import {
  deriveApplicationSecrets,
  deriveHandshakeSecrets,
  deriveTrafficKeys,
  type HandshakeSecrets,
  transcriptHash,
} from "../../src/channel/keySchedule.ts";
import { RecordLayer } from "../../src/channel/recordLayer.ts";
import { Secret } from "../../src/channel/secret.ts";
import { onClientAuth, onHello } from "../../src/channel/serverHandshake.ts";
import { keyLimits, TrafficDirection } from "../../src/channel/trafficDirection.ts";
import { crypto, type MlKemSecretKey, type PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { type Purpose, type VerifiedCertificate, verifyPath } from "../../src/pki/verifyPath.ts";
import { maxHandshakeFrameBytes, maxSessionFrameBytes } from "../../src/wire/frame.ts";
import { helloSchema, keyUpdateSchema } from "../../src/wire/handshakeMessages.ts";
import { atMs, host, world } from "../channel/parties.ts";
import { readClientAuth, readServerAuth } from "../channel/steps.ts";
import { join } from "./byteEdits.ts";
import { type Fixture, partOf } from "./fixture.ts";
import { attempt, attemptSync, demand, type Outcome, type Target } from "./target.ts";

const refusals = [ChannelError];
/** A message and some bytes more, so that what is too long comes too. */
const maxBytes = maxHandshakeFrameBytes + 64;

/** One whole handshake between alice and the server: all messages, and the secrets to stand in any of its states. */
async function recordHandshake(): Promise<Record<string, Uint8Array>> {
  const { ca, server, alice } = await world();
  const [nonce, x25519Secret, mlKemSeed] = [systemRandom(32), systemRandom(32), systemRandom(64)];
  const client = await startClient({
    nonce32: nonce.slice(),
    x25519Secret32: x25519Secret.slice(),
    mlKemSeed64: mlKemSeed.slice(),
  });
  const answer = await onHello({
    payload: client.payload,
    nonce32: systemRandom(32),
    x25519Secret32: systemRandom(32),
    chain: [server.der],
    key: crypto().importPrivateKey(server.pkcs8),
  });
  const [serverHello = nonce, serverAuth = nonce] = answer.payloads;
  const { payload: clientAuth } = await readServerAuth(
    await onServerHello(client.state, serverHello),
    serverAuth,
  );
  const { payload: ready } = await readClientAuth(answer.state, clientAuth);
  return {
    ca: ca.der,
    ...{ serverDer: server.der, serverPkcs8: server.pkcs8, aliceDer: alice.der, alicePkcs8: alice.pkcs8 },
    ...{ nonce, x25519Secret, mlKemSeed },
    ...{ hello: client.payload, serverHello, serverAuth, clientAuth, ready },
  };
}

let recorded: Promise<Record<string, Uint8Array>> | undefined;
const handshakeParts = () => {
  recorded ??= recordHandshake();
  return recorded;
};

/** The recorded handshake, opened: each state as often as it is wanted, since a transition wipes the one that it leaves. */
class Recorded {
  readonly part: (name: string) => Uint8Array;
  readonly #shared: { readonly x25519: Uint8Array; readonly mlKem: Uint8Array };
  readonly #mlKemSecretKey: MlKemSecretKey;
  readonly aliceKey: PrivateKey;
  readonly serverKey: PrivateKey;
  /** Contents of the records. */
  readonly contents: {
    readonly serverAuth: Uint8Array;
    readonly clientAuth: Uint8Array;
    readonly ready: Uint8Array;
  };

  private constructor(
    fixture: Fixture,
    mlKemSecretKey: MlKemSecretKey,
    shared: { readonly x25519: Uint8Array; readonly mlKem: Uint8Array },
  ) {
    this.part = (name) => partOf(fixture, name).slice();
    this.#mlKemSecretKey = mlKemSecretKey;
    this.#shared = shared;
    this.aliceKey = crypto().importPrivateKey(this.part("alicePkcs8"));
    this.serverKey = crypto().importPrivateKey(this.part("serverPkcs8"));
    const { serverTraffic, clientTraffic } = this.secrets();
    const open = (record: Uint8Array | undefined) => {
      if (record === undefined) throw new Error("the recorded handshake does not open");
      return record;
    };
    const serverAuth = open(openHandshakeRecord(serverTraffic, 0, this.part("serverAuth")));
    const clientAuth = open(openHandshakeRecord(clientTraffic, 0, this.part("clientAuth")));
    this.contents = { serverAuth, clientAuth, ready: encodeUtf8('{"type":"ready"}') };
  }

  static async open(fixture: Fixture): Promise<Recorded> {
    const part = (name: string) => partOf(fixture, name).slice();
    const { secretKey } = await crypto().mlKem768Generate(part("mlKemSeed"));
    const { mlkem768, x25519: share } = decodeServerHello(part("serverHello"));
    const mlKem = await crypto().mlKem768Decapsulate(secretKey, mlkem768);
    const x25519 = crypto().x25519(part("x25519Secret"), share);
    if (x25519 === undefined) throw new Error("the recorded share is of low order");
    return new Recorded(fixture, secretKey, { x25519, mlKem });
  }

  secrets(): HandshakeSecrets {
    const { x25519, mlKem } = this.#shared;
    const hellos = transcriptHash(this.part("hello"), this.part("serverHello"));
    return deriveHandshakeSecrets({ x25519: x25519.slice(), mlKem: mlKem.slice() }, hellos);
  }

  awaitServerHello() {
    return {
      kind: "await_server_hello",
      hello: this.part("hello"),
      x25519Secret: new Secret(this.part("x25519Secret")),
      mlKemSecretKey: this.#mlKemSecretKey,
    } as const;
  }

  awaitServerAuth(): AwaitServerAuth {
    const [hello, serverHello] = [this.part("hello"), this.part("serverHello")];
    return { kind: "await_server_auth", hello, serverHello, secrets: this.secrets() };
  }

  awaitClientAuth(): AwaitClientAuth {
    const { serverAuth } = this.contents;
    return { ...this.awaitServerAuth(), kind: "await_client_auth", serverAuth };
  }

  awaitReady(): AwaitReady {
    const { handshake, serverTraffic } = this.secrets();
    return {
      kind: "await_ready",
      peer: this.verifier("server")([this.part("serverDer")]),
      secrets: deriveApplicationSecrets(handshake, this.#fullHash()),
      serverHandshakeTraffic: serverTraffic,
    };
  }

  /** The keys of the server's first record of the channel. */
  readyKeys() {
    return deriveTrafficKeys(this.awaitReady().secrets.serverTraffic);
  }

  verifier(purpose: Purpose): VerifyChain {
    const anchors = [decodeCertificate(this.part("ca"))];
    return (chain): VerifiedCertificate => {
      const [leaf, ...intermediates] = chain.map(decodeCertificate);
      if (leaf === undefined) throw new Error("the channel asks about a leaf at least");
      const request = { leaf, intermediates, anchors, crls: [], purpose, atMs };
      return verifyPath(purpose === "server" ? { ...request, host } : request);
    };
  }

  serverAuth(state: AwaitServerAuth, record: Uint8Array) {
    const identity = { chain: [this.part("aliceDer")], key: this.aliceKey };
    return onServerAuth(state, record, { ...identity, verifyServer: this.verifier("server") });
  }

  clientAuth(state: AwaitClientAuth, record: Uint8Array) {
    return onClientAuth(state, record, { verifyClient: this.verifier("client") });
  }

  #fullHash(): Uint8Array {
    const { serverAuth, clientAuth } = this.contents;
    return transcriptHash(this.part("hello"), this.part("serverHello"), serverAuth, clientAuth);
  }
}

/** A target over one message of the handshake. @param seeds its honest form first */
function handshakeTarget(
  name: string,
  form: Target["form"],
  seeds: (recorded: Recorded) => readonly Uint8Array[],
  judge: (recorded: Recorded, input: Uint8Array, honest: Uint8Array) => Promise<Outcome>,
): Target {
  return {
    name,
    form,
    limitMs: 100,
    maxBytes,
    iterations: 800,
    async makeFixture() {
      const parts = await handshakeParts();
      const recordedHandshake = await Recorded.open({ seeds: [], parts });
      return { seeds: seeds(recordedHandshake), parts };
    },
    async open(fixture) {
      const recordedHandshake = await Recorded.open(fixture);
      const [honest = new Uint8Array(0)] = fixture.seeds;
      return (input) => judge(recordedHandshake, input, honest);
    },
  };
}

/** Only the honest message goes through. */
function onlyHonest(
  went: { value: unknown } | { refused: Outcome },
  input: Uint8Array,
  honest: Uint8Array,
): Outcome {
  const isHonest = equalBytes(input, honest);
  if ("refused" in went) {
    demand(!isHonest, `the honest message is refused: ${went.refused}`);
    return went.refused;
  }
  demand(isHonest, "a changed message of the handshake goes through");
  return "accepted";
}

const others = [
  '{"type":"alert","code":"handshake_failure"}',
  '{"type":"key_update"}',
  '{"type":"ready"}',
  '{"type":"hello","version":3,"more":[]}',
].map(encodeUtf8);

export const channelTargets: readonly Target[] = [
  handshakeTarget(
    "hello",
    "json",
    (recorded) => [recorded.part("hello"), recorded.part("serverHello"), ...others],
    async (recorded, input) => {
      const went = await attempt(refusals, () =>
        onHello({
          payload: input,
          nonce32: new Uint8Array(32),
          x25519Secret32: recorded.part("x25519Secret"),
          chain: [recorded.part("serverDer")],
          key: recorded.serverKey,
        }),
      );
      if ("refused" in went) return went.refused;
      demand(equalBytes(encodeJson(helloSchema, decodeHello(input)), input), "a hello with two texts");
      return "accepted";
    },
  ),
  handshakeTarget(
    "serverHello",
    "json",
    (recorded) => [recorded.part("serverHello"), recorded.part("hello"), ...others],
    async (recorded, input, honest) => {
      const went = await attempt(refusals, async () =>
        recorded.serverAuth(
          await onServerHello(recorded.awaitServerHello(), input),
          recorded.part("serverAuth"),
        ),
      );
      return onlyHonest(went, input, honest);
    },
  ),
  handshakeTarget(
    "serverAuth",
    "json",
    ({ contents }) => [contents.serverAuth, contents.clientAuth, ...others],
    async (recorded, input, honest) => {
      const state = recorded.awaitServerAuth();
      const record = sealHandshakeRecord(state.secrets.serverTraffic, 0, input);
      return onlyHonest(await attempt(refusals, () => recorded.serverAuth(state, record)), input, honest);
    },
  ),
  handshakeTarget(
    "clientAuth",
    "json",
    ({ contents }) => [contents.clientAuth, contents.serverAuth, ...others],
    async (recorded, input, honest) => {
      const state = recorded.awaitClientAuth();
      const record = sealHandshakeRecord(state.secrets.clientTraffic, 0, input);
      return onlyHonest(await attempt(refusals, () => recorded.clientAuth(state, record)), input, honest);
    },
  ),
  handshakeTarget(
    "ready",
    "json",
    ({ contents }) => [contents.ready, contents.serverAuth, ...others],
    async (recorded, input, honest) => {
      const record = sealHandshakeRecord(recorded.readyKeys(), 0, input);
      const went = await attempt(refusals, () => onReady(recorded.awaitReady(), record));
      return onlyHonest(went, input, honest);
    },
  ),
  // Records as the network can change them, in each state that waits for one.
  handshakeTarget(
    "handshakeRecord",
    "bytes",
    (recorded) => [
      recorded.part("serverAuth"),
      recorded.part("clientAuth"),
      recorded.part("ready"),
      ...others,
    ],
    async (recorded, input) => {
      const steps = [
        ["serverAuth", () => recorded.serverAuth(recorded.awaitServerAuth(), input)],
        ["clientAuth", () => recorded.clientAuth(recorded.awaitClientAuth(), input)],
        ["ready", () => onReady(recorded.awaitReady(), input)],
      ] as const;
      const ends: Outcome[] = [];
      for (const [name, step] of steps)
        ends.push(onlyHonest(await attempt<unknown>(refusals, step), input, recorded.part(name)));
      return ends.join(" | ");
    },
  ),
];

const keyUpdate = encodeJson(keyUpdateSchema, { type: "key_update" });
const chunk = (type: number, content: Uint8Array) =>
  join(Uint8Array.of(content.length >> 8, content.length & 0xff, type), content);

/** Reads `uint16 length || type || content` as often as it is there. */
function chunks(input: Uint8Array): { contentType: number; content: Uint8Array }[] {
  const found: { contentType: number; content: Uint8Array }[] = [];
  for (let at = 0; at + 3 <= input.length && found.length < 200; ) {
    const length = ((input[at] ?? 0) << 8) | (input[at + 1] ?? 0);
    found.push({ contentType: input[at + 2] ?? 0, content: input.slice(at + 3, at + 3 + length) });
    at += 3 + length;
  }
  return found;
}

const channelSecret = new Uint8Array(32).fill(0x42);
const receiver = () =>
  new RecordLayer(
    { secret: new Secret(new Uint8Array(32).fill(1)) },
    { secret: new Secret(channelSecret.slice()) },
  );
const sender = () => new TrafficDirection(new Secret(channelSecret.slice()), keyLimits);

/** What a peer puts into records that it seals well: a row of contents. */
const recordContentTarget: Target = {
  name: "recordContent",
  form: "bytes",
  limitMs: 100,
  maxBytes: 65_536,
  iterations: 3000,
  async makeFixture() {
    const message = chunk(2, encodeUtf8("hello"));
    const control = [keyUpdate, ...others].map((content) => chunk(1, content));
    return {
      seeds: [
        message,
        ...control,
        join(message, ...control.slice(0, 1), message, chunk(3, keyUpdate)),
        chunk(2, new Uint8Array(0)),
        chunk(2, new Uint8Array(60_000)),
      ],
      parts: {},
    };
  },
  async open() {
    return (input) => {
      const direction = sender();
      const layer = receiver();
      let ended: Outcome | undefined;
      for (const content of chunks(input)) {
        const record = direction.seal(content);
        if (content.contentType === 1 && equalBytes(content.content, keyUpdate)) direction.update();
        const opened = attemptSync(refusals, () => layer.open(record));
        if (ended !== undefined)
          demand("refused" in opened && opened.refused.startsWith("CLOSED"), "opened after the end");
        else if ("refused" in opened) ended = opened.refused;
        else if (opened.value.kind === "alert") ended = `alert ${opened.value.code}`;
        else if (opened.value.kind === "message")
          demand(equalBytes(opened.value.bytes, content.content), "another message than was sent");
      }
      return ended ?? "accepted";
    };
  },
};

/** Records as the network can change them: whatever does not begin with the honest records is refused there. */
const recordTarget: Target = {
  name: "record",
  form: "bytes",
  limitMs: 100,
  maxBytes: maxSessionFrameBytes + 1024,
  iterations: 3000,
  async makeFixture() {
    const direction = sender();
    const records = ["one", "two", "three", "x".repeat(3000)].map((text) =>
      direction.seal({ contentType: 2, content: encodeUtf8(text) }),
    );
    const frames = records.map((record) =>
      join(Uint8Array.of(record.length >> 8, record.length & 0xff, 0), record),
    );
    return { seeds: [join(...frames), ...frames], parts: { honest: join(...frames) } };
  },
  async open(fixture) {
    const honest = chunks(partOf(fixture, "honest")).map(({ content }) => content);
    return (input) => {
      const layer = receiver();
      let count = 0;
      for (const { content } of chunks(input)) {
        const opened = attemptSync(refusals, () => layer.open(content));
        const expected = honest[count];
        const isNext = expected !== undefined && equalBytes(expected, content);
        if ("refused" in opened) {
          demand(!isNext, "the honest record is refused");
          return opened.refused;
        }
        demand(isNext, "a record is taken that was not sent next");
        count++;
      }
      return `accepted ${count}`;
    };
  },
};

export const recordTargets: readonly Target[] = [recordContentTarget, recordTarget];
