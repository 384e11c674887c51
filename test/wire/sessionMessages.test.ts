import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { formatJson, parseJson, type Schema, SchemaError } from "../../src/base/schema.ts";
import { maxMarksPerAnswer, maxMarksPerRequest } from "../../src/wire/deliveryMessages.ts";
import { maxSessionFrameBytes } from "../../src/wire/frame.ts";
import { maxKeyPackageBytes } from "../../src/wire/keyPackageForm.ts";
import { loginRequestSchema } from "../../src/wire/loginMessages.ts";
import {
  maxBlobPieceBytes,
  maxCrlBytes,
  maxEntryLineBytes,
  maxKeyPackagesPerMessage,
  maxReceiptBytes,
  maxSignatureBytes,
  maxStatementBytes,
  requestSchema,
  serverMessageSchema,
} from "../../src/wire/sessionMessages.ts";

const b64 = (length: number) => Buffer.alloc(length, 1).toString("base64");
const hex = (bytes: number) => "0a".repeat(bytes);
/** The longest message that goes into a frame: a record adds a content type and a tag. */
const maxMessageBytes = maxSessionFrameBytes - 17;

const login = { type: "login", id: 1, email: "alice@example.org", password: "correct horse" };
const resume = { type: "resume", id: 1, ticket: b64(32) };
const renew = { ...login, type: "renew", signature: b64(70) };
const changePassword = { ...login, type: "change_password", new_password: "battery staple" };
const post = { type: "post", id: 7, line: '{"v":2}' };
const putBlob = { type: "put_blob", id: 2, sha256: hex(32), size: 3, offset: 0, data: b64(3) };
const refused = { type: "refused", id: 4, code: "GAP", message: "seqno 4, the next one is 3", detail: "3" };
const checkpoint = { size: 1, root: hex(32), at: 1, server: hex(32), sig: b64(70) };
const pushed = {
  type: "pushed",
  conversation: hex(16),
  from: 0,
  entries: [{ at: 1, line: "{}" }],
  checkpoint,
};
const deliveryMark = { conversation: hex(16), member: hex(32), size: 1 };

const authenticated = {
  ...{ type: "authenticated", id: 1, username: "alice", email: "alice@example.org", time: 1 },
  ...{ one_time_key_packages: 20, last_resort_key_package: true, ticket: b64(32), operator: null },
};
const operator = { name: "chat.example.org", fingerprint: hex(32) };
const operatorKeyPackage = { type: "operator_key_package", id: 3, package: b64(9), last_resort: false };

const samples: readonly (readonly [Schema<unknown>, Record<string, unknown>])[] = [
  [loginRequestSchema, login],
  [loginRequestSchema, changePassword],
  [loginRequestSchema, renew],
  [loginRequestSchema, resume],
  [loginRequestSchema, { type: "ping", id: 4_294_967_295 }],
  [requestSchema, post],
  [requestSchema, putBlob],
  [serverMessageSchema, refused],
  [serverMessageSchema, pushed],
  [serverMessageSchema, authenticated],
  [serverMessageSchema, { ...authenticated, operator }],
  [requestSchema, { type: "fetch_operator_key_package", id: 3 }],
  [serverMessageSchema, operatorKeyPackage],
  [requestSchema, { type: "delivered", id: 5, marks: [{ conversation: hex(16), size: 1 }] }],
  [requestSchema, { type: "release_pair", id: 6, conversation: hex(16) }],
  [serverMessageSchema, { type: "delivery_marks", id: 5, marks: [deliveryMark] }],
  [serverMessageSchema, { type: "delivered", ...deliveryMark }],
  [serverMessageSchema, { type: "pair_released", id: 6, conversation: hex(16) }],
];

const refuses = (schema: Schema<unknown>, value: unknown) =>
  expect(() => parseJson(schema, JSON.stringify(value))).toThrow(
    expect.objectContaining({ name: "SchemaError", code: "WRONG_FIELD" }),
  );

describe("session messages", () => {
  test("are read and written in the one form", () => {
    for (const [schema, message] of samples) {
      const text = JSON.stringify(message);
      expect(formatJson(schema, parseJson(schema, text))).toBe(text);
    }
  });

  test("have at most so many delivery marks, and none over nothing", () => {
    const request = (count: number, size = 1) => ({
      type: "delivered",
      id: 1,
      marks: Array.from({ length: count }, () => ({ conversation: hex(16), size })),
    });
    for (const [schema, made, most] of [
      [requestSchema, request, maxMarksPerRequest],
      [
        serverMessageSchema,
        (count: number) => ({ type: "delivery_marks", id: 1, marks: Array(count).fill(deliveryMark) }),
        maxMarksPerAnswer,
      ],
    ] as const) {
      expect(() => parseJson<unknown>(schema, JSON.stringify(made(most)))).not.toThrow();
      refuses(schema, made(most + 1));
    }
    refuses(requestSchema, request(1, 0));
  });

  test("are refused with a field missing, with one more, and under an unknown type", () => {
    for (const [schema, message] of samples) {
      for (const field of Object.keys(message)) {
        const { [field]: _, ...rest } = message;
        refuses(schema, rest);
      }
      refuses(schema, { ...message, extra: 1 });
      refuses(schema, { ...message, type: "no_such_type" });
      refuses(schema, { ...message, type: "toString" });
    }
  });

  test("a request id counts from 1 and fits into 32 bits", () => {
    for (const id of [0, -1, 1.5, 4_294_967_296, "1", null]) refuses(requestSchema, { ...post, id });
  });

  test("a ticket has 32 bytes, in either direction", () => {
    for (const ticket of [b64(31), b64(33), "", null]) {
      refuses(loginRequestSchema, { ...resume, ticket });
      refuses(serverMessageSchema, { ...authenticated, ticket });
    }
  });

  test("nothing but login, register, change_password, renew, resume and ping is understood before login", () => {
    refuses(loginRequestSchema, post);
    for (const request of [login, changePassword, renew, resume]) refuses(requestSchema, request);
  });

  test("no message of the channel itself is one of the session", () => {
    for (const type of ["hello", "ready", "key_update", "alert"])
      for (const schema of [loginRequestSchema, requestSchema, serverMessageSchema])
        refuses(schema as Schema<unknown>, { type });
  });

  test("usernames are what a certificate's CN may be", () => {
    const register = { type: "register", id: 1, email: "a@b", username: "a.b-c_9", password: "x" };
    expect(parseJson(loginRequestSchema, JSON.stringify(register))).toEqual(register as never);
    for (const username of ["", "A", ".a", "a b", "a\n", "ä", "a".repeat(33)])
      refuses(loginRequestSchema, { ...register, username });
  });

  test("an operator's name is what a certificate's DNS name or IP address may be", () => {
    for (const name of ["chat.example.org", "192.0.2.1", "2001:db8::1", "a".repeat(253)])
      expect(
        parseJson(serverMessageSchema, JSON.stringify({ ...authenticated, operator: { ...operator, name } })),
      ).toMatchObject({ operator: { name } });
    for (const name of ["", "Chat.example.org", "a b", ".a", "*.example.org", "a".repeat(254)])
      refuses(serverMessageSchema, { ...authenticated, operator: { ...operator, name } });
  });

  test("lines and blob pieces have inclusive limits", () => {
    const line = (length: number) => ({ ...post, line: "x".repeat(length) });
    expect(parseJson(requestSchema, JSON.stringify(line(maxEntryLineBytes)))).toEqual(
      line(maxEntryLineBytes) as never,
    );
    refuses(requestSchema, line(maxEntryLineBytes + 1));
    refuses(requestSchema, { ...putBlob, data: b64(maxBlobPieceBytes + 1) });
    refuses(requestSchema, { ...putBlob, data: "" });
    refuses(requestSchema, { ...putBlob, sha256: hex(31) });
    refuses(requestSchema, { ...putBlob, sha256: hex(32).toUpperCase() });
  });

  test("the longest single values fit into a frame", () => {
    const packages = Array(maxKeyPackagesPerMessage).fill(b64(maxKeyPackageBytes));
    const [statement, signed_data] = [b64(maxStatementBytes), b64(maxSignatureBytes)];
    const countersigned = { conversation: hex(16), size: 2 ** 53 - 1, signed_data: b64(maxReceiptBytes) };
    for (const [schema, message] of [
      [requestSchema, { type: "publish_key_packages", id: 1, packages, last_resort: packages[0] }],
      [requestSchema, { ...putBlob, size: maxBlobPieceBytes, data: b64(maxBlobPieceBytes) }],
      [requestSchema, { type: "sign_receipt", id: 1, conversation: hex(16), statement, signed_data }],
      [serverMessageSchema, { type: "countersigned", id: 2 ** 32 - 1, ...countersigned }],
      [serverMessageSchema, { type: "receipt", ...countersigned }],
      [serverMessageSchema, { type: "crl", crl: b64(maxCrlBytes) }],
    ] as const) {
      const text = JSON.stringify(message);
      expect(parseJson(schema as Schema<unknown>, text)).toBeDefined();
      expect(encodeUtf8(text).length).toBeLessThanOrEqual(maxMessageBytes);
    }
  });

  test("any text is read or refused with a SchemaError", () => {
    const values = fc.oneof(
      fc.json(),
      fc
        .tuple(fc.constantFrom(...samples), fc.string(), fc.jsonValue())
        .map(([[, message], field, value]) => JSON.stringify({ ...message, [field]: value })),
      fc.tuple(fc.constantFrom(...samples), fc.nat(9), fc.jsonValue()).map(([[, message], index, value]) => {
        const fields = Object.keys(message);
        return JSON.stringify({ ...message, [fields[index % fields.length] ?? ""]: value });
      }),
    );
    fc.assert(
      fc.property(values, (text) => {
        for (const schema of [loginRequestSchema, requestSchema, serverMessageSchema] as Schema<unknown>[])
          try {
            expect(formatJson(schema, parseJson(schema, text))).toBe(text);
          } catch (error) {
            expect(error).toBeInstanceOf(SchemaError);
          }
      }),
      { numRuns: 500 },
    );
  });
});
