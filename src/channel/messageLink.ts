/**
 * One side of a session, as far as whole messages go: through an established channel, or inside of one process for a
 * member that has no other way.
 */
export interface MessageLink {
  /** Takes one message on its way; on a link that has ended it is lost. */
  send(message: Uint8Array): void;
  /** @returns the peer's next message. One reader at a time. @throws {ChannelError} {WireError} what ended the link */
  receive(): Promise<Uint8Array>;
  /** Tells the peer that this side ends the session, and lets go. */
  close(): void;
  /** Lets go without a word. Harmless on a link that has ended. */
  abandon(): void;
}
