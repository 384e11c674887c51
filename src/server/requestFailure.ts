import { encodeUtf8 } from "../base/bytes.ts";
import { isLoginType } from "../wire/loginMessages.ts";
import { type ServerMessage, serverMessageSchema } from "../wire/sessionMessages.ts";
import { describeError } from "./describeError.ts";
import { refusalOf, refused } from "./refusal.ts";
import type { ServerLog } from "./serverLog.ts";

/** Answers a request whose handler threw; what the operator should know about goes to the log. */
export function answerFailure(
  error: unknown,
  request: { readonly id: number; readonly type: string },
  to: {
    readonly connection: { send(message: ServerMessage): void };
    readonly tag: string;
    readonly log: ServerLog;
  },
): void {
  const refusal = refusalOf(error);
  // That the store fails is told once, by whoever watches it.
  if (refusal.code === "INTERNAL")
    to.log("ERROR", `${to.tag} ${request.type} failed: ${describeError(error)}`);
  else if (isLoginType(request.type)) to.log("WARNING", `${to.tag} ${request.type} refused: ${refusal.code}`);
  to.connection.send(refused(request.id, refusal));
}

/**
 * What is answered comes out of the store, where it may have been changed: a client must not take the server for one that
 * breaks the protocol.
 *
 * @returns as `encodeJson` writes it
 * @throws {SchemaError}
 */
export function encodeWellFormed(answer: ServerMessage): Uint8Array {
  const written = serverMessageSchema.write(answer);
  serverMessageSchema.read(written, answer.type);
  return encodeUtf8(JSON.stringify(written));
}
