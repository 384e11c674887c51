import { describe, expect, test } from "bun:test";
import { onServerHello } from "../../src/channel/clientHandshake.ts";
import { onHello } from "../../src/channel/serverHandshake.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { code, decode, type Edit, encode, flip, zeroShare } from "./edits.ts";
import { identityOf, world } from "./parties.ts";
import { afterHellos, answerHello, readServerAuth, sayHello } from "./steps.ts";

/** Twelve-bit coefficients of which the first is q = 3329: the modulus check of FIPS 203 §7.2 fails. */
function breakModulus(value: unknown): string {
  const bytes = Buffer.from(String(value), "base64");
  bytes[0] = 0x01;
  bytes[1] = ((bytes[1] ?? 0) & 0xf0) | 0x0d;
  return bytes.toString("base64");
}

// RFC 7748: u = 1 has order 4; the result is zero as well.
const orderFour = Buffer.from([1, ...new Uint8Array(31)]).toString("base64");

/** What is refused in a hello of either side, whatever the session. */
const helloEdits: readonly (readonly [string, Edit, string])[] = [
  ["an unknown version", (m) => ({ ...m, version: 3 }), "UNSUPPORTED_VERSION"],
  ["version 1", (m) => ({ ...m, version: 1 }), "UNSUPPORTED_VERSION"],
  ["a version beyond 16 bits", (m) => ({ ...m, version: 65_536 }), "UNSUPPORTED_VERSION"],
  [
    "an unknown version whose other fields are unknown too",
    ({ type }) => ({ type: String(type), version: 3, post: "quantum" }),
    "UNSUPPORTED_VERSION",
  ],
  [
    "an unknown version in another order, with white space",
    ({ type }) => `{ "version": 9,\n "type": "${type}" }`,
    "UNSUPPORTED_VERSION",
  ],
  ["a version that is text", (m) => ({ ...m, version: "2" }), "MALFORMED"],
  [
    "a version that is no integer",
    (m) => JSON.stringify(m).replace('"version":2', '"version":2.5'),
    "MALFORMED",
  ],
  ["version 2.0", (m) => JSON.stringify(m).replace('"version":2', '"version":2.0'), "MALFORMED"],
  ["no version", ({ version: _, ...m }) => m, "MALFORMED"],
  ["an unknown field", (m) => ({ ...m, extra: 1 }), "MALFORMED"],
  ["a missing nonce", ({ nonce: _, ...m }) => m, "MALFORMED"],
  ["a nonce of 31 bytes", (m) => ({ ...m, nonce: Buffer.alloc(31).toString("base64") }), "MALFORMED"],
  [
    "an X25519 share of 33 bytes",
    (m) => ({ ...m, x25519: Buffer.alloc(33).toString("base64") }),
    "MALFORMED",
  ],
  ["a short ML-KEM field", (m) => ({ ...m, mlkem768: "AAAA" }), "MALFORMED"],
  ["base64 without padding", (m) => ({ ...m, nonce: String(m.nonce).replace("=", "") }), "MALFORMED"],
  ["white space", (m) => `${JSON.stringify(m)} `, "MALFORMED"],
  ["a byte order mark", (m) => `\ufeff${JSON.stringify(m)}`, "MALFORMED"],
  ["fields in another order", ({ type, version, ...m }) => ({ version, type, ...m }), "MALFORMED"],
  ["a type that stands twice", (m) => JSON.stringify(m).replace("{", '{"type":"alert",'), "MALFORMED"],
  ["another type", (m) => ({ ...m, type: "ready" }), "UNEXPECTED_MESSAGE"],
  ["a type of another version", (m) => ({ ...m, type: "hello2", version: 3 }), "UNEXPECTED_MESSAGE"],
  ["a type that is no text", (m) => ({ ...m, type: 1 }), "MALFORMED"],
  ["no type", ({ type: _, ...m }) => m, "MALFORMED"],
  ["an array", (m) => `[${JSON.stringify(m)}]`, "MALFORMED"],
  ["null", () => "null", "MALFORMED"],
  ["no JSON", () => "hello", "MALFORMED"],
  ["a truncated text", (m) => JSON.stringify(m).slice(0, -1), "MALFORMED"],
  ["two texts", (m) => JSON.stringify(m).repeat(2), "MALFORMED"],
  ["more than 16 KiB", (m) => JSON.stringify(m).padEnd(16 * 1024 + 1), "RECORD_OVERFLOW"],
  ["deep nesting", () => "[".repeat(8192) + "]".repeat(8192), "MALFORMED"],
  ["an all-zero X25519 share", (m) => ({ ...m, x25519: zeroShare }), "BAD_KEY_SHARE"],
  ["an X25519 share of low order", (m) => ({ ...m, x25519: orderFour }), "BAD_KEY_SHARE"],
  ["an alert", () => '{"type":"alert","code":"timeout"}', "PEER_ALERT"],
  ["an alert with an unknown code", () => '{"type":"alert","code":"nothing"}', "MALFORMED"],
  ["an alert with another field", () => '{"type":"alert","code":"timeout","why":""}', "MALFORMED"],
];

describe("onHello() refuses", () => {
  const answer = async (payload: Uint8Array) => {
    const { server } = await world();
    return onHello({
      payload,
      nonce32: systemRandom(32),
      x25519Secret32: systemRandom(32),
      ...identityOf(server),
    });
  };

  for (const [what, edit, expected] of helloEdits)
    test(what, async () => {
      const { payload } = await sayHello();
      await expect(answer(encode(edit(decode(payload))))).rejects.toMatchObject(code(expected));
    });

  test("an ML-KEM key that fails the modulus check", async () => {
    const hello = decode((await sayHello()).payload);
    await expect(answer(encode({ ...hello, mlkem768: breakModulus(hello.mlkem768) }))).rejects.toMatchObject(
      code("BAD_KEY_SHARE"),
    );
  });

  test("bytes that are not UTF-8, and a server_hello", async () => {
    await expect(answer(Uint8Array.of(0x7b, 0xff, 0x7d))).rejects.toMatchObject(code("MALFORMED"));
    const { serverHello } = await afterHellos();
    await expect(answer(serverHello)).rejects.toMatchObject(code("UNEXPECTED_MESSAGE"));
  });

  test("to send a chain that is empty, too long, or does not fit into a frame", async () => {
    const { server } = await world();
    const { chain, key } = identityOf(server);
    const filler = (count: number, length: number) =>
      Array.from({ length: count }, () => new Uint8Array(length));
    for (const own of [
      [],
      [...chain, ...filler(4, 10)],
      [...chain, new Uint8Array(4097)],
      [...chain, new Uint8Array(0)],
      [...chain, ...filler(3, 4096)],
    ]) {
      const { payload } = await sayHello();
      await expect(
        onHello({ payload, nonce32: systemRandom(32), x25519Secret32: systemRandom(32), chain: own, key }),
      ).rejects.toMatchObject(code("INTERNAL"));
    }
  });
});

describe("onServerHello() refuses", () => {
  for (const [what, edit, expected] of helloEdits)
    test(`${what}, and then still takes the real one`, async () => {
      const client = await sayHello();
      const { serverHello, serverAuth } = await answerHello(client.payload);
      await expect(onServerHello(client.state, encode(edit(decode(serverHello))))).rejects.toMatchObject(
        code(expected),
      );
      const state = await onServerHello(client.state, serverHello);
      expect((await readServerAuth(state, serverAuth)).state.kind).toBe("await_ready");
    });

  test("its own hello, reflected", async () => {
    const client = await sayHello();
    await expect(onServerHello(client.state, client.payload)).rejects.toMatchObject(
      code("UNEXPECTED_MESSAGE"),
    );
  });

  test("server_auth before server_hello", async () => {
    const client = await sayHello();
    const { serverAuth } = await answerHello(client.payload);
    await expect(onServerHello(client.state, serverAuth)).rejects.toMatchObject(code("MALFORMED"));
  });
});

describe("a hello that was changed on its way in a field that looks right", () => {
  test("is noticed by the client at server_auth, whichever field it was", async () => {
    // The last 32 bytes of the ML-KEM key are a seed: any value passes the check.
    for (const [field, at] of [
      ["nonce", 1],
      ["x25519", 1],
      ["mlkem768", 1183],
    ] as const) {
      const client = await sayHello();
      const hello = decode(client.payload);
      const { serverHello, serverAuth } = await answerHello(
        encode({ ...hello, [field]: flip(hello[field], at) }),
      );
      const state = await onServerHello(client.state, serverHello);
      await expect(readServerAuth(state, serverAuth)).rejects.toMatchObject(code("BAD_RECORD"));
    }
  });

  test("server_hello too", async () => {
    for (const field of ["nonce", "x25519", "mlkem768"]) {
      const client = await sayHello();
      const answer = await answerHello(client.payload);
      const serverHello = decode(answer.serverHello);
      const state = await onServerHello(
        client.state,
        encode({ ...serverHello, [field]: flip(serverHello[field], 1) }),
      );
      await expect(readServerAuth(state, answer.serverAuth)).rejects.toMatchObject(code("BAD_RECORD"));
    }
  });
});
