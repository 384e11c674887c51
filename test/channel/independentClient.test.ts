import { expect, test } from "bun:test";
import * as node from "node:crypto";
import { onClientAuth } from "../../src/channel/serverHandshake.ts";
import { host, world } from "./parties.ts";
import { answerHello } from "./steps.ts";

/*
 * The client's side of the handshake once more, from the text of docs/PROTOCOL.md and with the runtime's cryptography
 * alone: nothing of src/channel, src/wire or src/crypto. So the specification is enough to talk to the server.
 */

type SubtleMlKem = {
  generateKey(name: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
  exportKey(format: string, key: CryptoKey): Promise<ArrayBuffer>;
  decapsulateBits(name: string, key: CryptoKey, ciphertext: Uint8Array): Promise<ArrayBuffer>;
};
const subtle = globalThis.crypto.subtle as unknown as SubtleMlKem;

const sha256 = (data: Uint8Array) => node.createHash("sha256").update(data).digest();
const hmac = (key: Uint8Array, ...data: (Uint8Array | string)[]) =>
  data.reduce<node.Hmac>((mac, part) => mac.update(part), node.createHmac("sha256", key)).digest();
const uint32 = (value: number) => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
};
const H = (...messages: Uint8Array[]) =>
  sha256(Buffer.concat(messages.flatMap((m) => [uint32(m.length), m])));
/** HKDF-Expand of at most 32 bytes: one block. */
const expand = (secret: Uint8Array, label: string, context: Uint8Array, length = 32) =>
  hmac(secret, `securechat/2 ${label}`, context, Uint8Array.of(1)).subarray(0, length);
const none = new Uint8Array(0);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const json = (value: object) => Buffer.from(JSON.stringify(value));

function nonceOf(secret: Uint8Array, number: number): Buffer {
  const nonce = Buffer.from(expand(secret, "iv", none, 12));
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  return nonce;
}

function seal(secret: Uint8Array, number: number, contentType: number, content: Uint8Array): Buffer {
  const cipher = node.createCipheriv("aes-256-gcm", expand(secret, "key", none), nonceOf(secret, number));
  cipher.setAAD(uint32(1 + content.length + 16));
  return Buffer.concat([
    cipher.update(Uint8Array.of(contentType, ...content)),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}

function open(secret: Uint8Array, number: number, contentType: number, record: Uint8Array): Buffer {
  const decipher = node.createDecipheriv("aes-256-gcm", expand(secret, "key", none), nonceOf(secret, number));
  decipher.setAAD(uint32(record.length));
  decipher.setAuthTag(record.subarray(-16));
  const plain = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
  expect(plain[0]).toBe(contentType);
  return plain.subarray(1);
}

test("a client that is written from the specification alone gets through the server's handshake", async () => {
  const { ca, alice, server } = await world();

  const x25519 = node.generateKeyPairSync("x25519");
  const mlKem = await subtle.generateKey("ML-KEM-768", true, ["decapsulateBits", "encapsulateBits"]);
  const hello = json({
    type: "hello",
    version: 2,
    nonce: base64(node.randomBytes(32)),
    x25519: base64(x25519.publicKey.export({ type: "spki", format: "der" }).subarray(-32)),
    mlkem768: base64(new Uint8Array(await subtle.exportKey("raw-public", mlKem.publicKey))),
  });
  const answer = await answerHello(hello);
  const { serverHello } = answer;

  const theirs = JSON.parse(Buffer.from(serverHello).toString());
  const spki = Buffer.concat([
    Buffer.from("302a300506032b656e032100", "hex"),
    Buffer.from(theirs.x25519, "base64"),
  ]);
  const publicKey = node.createPublicKey({ key: spki, type: "spki", format: "der" });
  const shared = Buffer.concat([
    Buffer.from(
      await subtle.decapsulateBits("ML-KEM-768", mlKem.privateKey, Buffer.from(theirs.mlkem768, "base64")),
    ),
    node.diffieHellman({ privateKey: x25519.privateKey, publicKey }),
  ]);
  const handshake = hmac(sha256(Buffer.from("securechat/2 channel")), shared);
  const hellos = H(hello, serverHello);
  const [sHs, cHs, sFin, cFin] = ["s hs", "c hs", "s fin", "c fin"].map((label) =>
    expand(handshake, label, hellos),
  ) as [Buffer, Buffer, Buffer, Buffer];

  const serverAuth = open(sHs, 0, 1, answer.serverAuth);
  const { type, chain, signature, mac } = JSON.parse(serverAuth.toString());
  const certificate = new node.X509Certificate(Buffer.from(chain[0], "base64"));
  expect(certificate.checkHost(host)).toBe(host);
  expect(certificate.checkIssued(new node.X509Certificate(ca.der))).toBe(true);
  const proven = Buffer.concat([
    Buffer.from("securechat/2 server authentication\0"),
    H(hello, serverHello, json({ type, chain })),
  ]);
  expect(node.verify("sha256", proven, certificate.publicKey, Buffer.from(signature, "base64"))).toBe(true);
  expect(hmac(sFin, H(hello, serverHello, json({ type, chain, signature }))).toString("base64")).toBe(mac);

  const own = { type: "client_auth", chain: [base64(alice.der)] };
  const key = node.createPrivateKey({ key: Buffer.from(alice.pkcs8), type: "pkcs8", format: "der" });
  const signed = {
    ...own,
    signature: base64(
      node.sign(
        "sha256",
        Buffer.concat([
          Buffer.from("securechat/2 client authentication\0"),
          H(hello, serverHello, serverAuth, json(own)),
        ]),
        key,
      ),
    ),
  };
  const clientAuth = json({
    ...signed,
    mac: base64(hmac(cFin, H(hello, serverHello, serverAuth, json(signed)))),
  });
  const accepted = onClientAuth(answer.state, seal(cHs, 0, 1, clientAuth), {
    verifyClient: ca.verifier("client"),
  });
  expect(accepted.state.peer.certificate.der).toEqual(alice.der);
  expect<Uint8Array>(new Uint8Array(certificate.raw)).toEqual(server.der);

  const application = hmac(sha256(Buffer.from("securechat/2 application")), handshake);
  const all = H(hello, serverHello, serverAuth, clientAuth);
  const sAp = expand(application, "s ap", all);
  let cAp: Uint8Array = expand(application, "c ap", all);
  expect(open(sAp, 0, 1, accepted.payload).toString()).toBe('{"type":"ready"}');
  expect(accepted.state.exporter).toEqual(new Uint8Array(expand(application, "exporter", all)));

  const { records } = accepted.state;
  const words = Buffer.from("words");
  const received = { kind: "message", bytes: new Uint8Array(words) } as const;
  expect(records.open(seal(cAp, 0, 2, words))).toEqual(received);
  expect(records.open(seal(cAp, 1, 1, json({ type: "key_update" })))).toEqual({ kind: "key_update" });
  cAp = expand(cAp, "traffic upd", none);
  expect(records.open(seal(cAp, 0, 2, words))).toEqual(received);

  const [first] = records.seal(words);
  expect(open(sAp, 1, 2, first ?? words)).toEqual(words);
  expect(open(sAp, 2, 1, records.sealKeyUpdate()).toString()).toBe('{"type":"key_update"}');
  const alert = open(expand(sAp, "traffic upd", none), 0, 1, records.sealAlert("close_notify"));
  expect(alert.toString()).toBe('{"type":"alert","code":"close_notify"}');
});
