import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { decodeHex, encodeHex } from "../../src/base/hex.ts";
import {
  deriveApplicationSecrets,
  deriveHandshakeSecrets,
  deriveTrafficKeys,
  nextTrafficSecret,
  type TrafficKeys,
  transcriptHash,
  wipeHandshakeSecrets,
} from "../../src/channel/keySchedule.ts";
import { contentTypes, openRecord, sealRecord } from "../../src/channel/recordProtection.ts";
import { Secret } from "../../src/channel/secret.ts";

// The values of docs/PROTOCOL.md, "The channel: test vectors". They were computed with Python's hashlib, hmac and
// cryptography from the text of the specification, not with this code.
const vector = {
  helloHash: "d77915e25b6fb328a59da67f7208d16f14b51bbdb82b79249072d02d4592b153",
  fullHash: "b784fa698444967274ca6c4c21302ddffe52e47a4b29ff205e5f6aaf8efafdea",
  handshake: "b15e8d69ca4840f1bec493131e26d13bad2331c24adb4e9216e8812f609a6325",
  serverHandshake: {
    key: "2d94b61ed64c17be3f81e2257f4c62931399751f510843bd1d08272f591fa983",
    iv: "4f4722d3d33f106695159c2c",
  },
  clientHandshake: {
    key: "ca834933d48f92e9062e2e482d5816e3d2f1116d9e21b964e11c30cc0d6df57b",
    iv: "ded79be8b8f4d955542ef7c7",
  },
  serverFinished: "1430a4594fca4a710a0cb465907e1c74521c7a38246ad371e4c0e7c3ce552b5c",
  clientFinished: "1da797ae6825b5dfa31f9ed64d81d3d406a31bca25cad89712b4e6882a8a8ca9",
  server: "492ddaef8f39b24b878e4276034ecbddc199d983961da11436d5f1e0fa45c610",
  serverTraffic: {
    key: "8fe3c771766efb92226df55f763db0b9480f9d1bf23f32bbe49ff4e47161d0cd",
    iv: "7819989380169252c47671d8",
  },
  serverNext: "253641cbeb3f3c33df14070c7fd874c03d9b727c88a9d95f1482e55a6700f4cb",
  client: "f333849c18e17cd6f7a17e810594f69e1e917b665fcf27b2cc765cee750129cb",
  clientTraffic: {
    key: "7d827cd5b5ac2da9f823122d0c88b95ee152ea5f769ed137e97d10c6e92bc3b6",
    iv: "3836e3b584f48dfb48b14228",
  },
  clientNext: "a04ebafd1d475121397b79b60aed5ee090f429f088ac3d7d9a5102aa316a42a5",
  exporter: "8ebc87098f17bc87572002169e14f0bc3aa78636d9441ade8b79b6318f2e71f0",
  records: {
    ready: "d920fd3438cced99d16e96036bfe6f54e428ffafd86a1d408fdd36821876f47bd7",
    message1: "45ae944f797d769cefad5de0fbf602dd13636393396f",
    message65536: "17cf94569bc0f1b14d79b07db0d199156daee9656620",
    afterUpdate: "7f8c22aa48ed6f2d574043d8e03e410eb4a9577728d9",
  },
};

const [hello, serverHello, serverAuth, clientAuth] = [
  "hello",
  "server_hello",
  "server_auth",
  "client_auth",
].map(encodeUtf8) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
const helloHash = () => transcriptHash(hello, serverHello);
const fullHash = () => transcriptHash(hello, serverHello, serverAuth, clientAuth);
const shares = () => ({
  mlKem: Uint8Array.from({ length: 32 }, (_, index) => index),
  x25519: Uint8Array.from({ length: 32 }, (_, index) => 32 + index),
});
const hexOf = (secret: Secret): string => encodeHex(secret.bytes);
const hexOfKeys = ({ key, iv }: TrafficKeys) => ({ key: hexOf(key), iv: hexOf(iv) });
const bytes = (text: string) => decodeHex(text) ?? new Uint8Array(0);

describe("the key schedule", () => {
  test("transcriptHash() has the known values and keeps the borders between messages", () => {
    expect<string>(encodeHex(helloHash())).toBe(vector.helloHash);
    expect<string>(encodeHex(fullHash())).toBe(vector.fullHash);
    expect(transcriptHash(encodeUtf8("ab"), encodeUtf8("c"))).not.toEqual(
      transcriptHash(encodeUtf8("a"), encodeUtf8("bc")),
    );
    expect(transcriptHash(encodeUtf8("a"))).not.toEqual(transcriptHash(encodeUtf8("a"), encodeUtf8("")));
  });

  test("deriveHandshakeSecrets() gives the known values", () => {
    const secrets = deriveHandshakeSecrets(shares(), helloHash());
    expect(hexOf(secrets.handshake)).toBe(vector.handshake);
    expect(hexOfKeys(secrets.serverTraffic)).toEqual(vector.serverHandshake);
    expect(hexOfKeys(secrets.clientTraffic)).toEqual(vector.clientHandshake);
    expect(hexOf(secrets.serverFinished)).toBe(vector.serverFinished);
    expect(hexOf(secrets.clientFinished)).toBe(vector.clientFinished);
  });

  test("deriveApplicationSecrets() gives the known values", () => {
    const { handshake } = deriveHandshakeSecrets(shares(), helloHash());
    const secrets = deriveApplicationSecrets(handshake, fullHash());
    expect(hexOf(secrets.serverTraffic)).toBe(vector.server);
    expect(hexOf(secrets.clientTraffic)).toBe(vector.client);
    expect(hexOf(secrets.exporter)).toBe(vector.exporter);
    expect(hexOfKeys(deriveTrafficKeys(secrets.serverTraffic))).toEqual(vector.serverTraffic);
    expect(hexOfKeys(deriveTrafficKeys(secrets.clientTraffic))).toEqual(vector.clientTraffic);
    expect(hexOf(nextTrafficSecret(secrets.serverTraffic))).toBe(vector.serverNext);
    expect(hexOf(nextTrafficSecret(secrets.clientTraffic))).toBe(vector.clientNext);
  });

  test("every derived value differs when the transcript or either shared secret does", () => {
    const all = (mlKemByte: number, x25519Byte: number, context: Uint8Array) => {
      const input = shares();
      input.mlKem[31] = mlKemByte;
      input.x25519[31] = x25519Byte;
      const handshake = deriveHandshakeSecrets(input, context);
      const application = deriveApplicationSecrets(handshake.handshake, context);
      return [
        hexOf(handshake.serverTraffic.key),
        hexOf(handshake.clientTraffic.key),
        hexOf(handshake.serverFinished),
        hexOf(handshake.clientFinished),
        hexOf(application.serverTraffic),
        hexOf(application.clientTraffic),
        hexOf(application.exporter),
      ];
    };
    const values = [
      all(1, 1, helloHash()),
      all(2, 1, helloHash()),
      all(1, 2, helloHash()),
      all(1, 1, fullHash()),
    ];
    expect(new Set(values.flat()).size).toBe(4 * 7);
  });
});

describe("wiping", () => {
  test("deriveHandshakeSecrets() overwrites the shared secrets that it was given", () => {
    const input = shares();
    deriveHandshakeSecrets(input, helloHash());
    expect(input.mlKem).toEqual(new Uint8Array(32));
    expect(input.x25519).toEqual(new Uint8Array(32));
  });

  test("a wiped secret is zero in memory and is not computed with", () => {
    const raw = Uint8Array.of(1, 2, 3);
    const secret = new Secret(raw);
    expect(secret.bytes).toBe(raw);
    secret.wipe();
    secret.wipe();
    expect(raw).toEqual(new Uint8Array(3));
    expect(() => secret.bytes).toThrow(expect.objectContaining({ code: "CLOSED" }));
  });

  test("wipeHandshakeSecrets() and nextTrafficSecret() leave nothing of the old secrets", () => {
    const secrets = deriveHandshakeSecrets(shares(), helloHash());
    const raw = [
      secrets.handshake,
      secrets.serverTraffic.key,
      secrets.serverTraffic.iv,
      secrets.clientTraffic.key,
      secrets.clientTraffic.iv,
      secrets.serverFinished,
      secrets.clientFinished,
    ].map((secret) => secret.bytes);
    const { serverTraffic } = deriveApplicationSecrets(secrets.handshake, fullHash());
    raw.push(serverTraffic.bytes);
    nextTrafficSecret(serverTraffic);
    wipeHandshakeSecrets(secrets);
    for (const octets of raw) expect(octets).toEqual(new Uint8Array(octets.length));
  });

  test("a secret is not printed", () => {
    const secret = new Secret(encodeUtf8("do not print this"));
    expect(Bun.inspect(secret)).not.toMatch(/100,\s*111/);
    expect(JSON.stringify(secret)).toBe("{}");
  });
});

describe("record protection", () => {
  const keys = () => deriveTrafficKeys(new Secret(bytes(vector.server)));
  const ready = encodeUtf8('{"type":"ready"}');
  const message = encodeUtf8("hello");

  test("sealRecord() gives the known records, whatever their number", () => {
    const seal = (number: number) =>
      encodeHex(sealRecord(keys(), number, { contentType: contentTypes.message, content: message }));
    expect<string>(
      encodeHex(sealRecord(keys(), 0, { contentType: contentTypes.control, content: ready })),
    ).toBe(vector.records.ready);
    expect<string>(seal(1)).toBe(vector.records.message1);
    expect<string>(seal(65536)).toBe(vector.records.message65536);
    const next = deriveTrafficKeys(new Secret(bytes(vector.serverNext)));
    expect<string>(
      encodeHex(sealRecord(next, 0, { contentType: contentTypes.message, content: message })),
    ).toBe(vector.records.afterUpdate);
  });

  test("openRecord() opens the known records", () => {
    expect(openRecord(keys(), 1, bytes(vector.records.message1))).toEqual({
      contentType: contentTypes.message,
      content: message,
    });
  });

  test("openRecord() rejects every changed bit, another number, other keys and every other length", () => {
    const record = bytes(vector.records.message1);
    for (let bit = 0; bit < 8 * record.length; bit++) {
      const changed = record.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(openRecord(keys(), 1, changed)).toBeUndefined();
    }
    for (const number of [0, 2, 257, 2 ** 32 + 1]) expect(openRecord(keys(), number, record)).toBeUndefined();
    expect(openRecord(deriveTrafficKeys(new Secret(bytes(vector.client))), 1, record)).toBeUndefined();
    for (let length = 0; length < record.length; length++)
      expect(openRecord(keys(), 1, record.subarray(0, length))).toBeUndefined();
    expect(openRecord(keys(), 1, Uint8Array.of(...record, 0))).toBeUndefined();
  });
});
