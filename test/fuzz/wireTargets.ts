import { equalBytes } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { decodeJson, encodeJson, type Schema, SchemaError } from "../../src/base/schema.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { RequestReader } from "../../src/server/requests.ts";
import {
  encodeFrame,
  FrameDecoder,
  maxHandshakeFrameBytes,
  maxSessionFrameBytes,
} from "../../src/wire/frame.ts";
import { isLoginType, type LoginRequest, loginRequestSchema } from "../../src/wire/loginMessages.ts";
import {
  type Request,
  requestSchema,
  type ServerMessage,
  serverMessageSchema,
} from "../../src/wire/sessionMessages.ts";
import { WireError } from "../../src/wire/wireError.ts";
import { join } from "./byteEdits.ts";
import { Prng } from "./prng.ts";
import { attemptSync, demand, type Outcome, type Target } from "./target.ts";

/** A stream of frames in pieces of any size, compared with what reading it at once gives. */
export const frameTarget: Target = {
  name: "frame",
  form: "bytes",
  limitMs: 100,
  maxBytes: 300_000,
  iterations: 5000,
  async makeFixture() {
    const frames = [1, 2, 3, 255, 256, 4096].map((length) =>
      encodeFrame(new Uint8Array(length).fill(length)),
    );
    return {
      seeds: [
        ...frames,
        join(...frames),
        encodeFrame(new Uint8Array(maxHandshakeFrameBytes)),
        join(encodeFrame(Uint8Array.of(1)), encodeFrame(new Uint8Array(maxSessionFrameBytes))),
      ],
      parts: {},
    };
  },
  async open() {
    return (input) => {
      const expected = readAtOnce(input);
      const found = readInPieces(input);
      demand(
        found.end === expected.end &&
          found.payloads.length === expected.payloads.length &&
          found.payloads.every((payload, i) =>
            equalBytes(payload, expected.payloads[i] ?? new Uint8Array(0)),
          ),
        `in pieces ${found.payloads.length} payloads and ${found.end}, at once ${expected.payloads.length} and ${expected.end}`,
      );
      return found.end === "more" ? "accepted" : found.end;
    };
  },
};

/** The limit is that of the handshake for the first frame, as on a connection whose handshake has one message. */
function readAtOnce(input: Uint8Array): { payloads: Uint8Array[]; end: Outcome } {
  const payloads: Uint8Array[] = [];
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  for (let at = 0; at + 4 <= input.length; ) {
    const length = view.getUint32(at);
    if (length === 0) return { payloads, end: "FRAME_EMPTY" };
    if (length > (payloads.length === 0 ? maxHandshakeFrameBytes : maxSessionFrameBytes))
      return { payloads, end: "FRAME_TOO_LONG" };
    if (at + 4 + length > input.length) break;
    payloads.push(input.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return { payloads, end: "more" };
}

function readInPieces(input: Uint8Array): { payloads: Uint8Array[]; end: Outcome } {
  // The pieces depend on the input alone, so that it fails again where it failed once.
  const prng = new Prng(new DataView(sha256(input).buffer).getUint32(0));
  const longest = prng.pick([1, 3, 7, 100, 5000, 70_000]);
  const decoder = new FrameDecoder();
  const payloads: Uint8Array[] = [];
  // One byte at a time through a large input would only take time.
  const smallest = input.length > 20_000 ? Math.min(500, longest) : 1;
  for (let at = 0; at < input.length; ) {
    const end = Math.min(input.length, at + Math.max(smallest, 1 + prng.below(longest)));
    decoder.push(input.slice(at, end));
    at = end;
    const result = attemptSync([WireError], () => {
      for (let payload = decoder.next(); payload !== undefined; payload = decoder.next()) {
        payloads.push(payload.slice());
        decoder.raiseLimit(maxSessionFrameBytes);
      }
    });
    if ("refused" in result) return { payloads, end: result.refused.split(":")[0] ?? "" };
  }
  return { payloads, end: "more" };
}

const id = 7;
const hash = encodeHex(new Uint8Array(32).fill(0xab));
const conversation = encodeHex(new Uint8Array(16).fill(0xcd));
const bytes = new Uint8Array(40).fill(0xef);
const ticket = new Uint8Array(32).fill(0x5a);
const line = '{"v":2}';
const checkpoint = { size: 3, root: hash, at: 1_700_000_000_000, server: hash, sig: bytes };
const entries = [{ at: 1_700_000_000_000, line }];

const requests: readonly (Request | LoginRequest)[] = [
  { type: "register", id, email: "alice@example.org", username: "alice", password: "correct horse" },
  { type: "login", id, email: "alice@example.org", password: '\u00e4\u{1f600}"\\' },
  {
    ...{ type: "change_password", id, email: "alice@example.org" },
    ...{ password: "correct horse", new_password: "battery staple" },
  },
  { type: "renew", id, email: "alice@example.org", password: "correct horse", signature: bytes },
  { type: "resume", id, ticket },
  { type: "ping", id },
  { type: "publish_key_packages", id, packages: [bytes, bytes], last_resort: bytes },
  { type: "publish_key_packages", id, packages: [], last_resort: null },
  { type: "fetch_key_packages", id, username: "bob" },
  { type: "fetch_certificates", id, fingerprints: [hash, hash] },
  { type: "put_blob", id, sha256: hash, size: 40, offset: 0, data: bytes },
  { type: "fetch_blob", id, sha256: hash, offset: 0 },
  { type: "post", id, line },
  { type: "list_conversations", id, after: conversation },
  { type: "fetch_entries", id, conversation, from: 0, limit: 256 },
  { type: "sign_receipt", id, conversation, statement: bytes, signed_data: bytes },
  { type: "fetch_receipt", id, conversation, size: 9 },
  { type: "fetch_operator_key_package", id },
];

const serverMessages: readonly ServerMessage[] = [
  { type: "refused", id, code: "TRY_LATER", message: "later\u202e", detail: "5000" },
  { type: "pong", id },
  {
    ...{ type: "authenticated", id, username: "alice", email: "alice@example.org", time: 1_700_000_000_000 },
    ...{ one_time_key_packages: 20, last_resort_key_package: true, ticket, operator: null },
  },
  {
    ...{ type: "authenticated", id, username: "alice", email: "alice@example.org", time: 1_700_000_000_000 },
    ...{
      one_time_key_packages: 0,
      last_resort_key_package: false,
      ticket,
      operator: { name: "::1", fingerprint: hash },
    },
  },
  { type: "operator_key_package", id, package: bytes, last_resort: true },
  { type: "published", id, one_time: 20, last_resort: false },
  { type: "key_packages", id, username: "bob", packages: [{ package: bytes, last_resort: false }] },
  { type: "certificates", id, chains: [[bytes, bytes], []] },
  { type: "blob_stored", id, sha256: hash, complete: true },
  { type: "blob", id, sha256: hash, size: 40, offset: 0, data: bytes },
  { type: "accepted", id, conversation, index: 2, at: 1_700_000_000_000, checkpoint },
  { type: "conversations", id, conversations: [{ conversation, size: 3 }], more: false },
  { type: "entries", id, conversation, from: 0, entries, checkpoint },
  { type: "countersigned", id, conversation, size: 3, signed_data: bytes },
  { type: "crl", crl: bytes },
  { type: "pushed", conversation, from: 2, entries, checkpoint },
  { type: "receipt", conversation, size: 3, signed_data: bytes },
];

const isLogin = (request: Request | LoginRequest): request is LoginRequest => isLoginType(request.type);

/** Requests of a client, as the server reads them: each input as the first and again as a second one. */
export const requestTarget: Target = {
  name: "request",
  form: "json",
  limitMs: 100,
  maxBytes: maxSessionFrameBytes + 64,
  iterations: 5000,
  async makeFixture() {
    const large = encodeJson(requestSchema, { type: "post", id, line: "x".repeat(100_000) });
    return { seeds: [...requests.map(encodeRequest), large], parts: {} };
  },
  async open() {
    return (input) => {
      const reader = new RequestReader();
      const result = attemptSync([WireError, ChannelError], () => reader.read(input));
      if ("refused" in result) return result.refused;
      demand(equalBytes(encodeRequest(result.value), input), "a request with two texts");
      const again = attemptSync([WireError, ChannelError], () => reader.read(input));
      demand("refused" in again, "one request is read twice");
      return `accepted ${result.value.type}`;
    };
  },
};

function encodeRequest(request: Request | LoginRequest): Uint8Array {
  return isLogin(request) ? encodeJson(loginRequestSchema, request) : encodeJson(requestSchema, request);
}

/** What a server sends, as the client reads it. */
export const serverMessageTarget: Target = {
  name: "serverMessage",
  form: "json",
  limitMs: 100,
  maxBytes: maxSessionFrameBytes + 64,
  iterations: 5000,
  async makeFixture() {
    const many = Array(256).fill({ at: 1, line: "x".repeat(800) });
    const large = { type: "pushed", conversation, from: 0, entries: many, checkpoint } as const;
    return {
      seeds: [...serverMessages, large].map((message) => encodeJson(serverMessageSchema, message)),
      parts: {},
    };
  },
  async open() {
    return (input) => canonical(serverMessageSchema, input, maxSessionFrameBytes);
  },
};

/** Reads by a schema; what is accepted must be written as it was. */
export function canonical<T>(schema: Schema<T>, input: Uint8Array, maxBytes: number): Outcome {
  const result = attemptSync([SchemaError], () => decodeJson(schema, input, maxBytes));
  if ("refused" in result) return result.refused;
  demand(equalBytes(encodeJson(schema, result.value), input), "a value with two texts");
  return "accepted";
}
