/**
 * The root of every error that SecureChat throws on purpose. Each floor extends it once with a closed union of
 * codes; callers branch on `code`, never on the text of `message`. Messages are for people: what failed, which
 * thing, what to do. They never carry a secret, and text from a peer goes through `visible` first.
 */
export abstract class CodedError<Code extends string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
