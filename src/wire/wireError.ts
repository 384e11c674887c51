import { CodedError } from "../base/codedError.ts";

/** What a peer sent is no frame or no message of this protocol. */
export class WireError extends CodedError<"FRAME_TOO_LONG" | "FRAME_EMPTY" | "MESSAGE_MALFORMED"> {
  override readonly name = "WireError";
}
