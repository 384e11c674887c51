import { encodeUtf8 } from "../base/bytes.ts";
import { CodedError } from "../base/codedError.ts";
import { visible } from "../base/visible.ts";
import { LogError } from "../log/logError.ts";
import { StoreError } from "../store/storeError.ts";
import type { RefusalCode, ServerMessage } from "../wire/sessionMessages.ts";

/** A request that is answered with `refused`; it has changed nothing. */
export class Refusal extends CodedError<RefusalCode> {
  override readonly name = "Refusal";
  /** What a program needs with some codes, see the field `detail` of `refused`. */
  readonly detail: string;

  constructor(code: RefusalCode, message: string, options: { detail?: string; cause?: unknown } = {}) {
    super(code, message, "cause" in options ? { cause: options.cause } : {});
    this.detail = options.detail ?? "";
  }
}

/** @returns the refusal that stands for an error of a handler; `INTERNAL` for what nobody expected */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof LogError && error.code !== "TIME_ORDER")
    return new Refusal(error.code, error.message, { cause: error });
  if (error instanceof StoreError && (error.code === "UNAVAILABLE" || error.code === "CLOSED"))
    return new Refusal("UNAVAILABLE", "the server can't store or read at the moment, try again", {
      cause: error,
    });
  return new Refusal("INTERNAL", "the server failed to do this", { cause: error });
}

/** @returns the answer to the request `id` */
export function refused(id: number, { code, message, detail }: Refusal): ServerMessage {
  return { type: "refused", id, code, message: fitting(message), detail };
}

/** @returns a refusal that says when to come again */
export function tryLater(message: string, waitMs: number): Refusal {
  return new Refusal("TRY_LATER", `${message}, try again in ${Math.ceil(waitMs / 1000)} s`, {
    detail: String(Math.ceil(waitMs)),
  });
}

/** At most the 512 bytes that `refused` has room for. Nothing of it can move somebody's cursor. */
function fitting(message: string): string {
  const text = visible(message).toWellFormed();
  return encodeUtf8(text).length <= 512 ? text : `${text.slice(0, 160).toWellFormed()} …`;
}
