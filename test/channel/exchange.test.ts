import { describe, expect, test } from "bun:test";
import { encodeUint32, encodeUtf8 } from "../../src/base/bytes.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import { acceptChannel, connectChannel } from "../../src/channel/exchange.ts";
import type { VerifyChain } from "../../src/channel/judgeChain.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import type { AlertCode } from "../../src/wire/handshakeMessages.ts";
import { host, identityOf, type Party, world } from "./parties.ts";
import { PipeEnd } from "./pipe.ts";

interface Cast {
  readonly client?: Party;
  readonly server?: Party;
  readonly dialled?: string;
  readonly verifyServer?: VerifyChain;
  readonly verifyClient?: VerifyChain;
}

/** Runs both sides over a pipe to their ends; a side that fails closes its connection as its owner would. */
async function run(pipe: { client: PipeEnd; server: PipeEnd }, cast: Cast = {}) {
  const { ca, alice, server } = await world();
  const connecting = connectChannel(pipe.client, {
    random: systemRandom,
    ...identityOf(cast.client ?? alice),
    verifyServer: cast.verifyServer ?? ca.verifier("server", { host: cast.dialled ?? host }),
  });
  const accepting = acceptChannel(pipe.server, {
    random: systemRandom,
    ...identityOf(cast.server ?? server),
    verifyClient: cast.verifyClient ?? ca.verifier("client"),
  });
  connecting.catch(() => pipe.server.end());
  accepting.catch(() => pipe.client.end());
  const [client, accepted] = await Promise.allSettled([connecting, accepting]);
  return { client, server: accepted };
}

/** A frame with another text in its payload, which is JSON in clear. */
const edit = (frame: Uint8Array, from: string, to: string) =>
  encodeFrame(encodeUtf8(new TextDecoder().decode(frame.subarray(4)).replace(from, to)));

const failed = (code: string, more: object = {}) => ({ status: "rejected", reason: { code, ...more } });
const told = (alert: AlertCode) => failed("PEER_ALERT", { alert });

describe("connectChannel() and acceptChannel()", () => {
  test("make a channel that carries messages", async () => {
    const { client, server } = await run(PipeEnd.pair());
    if (client.status !== "fulfilled" || server.status !== "fulfilled") throw new Error("no channel");
    const words = encodeUtf8("words");
    const [record] = client.value.records.seal(words);
    expect(server.value.records.open(record ?? words)).toEqual({ kind: "message", bytes: words });
    expect(client.value.exporter).toEqual(server.value.exporter);
  });

  test("agree over a network that delivers byte by byte", async () => {
    const pipe = PipeEnd.pair();
    const bytewise = (to: PipeEnd) => (bytes: Uint8Array) => {
      for (const octet of bytes) to.arrive(Uint8Array.of(octet));
      return undefined;
    };
    pipe.client.tamper = bytewise(pipe.server);
    pipe.server.tamper = bytewise(pipe.client);
    const { client, server } = await run(pipe);
    expect([client.status, server.status]).toEqual(["fulfilled", "fulfilled"]);
  });

  test("the messages have the order and number of the specification, each under 16 KiB", async () => {
    const pipe = PipeEnd.pair();
    await run(pipe);
    expect(pipe.client.sent.length).toBe(2);
    expect(pipe.server.sent.length).toBe(3);
    expect(pipe.server.sent[2]?.length).toBe(4 + 1 + 16 + 16);
    for (const frame of [...pipe.client.sent, ...pipe.server.sent]) expect(frame.length).toBeLessThan(4096);
  });
});

describe("each side learns why the other refused", () => {
  test("the client refuses the server's certificate", async () => {
    const { ca, impostor, foreign, mallorysServer, alice } = await world();
    for (const [cast, code, alert] of [
      [{ dialled: "other.example.org" }, "BAD_CERTIFICATE", "bad_certificate"],
      [{ server: mallorysServer }, "BAD_CERTIFICATE", "bad_certificate"],
      [{ server: alice }, "BAD_CERTIFICATE", "bad_certificate"],
      [{ server: await impostor.server(host) }, "BAD_CERTIFICATE", "bad_certificate"],
      [{ server: await foreign.server(host) }, "UNKNOWN_CA", "unknown_ca"],
      [{ server: await ca.server(host, { expired: true }) }, "CERTIFICATE_EXPIRED", "certificate_expired"],
      [{ dialled: "not a host" }, "INTERNAL", "internal_error"],
    ] as const) {
      const pipe = PipeEnd.pair();
      const { client, server } = await run(pipe, cast);
      expect(client).toMatchObject(failed(code));
      expect(server).toMatchObject(told(alert));
      // Two payloads, the hello and the alert: a client that refuses has shown nothing of its own certificate.
      expect(pipe.client.sent.length).toBe(2);
      expect(pipe.client.sent[1]?.length).toBeLessThan(80);
    }
  });

  test("the server refuses the client's certificate", async () => {
    const { ca, impostor, foreign, mallorysServer } = await world();
    for (const [cast, code, alert] of [
      [{ client: mallorysServer }, "BAD_CERTIFICATE", "bad_certificate"],
      [{ client: await impostor.user("alice") }, "BAD_CERTIFICATE", "bad_certificate"],
      [{ client: await foreign.user("alice") }, "UNKNOWN_CA", "unknown_ca"],
      [{ client: await ca.user("late", { expired: true }) }, "CERTIFICATE_EXPIRED", "certificate_expired"],
    ] as const) {
      const { client, server } = await run(PipeEnd.pair(), cast);
      expect(server).toMatchObject(failed(code));
      expect(client).toMatchObject(told(alert));
    }
  });

  test("a revoked certificate, and a revocation list that this side can't rely on", async () => {
    for (const [reason, code, alert] of [
      ["REVOKED", "CERTIFICATE_REVOKED", "certificate_revoked"],
      ["NOT_YET_VALID", "CERTIFICATE_EXPIRED", "certificate_expired"],
      ["CRL_EXPIRED", "INTERNAL", "internal_error"],
      ["REVOCATION_UNKNOWN", "INTERNAL", "internal_error"],
    ] as const) {
      const refuse = () => {
        throw new PkiError(reason, "refused");
      };
      const { client, server } = await run(PipeEnd.pair(), { verifyClient: refuse });
      expect(server).toMatchObject(failed(code, { cause: { code: reason } }));
      expect(client).toMatchObject(told(alert));
    }
  });

  test("either side has a certificate without its key", async () => {
    const { alice, server: party, mallory } = await world();
    const impostor = await run(PipeEnd.pair(), { server: { der: party.der, pkcs8: mallory.pkcs8 } });
    expect(impostor.client).toMatchObject(failed("BAD_SIGNATURE"));
    expect(impostor.server).toMatchObject(told("decrypt_error"));
    const thief = await run(PipeEnd.pair(), { client: { der: alice.der, pkcs8: mallory.pkcs8 } });
    expect(thief.server).toMatchObject(failed("BAD_SIGNATURE"));
    expect(thief.client).toMatchObject(told("decrypt_error"));
  });

  test("a hello of another version, and one that is changed on its way", async () => {
    for (const [from, to, code, alert] of [
      ['"version":2', '"version":3', "UNSUPPORTED_VERSION", "unsupported_version"],
      ['"type":"hello"', '"type":"holla"', "UNEXPECTED_MESSAGE", "unexpected_message"],
      ['"nonce":"', '"Nonce":"', "MALFORMED", "decode_error"],
    ] as const) {
      const pipe = PipeEnd.pair();
      pipe.client.tamper = (frame) => edit(frame, from, to);
      const { client, server } = await run(pipe);
      expect(server).toMatchObject(failed(code));
      expect(client).toMatchObject(told(alert));
    }
  });

  test("a server_hello of another version: the server reads the alert in clear", async () => {
    const pipe = PipeEnd.pair();
    pipe.server.tamper = (frame, index) => (index === 0 ? edit(frame, '"version":2', '"version":1') : frame);
    const { client, server } = await run(pipe);
    expect(client).toMatchObject(failed("UNSUPPORTED_VERSION"));
    expect(server).toMatchObject(told("unsupported_version"));
  });

  test("one changed bit in any of the five messages", async () => {
    for (const [side, index, failing, code] of [
      ["client", 0, "client", "BAD_RECORD"],
      ["server", 0, "client", "BAD_RECORD"],
      ["server", 1, "client", "BAD_RECORD"],
      ["client", 1, "server", "BAD_RECORD"],
      ["server", 2, "client", "BAD_RECORD"],
    ] as const) {
      const pipe = PipeEnd.pair();
      pipe[side].tamper = (bytes, at) => {
        if (at !== index) return bytes;
        const changed = bytes.slice();
        // In a hello: a character in the middle of the nonce, so that its form is kept.
        const nonce = new TextDecoder("latin1").decode(bytes).indexOf('"nonce":"');
        const place = nonce < 0 ? 8 : nonce + 12;
        changed[place] = changed[place] === 0x41 ? 0x42 : 0x41;
        return changed;
      };
      const result = await run(pipe);
      expect(result[failing]).toMatchObject(failed(code));
    }
  });

  test("a record too many, and one that is missing", async () => {
    const twice = PipeEnd.pair();
    twice.server.tamper = (bytes, index) => (index === 1 ? Uint8Array.of(...bytes, ...bytes) : bytes);
    expect((await run(twice)).client).toMatchObject(failed("BAD_RECORD"));
    const missing = PipeEnd.pair();
    missing.server.tamper = (bytes, index) => {
      if (index === 1) missing.client.end();
      return index === 1 ? undefined : bytes;
    };
    expect((await run(missing)).client).toMatchObject(failed("CLOSED"));
  });

  test("frames over the limit and without a payload", async () => {
    for (const [length, code, alert] of [
      [16 * 1024 + 1, "FRAME_TOO_LONG", "record_overflow"],
      [0, "FRAME_EMPTY", "decode_error"],
    ] as const) {
      const pipe = PipeEnd.pair();
      pipe.client.tamper = () => encodeUint32(length);
      const { client, server } = await run(pipe);
      expect(server).toMatchObject(failed(code, { name: "WireError" }));
      expect(client).toMatchObject(told(alert));
    }
  });

  test("the owner of the connection ends the wait, in every state", async () => {
    const patience = () => new ChannelError("TIMEOUT", "the handshake took too long");
    // The server has heard nothing yet.
    const silent = PipeEnd.pair();
    silent.client.tamper = () => undefined;
    silent.server.end(patience());
    const first = await run(silent);
    expect(first.server).toMatchObject(failed("TIMEOUT"));
    expect(first.client).toMatchObject(told("timeout"));
    // The server waits for client_auth.
    const half = PipeEnd.pair();
    half.client.tamper = (bytes, index) => {
      if (index === 1) half.server.end(patience());
      return index === 1 ? undefined : bytes;
    };
    const second = await run(half);
    expect(second.server).toMatchObject(failed("TIMEOUT"));
    expect(second.client).toMatchObject(told("timeout"));
    // The client waits for server_auth.
    const mute = PipeEnd.pair();
    mute.server.tamper = (bytes, index) => {
      if (index === 1) mute.client.end(new ChannelError("SHUTTING_DOWN", "the program ends"));
      return index === 1 ? undefined : bytes;
    };
    const third = await run(mute);
    expect(third.client).toMatchObject(failed("SHUTTING_DOWN"));
    expect(third.server).toMatchObject(told("shutting_down"));
  });

  test("the other side is gone: nothing is written any more", async () => {
    const pipe = PipeEnd.pair();
    pipe.client.tamper = () => undefined;
    pipe.client.end();
    pipe.server.end();
    const { client, server } = await run(pipe);
    expect(client).toMatchObject(failed("CLOSED"));
    expect(server).toMatchObject(failed("CLOSED"));
    expect(pipe.server.sent.length).toBe(0);
    expect(pipe.client.sent.length).toBe(1);
  });

  test("a bug in a callback is told as internal_error and comes through as it is", async () => {
    const bug = new RangeError("a bug");
    const { client, server } = await run(PipeEnd.pair(), {
      verifyClient: () => {
        throw bug;
      },
    });
    expect(server).toEqual({ status: "rejected", reason: bug });
    expect(client).toMatchObject(told("internal_error"));
  });
});

describe("secrets of a handshake that fails", () => {
  test("are wiped on the client, whether it refuses or was refused", async () => {
    const { ca, alice } = await world();
    for (const answer of ["no server_hello", '{"type":"alert","code":"shutting_down"}']) {
      const { client } = PipeEnd.pair();
      client.arrive(encodeFrame(encodeUtf8(answer)));
      const drawn: Uint8Array[] = [];
      const random = (length: number) => {
        const bytes = systemRandom(length);
        drawn.push(bytes);
        return bytes;
      };
      const verifyServer = ca.verifier("server", { host });
      const connecting = connectChannel(client, { random, ...identityOf(alice), verifyServer });
      await expect(connecting).rejects.toMatchObject({ name: "ChannelError" });
      // In the order of drawing: the nonce, which is public, the X25519 secret and the ML-KEM seed.
      const isZero = drawn.map((bytes) => bytes.every((octet) => octet === 0));
      expect(isZero).toEqual([false, true, true]);
    }
  });
});
