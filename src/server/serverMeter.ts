/**
 * What happens in a server, for whoever counts it. Called where every entry passes: an implementation is cheap and never
 * throws. Labels come from closed sets of ours, never from a peer.
 */
export interface ServerMeter {
  /** A TCP connection came. */
  connection(outcome: "accepted" | "refused"): void;
  /** A handshake ended: `ok`, or the code of what it failed with. */
  handshake(outcome: string, seconds: number): void;
  /** A request other than `post` was answered: `ok`, or the code of the refusal. */
  request(type: string, outcome: string, seconds: number): void;
  /** A posted entry was answered: `accepted`, or the code of the refusal. */
  entry(outcome: string): void;
  /** Entries were sent to a member who is online. */
  pushed(entries: number): void;
  /** Conversations were deleted, since they had no entry for longer than the server keeps them. */
  expired(conversations: number): void;
  /** A call of the store (`log.append`) ended: `ok`, or the code of its error. */
  stored(call: string, outcome: string, seconds: number): void;
}

/** Counts nothing. */
export const noMeter: ServerMeter = {
  connection() {},
  handshake() {},
  request() {},
  entry() {},
  pushed() {},
  expired() {},
  stored() {},
};
