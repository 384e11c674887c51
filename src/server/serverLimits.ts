/** Every bound of a running server. Times are ms, sizes are bytes, all inclusive. */
export interface ServerLimits {
  /** Connections at once: in all, without a finished handshake, from one address (IPv6: one /64). */
  readonly connections: number;
  readonly halfOpenConnections: number;
  readonly connectionsPerAddress: number;
  /** New connections from one address. */
  readonly connectionRate: TokenBucket;
  /** From the connection to the end of the handshake. */
  readonly handshakeMs: number;
  /** Without a login that succeeded or is being worked on. */
  readonly loginMs: number;
  /** Without a frame from the client. */
  readonly idleMs: number;
  /** Bytes that wait for a client's socket: beyond it the client is cut off. */
  readonly queuedBytes: number;
  /** Work for one person: a token for each request, and one for each `bytesPerWorkToken` of what it brings or is answered. */
  readonly work: TokenBucket;
  /** Bytes that the store keeps for one person: entries, blobs, signatures under receipts. */
  readonly storedBytes: TokenBucket;
  /** Posts of one connection that are not answered yet, and the bytes of their lines: beyond it the server reads no
   *  further. One post is always taken. */
  readonly postsInFlight: number;
  readonly postBytesInFlight: number;
  /** Passwords that are hashed at once, and that may wait for it. */
  readonly passwordsAtOnce: number;
  readonly passwordsWaiting: number;
  /** How long after the end of a session its client can come back to it without the password. */
  readonly ticketMs: number;
  /** One-time key packages that wait for one certificate. */
  readonly oneTimeKeyPackages: number;
  /** Bytes of uploads and blobs of one person that no entry names. */
  readonly unnamedBlobBytes: number;
  /** Token buckets: so many at once, then one per `refillMs`. */
  readonly keyPackagePublications: TokenBucket;
  readonly keyPackageTakes: TokenBucket;
  readonly keyPackageTakesPerTarget: TokenBucket;
  readonly conversationCreations: TokenBucket;
  /** Commits of one person in one conversation: each ends the epoch that the others write in. */
  readonly commits: TokenBucket;
  readonly receiptSignatures: TokenBucket;
  /** One token a mark. */
  readonly deliveryMarks: TokenBucket;
}

export interface TokenBucket {
  readonly capacity: number;
  readonly refillMs: number;
}

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

const gibibyte = 1024 ** 3;

/** What a request may bring or be answered for one token of work. */
export const bytesPerWorkToken = 4_096;

export const defaultLimits: ServerLimits = {
  connections: 20_000,
  halfOpenConnections: 16_384,
  connectionsPerAddress: 1_024,
  connectionRate: { capacity: 512, refillMs: second / 50 },
  handshakeMs: 10 * second,
  loginMs: 30 * second,
  idleMs: 90 * second,
  queuedBytes: 2 * 1024 * 1024,
  work: { capacity: 2_000, refillMs: second / 4_000 },
  storedBytes: { capacity: 2 * gibibyte, refillMs: day / (2 * gibibyte) },
  postsInFlight: 256,
  postBytesInFlight: 1024 * 1024,
  passwordsAtOnce: 4,
  passwordsWaiting: 1_024,
  ticketMs: 72 * hour,
  oneTimeKeyPackages: 100,
  unnamedBlobBytes: 16 * 1024 * 1024,
  keyPackagePublications: { capacity: 30, refillMs: minute },
  keyPackageTakes: { capacity: 300, refillMs: 10 * second },
  keyPackageTakesPerTarget: { capacity: 10, refillMs: 6 * minute },
  conversationCreations: { capacity: 100, refillMs: 5 * minute },
  commits: { capacity: 32, refillMs: 5 * second },
  receiptSignatures: { capacity: 60, refillMs: 5 * second },
  deliveryMarks: { capacity: 128, refillMs: 50 },
};

/** Expiry of what the store keeps for a while. */
export const retention = {
  sweepEveryMs: hour,
  keyPackageMs: 90 * day,
  welcomeMs: 90 * day,
  unnamedBlobMs: day,
  counterMs: day,
} as const;
