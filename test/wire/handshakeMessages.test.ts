import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { decodeJson, encodeJson, formatJson, parseJson, type Schema } from "../../src/base/schema.ts";
import { maxHandshakeFrameBytes } from "../../src/wire/frame.ts";
import {
  alertCodes,
  alertSchema,
  certificateChain,
  clientAuthForms,
  clientAuthSchema,
  helloSchema,
  keyUpdateSchema,
  readySchema,
  serverAuthForms,
  serverAuthSchema,
  serverHelloSchema,
} from "../../src/wire/handshakeMessages.ts";

const wrongField = expect.objectContaining({ name: "SchemaError", code: "WRONG_FIELD" });
const b64 = (length: number, fill = 1) => Buffer.alloc(length, fill).toString("base64");

const hello = { type: "hello", version: 2, nonce: b64(32), x25519: b64(32), mlkem768: b64(1184) };
const serverHello = {
  type: "server_hello",
  version: 2,
  nonce: b64(32),
  x25519: b64(32),
  mlkem768: b64(1088),
};
const auth = { chain: [b64(600), b64(500)], signature: b64(70), mac: b64(32) };

const messages: readonly (readonly [Schema<unknown>, object])[] = [
  [helloSchema, hello],
  [serverHelloSchema, serverHello],
  [serverAuthSchema, { type: "server_auth", ...auth }],
  [clientAuthSchema, { type: "client_auth", ...auth }],
  [readySchema, { type: "ready" }],
  [keyUpdateSchema, { type: "key_update" }],
  [alertSchema, { type: "alert", code: "close_notify" }],
];

describe("handshake messages", () => {
  test("are read and written in the one form", () => {
    for (const [schema, message] of messages) {
      const text = JSON.stringify(message);
      expect(formatJson(schema, parseJson(schema, text))).toBe(text);
    }
  });

  test("are refused with a field missing, with one more, and under another type", () => {
    for (const [schema, message] of messages) {
      for (const field of Object.keys(message)) {
        const { [field]: _, ...rest } = message as Record<string, unknown>;
        expect(() => parseJson(schema, JSON.stringify(rest))).toThrow(wrongField);
      }
      expect(() => parseJson(schema, JSON.stringify({ ...message, extra: null }))).toThrow(wrongField);
      expect(() => parseJson(schema, JSON.stringify({ ...message, type: "other" }))).toThrow(wrongField);
    }
  });

  test("hello has fields of exactly these lengths", () => {
    for (const [field, length] of [
      ["nonce", 32],
      ["x25519", 32],
      ["mlkem768", 1184],
    ] as const)
      for (const wrong of [length - 1, length + 1, 0])
        expect(() => parseJson(helloSchema, JSON.stringify({ ...hello, [field]: b64(wrong) }))).toThrow(
          wrongField,
        );
    for (const wrong of [1183, 1184, 1087, 1089])
      expect(() =>
        parseJson(serverHelloSchema, JSON.stringify({ ...serverHello, mlkem768: b64(wrong) })),
      ).toThrow(wrongField);
  });

  test("a chain has at most 4 certificates of at most 4096 bytes, none empty", () => {
    expect(parseJson(certificateChain, JSON.stringify(Array(4).fill(b64(4096)))).length).toBe(4);
    for (const chain of [Array(5).fill(b64(1)), [b64(4097)], [""], [1], {}])
      expect(() => parseJson(certificateChain, JSON.stringify(chain))).toThrow(wrongField);
  });

  test("a signature has 1 to 1024 bytes", () => {
    const of = (length: number) => JSON.stringify({ type: "server_auth", ...auth, signature: b64(length) });
    for (const length of [1, 1024])
      expect(parseJson(serverAuthSchema, of(length)).signature.length).toBe(length);
    for (const length of [0, 1025]) expect(() => parseJson(serverAuthSchema, of(length))).toThrow(wrongField);
  });

  test("what is signed and what is MACed are the same message without its last fields", () => {
    for (const [forms, type] of [
      [serverAuthForms, "server_auth"],
      [clientAuthForms, "client_auth"],
    ] as const) {
      const whole = { type, ...auth };
      const message = parseJson<{ type: string }>(
        forms.complete as Schema<{ type: string }>,
        JSON.stringify(whole),
      );
      const { mac: _, ...signed } = whole;
      const { signature: __, ...unsigned } = signed;
      expect(formatJson(forms.signed as Schema<unknown>, message)).toBe(JSON.stringify(signed));
      expect(formatJson(forms.unsigned as Schema<unknown>, message)).toBe(JSON.stringify(unsigned));
    }
  });

  test("alerts have a closed set of codes, each in less than 64 bytes", () => {
    for (const code of alertCodes) {
      const bytes = encodeJson(alertSchema, { type: "alert", code });
      expect(decodeJson(alertSchema, bytes, 64).code).toBe(code);
    }
    for (const code of ["", "CLOSE_NOTIFY", "wrong_password", 0, null])
      expect(() => parseJson(alertSchema, JSON.stringify({ type: "alert", code }))).toThrow(wrongField);
  });

  test("both hellos fit into a frame with room to spare", () => {
    for (const message of [hello, serverHello])
      expect(encodeUtf8(JSON.stringify(message)).length).toBeLessThan(maxHandshakeFrameBytes / 4);
  });
});
