import { decodeJson, type Schema, SchemaError } from "../base/schema.ts";
import { ChannelError } from "../channel/channelError.ts";
import { maxSessionFrameBytes } from "../wire/frame.ts";
import { type LoginRequest, loginRequestSchema } from "../wire/loginMessages.ts";
import { type Request, requestSchema } from "../wire/sessionMessages.ts";
import { WireError } from "../wire/wireError.ts";

/** Reads the requests of one client, which controls every byte. */
export class RequestReader {
  #lastId = 0;

  /**
   * @returns the request, also one that has no place in the state that the session is in: its `id` is there to answer
   * @throws {WireError} `MESSAGE_MALFORMED`; {ChannelError} `UNEXPECTED_MESSAGE` unless ids ascend
   */
  read(bytes: Uint8Array): Request | LoginRequest {
    const request = tryDecode(requestSchema, bytes) ?? decodeOrThrow(loginRequestSchema, bytes);
    if (request.id <= this.#lastId)
      throw new ChannelError("UNEXPECTED_MESSAGE", `request id ${request.id} after ${this.#lastId}`);
    this.#lastId = request.id;
    return request;
  }
}

function tryDecode<T>(schema: Schema<T>, bytes: Uint8Array): T | undefined {
  try {
    return decodeJson(schema, bytes, maxSessionFrameBytes);
  } catch (error) {
    if (error instanceof SchemaError) return undefined;
    throw error;
  }
}

function decodeOrThrow<T>(schema: Schema<T>, bytes: Uint8Array): T {
  try {
    return decodeJson(schema, bytes, maxSessionFrameBytes);
  } catch (cause) {
    if (cause instanceof SchemaError)
      throw new WireError("MESSAGE_MALFORMED", "the client sent what is no request", { cause });
    throw cause;
  }
}
