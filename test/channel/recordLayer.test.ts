import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import { deriveTrafficKeys } from "../../src/channel/keySchedule.ts";
import { maxMessageBytes, RecordLayer } from "../../src/channel/recordLayer.ts";
import { contentTypes, sealRecord } from "../../src/channel/recordProtection.ts";
import { Secret } from "../../src/channel/secret.ts";
import { keyLimits } from "../../src/channel/trafficDirection.ts";
import { alertCodes } from "../../src/wire/handshakeMessages.ts";

const secretOf = (fill: number) => new Secret(new Uint8Array(32).fill(fill));

function pair(limits = keyLimits): { client: RecordLayer; server: RecordLayer } {
  return {
    client: new RecordLayer({ secret: secretOf(1) }, { secret: secretOf(2) }, limits),
    server: new RecordLayer({ secret: secretOf(2) }, { secret: secretOf(1) }, limits),
  };
}

function only(records: readonly Uint8Array[]): Uint8Array {
  const [record] = records;
  if (record === undefined || records.length !== 1)
    throw new Error(`${records.length} records instead of one`);
  return record;
}

/** A record 0 of the client as only a peer could make it. */
const forged = (contentType: number, content: string) =>
  sealRecord(deriveTrafficKeys(secretOf(1)), 0, { contentType: contentType, content: encodeUtf8(content) });

const code = (expected: string) => expect.objectContaining({ name: "ChannelError", code: expected });
const words = encodeUtf8("words");

describe("RecordLayer", () => {
  test("carries messages both ways, of 1 byte and of the longest length", () => {
    const { client, server } = pair();
    for (const length of [1, 2, 1000, maxMessageBytes]) {
      const message = new Uint8Array(length).fill(7);
      expect(server.open(only(client.seal(message)))).toEqual({ kind: "message", bytes: message });
      expect(client.open(only(server.seal(message)))).toEqual({ kind: "message", bytes: message });
    }
    expect(only(client.seal(new Uint8Array(maxMessageBytes))).length).toBe(256 * 1024);
  });

  test("seal() makes unequal records of equal messages and leaves the message alone", () => {
    const { client } = pair();
    const message: Uint8Array = words.slice();
    expect(only(client.seal(message))).not.toEqual(only(client.seal(message)));
    expect(message).toEqual(words);
  });

  test("seal() refuses an empty message and one byte too much, and goes on after that", () => {
    const { client, server } = pair();
    expect(() => client.seal(new Uint8Array(0))).toThrow(code("MESSAGE_TOO_LONG"));
    expect(() => client.seal(new Uint8Array(maxMessageBytes + 1))).toThrow(code("MESSAGE_TOO_LONG"));
    expect(server.open(only(client.seal(words)))).toEqual({ kind: "message", bytes: words });
  });

  test("open() refuses a replayed record and everything after it", () => {
    const { client, server } = pair();
    const record = only(client.seal(words));
    server.open(record);
    expect(() => server.open(record)).toThrow(code("BAD_RECORD"));
    expect(() => server.open(only(client.seal(words)))).toThrow(code("CLOSED"));
  });

  test("open() refuses reordered records", () => {
    const { client, server } = pair();
    client.seal(words);
    expect(() => server.open(only(client.seal(words)))).toThrow(code("BAD_RECORD"));
  });

  test("open() notices a dropped record at the next one", () => {
    const { client, server } = pair();
    server.open(only(client.seal(words)));
    client.seal(words);
    expect(() => server.open(only(client.seal(words)))).toThrow(code("BAD_RECORD"));
  });

  test("open() refuses a record that comes back to its sender", () => {
    const { client } = pair();
    expect(() => client.open(only(client.seal(words)))).toThrow(code("BAD_RECORD"));
  });

  test("open() refuses a record over the limit, an empty and a truncated one", () => {
    for (const [record, expected] of [
      [new Uint8Array(256 * 1024 + 1), "RECORD_OVERFLOW"],
      [new Uint8Array(0), "BAD_RECORD"],
      [new Uint8Array(16), "BAD_RECORD"],
      [only(pair().client.seal(words)).subarray(1), "BAD_RECORD"],
    ] as const)
      expect(() => pair().server.open(record)).toThrow(code(expected));
  });

  test("open() refuses authentic records that mean nothing here", () => {
    for (const [record, expected] of [
      [forged(0, "x"), "UNEXPECTED_MESSAGE"],
      [forged(3, "x"), "UNEXPECTED_MESSAGE"],
      [forged(contentTypes.message, ""), "MALFORMED"],
      [forged(contentTypes.control, ""), "MALFORMED"],
      [forged(contentTypes.control, "[]"), "MALFORMED"],
      [forged(contentTypes.control, '{"type":7}'), "MALFORMED"],
      [forged(contentTypes.control, '{"type":"ready"}'), "UNEXPECTED_MESSAGE"],
      [forged(contentTypes.control, '{"type":"hello","version":3}'), "UNEXPECTED_MESSAGE"],
      [forged(contentTypes.control, '{"type":"key_update","now":true}'), "MALFORMED"],
      [forged(contentTypes.control, '{"type":"key_update"} '), "MALFORMED"],
      [forged(contentTypes.control, '{"type":"alert","code":"no_such_code"}'), "MALFORMED"],
      [forged(contentTypes.control, '{"code":"timeout","type":"alert"}'), "MALFORMED"],
      [
        forged(contentTypes.control, `{"type":"key_update","x":"${"x".repeat(16 * 1024)}"}`),
        "RECORD_OVERFLOW",
      ],
    ] as const)
      expect(() => pair().server.open(record)).toThrow(code(expected));
  });

  test("a message that looks like an alert is a message", () => {
    const { client, server } = pair();
    const message = encodeUtf8('{"type":"alert","code":"close_notify"}');
    expect(server.open(only(client.seal(message)))).toEqual({ kind: "message", bytes: message });
  });

  test("sealAlert() delivers every code and ends its direction only", () => {
    for (const alert of alertCodes) {
      const { client, server } = pair();
      expect(server.open(client.sealAlert(alert))).toEqual({ kind: "alert", code: alert });
      expect(() => client.seal(words)).toThrow(code("CLOSED"));
      expect(() => client.sealAlert(alert)).toThrow(code("CLOSED"));
      expect(() => client.sealKeyUpdate()).toThrow(code("CLOSED"));
      expect(() => server.open(new Uint8Array(40))).toThrow(code("CLOSED"));
      expect(client.open(only(server.seal(words)))).toEqual({ kind: "message", bytes: words });
    }
  });

  test("an alert can still be sent after a record was refused", () => {
    const { client, server } = pair();
    expect(() => server.open(new Uint8Array(40))).toThrow(code("BAD_RECORD"));
    expect(client.open(server.sealAlert("decrypt_error"))).toEqual({ kind: "alert", code: "decrypt_error" });
  });

  test("close() wipes both directions and may be called again", () => {
    const secrets = [secretOf(1), secretOf(2)] as const;
    const raw = secrets.map((secret) => secret.bytes);
    const layer = new RecordLayer({ secret: secrets[0] }, { secret: secrets[1] });
    layer.close();
    layer.close();
    for (const octets of raw) expect(octets).toEqual(new Uint8Array(32));
    expect(() => layer.seal(words)).toThrow(code("CLOSED"));
    expect(() => layer.open(new Uint8Array(40))).toThrow(code("CLOSED"));
  });
});

describe("key_update", () => {
  test("the limits are 2^20 records and 1 GiB", () => {
    expect(keyLimits).toEqual({ records: 1_048_576, bytes: 1_073_741_824 });
  });

  test("seal() sends it as the last record that the record limit allows", () => {
    const { client, server } = pair({ records: 4, bytes: 2 ** 30 });
    const kinds: string[][] = [];
    for (let round = 0; round < 10; round++)
      kinds.push(client.seal(words).map((record) => server.open(record).kind));
    // Three messages and the update itself under each key.
    expect(kinds.map((each) => each.length)).toEqual([1, 1, 1, 2, 1, 1, 2, 1, 1, 2]);
    expect(kinds[3]).toEqual(["key_update", "message"]);
  });

  test("seal() sends it before the byte limit is reached, and never goes over", () => {
    // Records of 117 bytes each, and 64 bytes in reserve: eight of them are exactly 1000, seven fit into the others.
    for (const [bytes, updates] of [
      [1000, 4],
      [999, 5],
      [960, 5],
      [937, 5],
    ] as const) {
      const { client, server } = pair({ records: 2 ** 20, bytes });
      let underKey = 0;
      let seen = 0;
      for (let round = 0; round < 40; round++)
        for (const record of client.seal(new Uint8Array(100).fill(1))) {
          underKey += record.length;
          expect(underKey).toBeLessThanOrEqual(bytes);
          if (server.open(record).kind !== "key_update") continue;
          seen++;
          underKey = 0;
        }
      expect(seen).toBe(updates);
    }
  });

  test("an alert fits under every key, also one that is used up", () => {
    for (let sent = 0; sent < 12; sent++) {
      const { client, server } = pair({ records: 4, bytes: 300 });
      for (let round = 0; round < sent; round++) for (const record of client.seal(words)) server.open(record);
      const alert = client.sealAlert("too_many_connections");
      expect(server.open(alert)).toEqual({ kind: "alert", code: "too_many_connections" });
    }
  });

  test("open() refuses a peer that goes on under a key that is used up", () => {
    const careless = (limits: { records: number; bytes: number }) => ({
      client: new RecordLayer({ secret: secretOf(1) }, { secret: secretOf(2) }),
      server: new RecordLayer({ secret: secretOf(2) }, { secret: secretOf(1) }, limits),
    });
    const byRecords = careless({ records: 3, bytes: 2 ** 30 });
    for (let round = 0; round < 3; round++) byRecords.server.open(only(byRecords.client.seal(words)));
    expect(() => byRecords.server.open(only(byRecords.client.seal(words)))).toThrow(code("KEY_EXHAUSTED"));
    const recordBytes = words.length + 17;
    const byBytes = careless({ records: 100, bytes: 2 * recordBytes });
    for (let round = 0; round < 2; round++) byBytes.server.open(only(byBytes.client.seal(words)));
    expect(() => byBytes.server.open(only(byBytes.client.seal(words)))).toThrow(code("KEY_EXHAUSTED"));
  });

  test("both sides may update at once, each on its own, many times", () => {
    const { client, server } = pair();
    for (let round = 0; round < 20; round++) {
      const fromClient = [client.sealKeyUpdate(), only(client.seal(words))];
      const fromServer = [
        only(server.seal(words)),
        server.sealKeyUpdate(),
        server.sealKeyUpdate(),
        only(server.seal(words)),
      ];
      expect(fromClient.map((record) => server.open(record).kind)).toEqual(["key_update", "message"]);
      expect(fromServer.map((record) => client.open(record).kind)).toEqual([
        "message",
        "key_update",
        "key_update",
        "message",
      ]);
    }
  });

  test("open() refuses a record of the old key after the update, and of the new one before it", () => {
    const late = pair();
    const old = only(late.client.seal(words));
    late.server.open(old);
    late.server.open(late.client.sealKeyUpdate());
    expect(() => late.server.open(old)).toThrow(code("BAD_RECORD"));

    const early = pair();
    early.client.sealKeyUpdate();
    const next = only(early.client.seal(words));
    expect(() => early.server.open(next)).toThrow(code("BAD_RECORD"));
  });

  test("the record that the handshake used counts", () => {
    const used = 33;
    const layer = new RecordLayer({ secret: secretOf(2), used }, { secret: secretOf(1) });
    const expected = sealRecord(deriveTrafficKeys(secretOf(2)), 1, {
      contentType: contentTypes.message,
      content: words,
    });
    expect(only(layer.seal(words))).toEqual(expected);
  });
});

test("open() answers any bytes with a ChannelError and nothing else", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.boolean(),
      fc.nat(5),
      (noise, authentic, contentType) => {
        const record = authentic
          ? sealRecord(deriveTrafficKeys(secretOf(1)), 0, { contentType: contentType, content: noise })
          : noise;
        try {
          const received = pair().server.open(record);
          expect(authentic && contentType === contentTypes.message).toBe(true);
          expect(received).toEqual({ kind: "message", bytes: noise });
        } catch (error) {
          expect(error).toBeInstanceOf(ChannelError);
        }
      },
    ),
    { numRuns: 200 },
  );
});
