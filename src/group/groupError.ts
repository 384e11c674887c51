import { CodedError } from "../base/codedError.ts";

/**
 * Why a device, key package, commit, welcome, GroupInfo or stored state was not taken. Whatever the library below
 * throws at hostile input comes out as one of these, with the original as `cause`.
 */
export type GroupErrorCode =
  /** Not the canonical encoding of what it should be, or trailing bytes. */
  | "MALFORMED"
  /** Over a limit of the profile: bytes, members, proposals, length of a path. */
  | "TOO_LARGE"
  /** Well-formed MLS that the profile does not allow: another suite, extension, credential, proposal or sender type. */
  | "UNSUPPORTED"
  /** A signature, tag, hash, key or rule of RFC 9420 does not hold. */
  | "INVALID"
  /** Two leaves or nodes share a key, or two leaves a certificate. */
  | "DUPLICATE"
  /** `judge` did not accept a device; its error is the `cause`. */
  | "DEVICE_REFUSED"
  /** A device identity names another certificate than the one it is checked against. */
  | "DEVICE_CERTIFICATE"
  | "DEVICE_EXPIRED"
  | "DEVICE_SIGNATURE"
  /** The key package is outside of its lifetime. */
  | "KEY_PACKAGE_EXPIRED"
  | "WRONG_CONVERSATION"
  | "WRONG_EPOCH"
  /** Commit, welcome and GroupInfo do not belong to each other. */
  | "WRONG_COMMIT"
  /** The leaf that commits, or that is replaced, does not belong to the signer of the entry. */
  | "WRONG_SENDER"
  /** The state's own commit: adopt what was stored with it instead. */
  | "OWN_COMMIT"
  /** The commit removes the own leaf: delete the state, nothing after it can be read. */
  | "REMOVED"
  /** The welcome has no secrets for this key package. */
  | "NOT_INVITED"
  | "NOT_A_MEMBER"
  /** The chains of this epoch were exported already. */
  | "EXPORTED"
  /** Stored bytes are not a state, device or key package of this version. */
  | "STATE_UNREADABLE";

export class GroupError extends CodedError<GroupErrorCode> {
  override readonly name = "GroupError";
}

/**
 * Runs one call into the MLS library. It signals hostile input by errors of its own, by range and type errors and by
 * `undefined`; all of it means that the input is not valid.
 *
 * @param what names the input for the message
 * @throws {GroupError} `INVALID`, or the one that came through the call
 */
export async function guard<T>(what: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof GroupError) throw cause;
    throw new GroupError("INVALID", `${what} is not valid`, { cause });
  }
}
