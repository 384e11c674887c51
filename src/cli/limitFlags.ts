import {
  day,
  defaultLimits,
  hour,
  minute,
  type ServerLimits,
  second,
  type TokenBucket,
} from "../server/serverLimits.ts";
import { usageError } from "./cliError.ts";
import { type Arguments, type Flag, integerFlag } from "./commandLine.ts";

type LimitsOf<V> = { [K in keyof ServerLimits]: ServerLimits[K] extends V ? K : never }[keyof ServerLimits];

interface LimitText {
  readonly flag: string;
  /** What is limited. */
  readonly what: string;
  /** What happens beyond it: an alert, a code of `refused`, or no more than waiting. */
  readonly beyond: string;
}

interface NumberLimit extends LimitText {
  readonly limit: LimitsOf<number>;
  readonly unit: keyof typeof unitSizes;
  /** Inclusive, in units. */
  readonly min: number;
  readonly max: number;
}

interface RateLimit extends LimitText {
  readonly limit: LimitsOf<TokenBucket>;
  readonly unit: "tokens" | "MiB";
}

export type Limit = NumberLimit | RateLimit;

const unitSizes = { n: 1, seconds: second, hours: hour, KiB: 1024, MiB: 1024 * 1024 } as const;
const rateUnits = { tokens: 1, MiB: 1024 * 1024 } as const;
const periods = { s: second, min: minute, h: hour, day } as const;
/** Most of a burst and of what comes a period, in units. */
const maxTokens = 1_000_000;

/** Every bound of a server: what parses the flags, what `--help` says, and (held by a test) the table of the README. */
export const serverLimitFlags: readonly Limit[] = [
  {
    flag: "max-connections",
    limit: "connections",
    unit: "n",
    min: 1,
    max: 1_000_000,
    what: "connections",
    beyond: "alert `too_many_connections`",
  },
  {
    flag: "max-half-open",
    limit: "halfOpenConnections",
    unit: "n",
    min: 1,
    max: 1_000_000,
    what: "connections without a finished handshake",
    beyond: "alert `too_many_connections`",
  },
  {
    flag: "max-connections-per-address",
    limit: "connectionsPerAddress",
    unit: "n",
    min: 1,
    max: 1_000_000,
    what: "connections from one address (IPv6: one /64)",
    beyond: "alert `too_many_connections`",
  },
  {
    flag: "connection-rate",
    limit: "connectionRate",
    unit: "tokens",
    what: "new connections from one address",
    beyond: "alert `too_many_connections`",
  },
  {
    flag: "handshake-timeout",
    limit: "handshakeMs",
    unit: "seconds",
    min: 1,
    max: 600,
    what: "what a client takes for its part of the handshake",
    beyond: "alert `timeout`",
  },
  {
    flag: "login-timeout",
    limit: "loginMs",
    unit: "seconds",
    min: 1,
    max: 3_600,
    what: "from there, or from the last refusal, to the login",
    beyond: "alert `timeout`",
  },
  {
    flag: "idle-timeout",
    limit: "idleMs",
    unit: "seconds",
    min: 45,
    max: 86_400,
    what: "silence of a client that is logged in (clients ping every 30 s)",
    beyond: "alert `timeout`",
  },
  {
    flag: "max-queued",
    limit: "queuedBytes",
    unit: "KiB",
    min: 512,
    max: 1_048_576,
    what: "waiting for a client that does not read",
    beyond: "cut off",
  },
  {
    flag: "request-rate",
    limit: "work",
    unit: "tokens",
    what: "requests of one user, posts among them; each 4 KiB sent or answered count as one more",
    beyond: "held up for 1 s, beyond that `TRY_LATER`",
  },
  {
    flag: "storage-rate",
    limit: "storedBytes",
    unit: "MiB",
    what: "stored for one user: entries, blobs, receipts",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "max-posts-in-flight",
    limit: "postsInFlight",
    unit: "n",
    min: 1,
    max: 65_536,
    what: "posts of a connection that are not answered",
    beyond: "waits",
  },
  {
    flag: "max-post-bytes-in-flight",
    limit: "postBytesInFlight",
    unit: "KiB",
    min: 1,
    max: 65_536,
    what: "the lines of those posts; one is always taken",
    beyond: "waits",
  },
  {
    flag: "max-logins",
    limit: "passwordsAtOnce",
    unit: "n",
    min: 1,
    max: 256,
    what: "passwords hashed at once, 19 MiB each",
    beyond: "waits",
  },
  {
    flag: "max-logins-waiting",
    limit: "passwordsWaiting",
    unit: "n",
    min: 1,
    max: 100_000,
    what: "passwords that wait for it",
    beyond: "`TRY_LATER`, for whoever has most of them",
  },
  {
    flag: "ticket-lifetime",
    limit: "ticketMs",
    unit: "hours",
    min: 1,
    max: 8_760,
    what: "absence of a client that comes back without its password",
    beyond: "`TICKET_REFUSED`: the password is asked for again",
  },
  {
    flag: "max-key-packages",
    limit: "oneTimeKeyPackages",
    unit: "n",
    min: 10,
    max: 1_000,
    what: "one-time key packages that wait for one certificate",
    beyond: "`TOO_MANY`",
  },
  {
    flag: "publish-rate",
    limit: "keyPackagePublications",
    unit: "tokens",
    what: "publications of key packages by one user",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "invite-rate",
    limit: "keyPackageTakes",
    unit: "tokens",
    what: "key packages that one user takes",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "invite-rate-per-person",
    limit: "keyPackageTakesPerTarget",
    unit: "tokens",
    what: "of these, of one other person",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "conversation-rate",
    limit: "conversationCreations",
    unit: "tokens",
    what: "new conversations of one user",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "group-change-rate",
    limit: "commits",
    unit: "tokens",
    what: "changes of the group by one user in one conversation",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "receipt-rate",
    limit: "receiptSignatures",
    unit: "tokens",
    what: "receipts that one user signs",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "delivery-rate",
    limit: "deliveryMarks",
    unit: "tokens",
    what: "delivery marks of one user",
    beyond: "`TRY_LATER`",
  },
  {
    flag: "max-unnamed-blobs",
    limit: "unnamedBlobBytes",
    unit: "KiB",
    min: 4_096,
    max: 1_048_576,
    what: "uploads of one user that no entry names",
    beyond: "`TOO_MANY`",
  },
];

/** What `serve` takes, for its help page. */
export const limitFlags: readonly Flag[] = serverLimitFlags.map((limit) => ({
  name: limit.flag,
  value: valueName(limit),
  description: `Limit: ${limit.what} (default: ${formatDefault(limit)})`,
}));

/** @throws {CliError} exit code 2 */
export function parseLimits(args: Arguments): ServerLimits {
  const given = serverLimitFlags.map((limit) => [
    limit.limit,
    isRate(limit) ? rateFlag(args, limit) : sizeFlag(args, limit),
  ]);
  return { ...defaultLimits, ...Object.fromEntries(given) };
}

/** The default in the form that the flag takes. */
export function formatDefault(limit: Limit): string {
  if (!isRate(limit)) return String(defaultLimits[limit.limit] / unitSizes[limit.unit]);
  const { capacity, refillMs } = defaultLimits[limit.limit];
  const size = rateUnits[limit.unit];
  const [name, count] =
    Object.entries(periods)
      .map(([period, ms]) => [period, ms / refillMs / size] as const)
      .find(([, each]) => each >= 1 && Math.abs(each - Math.round(each)) < 1e-6) ?? [];
  return `${capacity / size},${Math.round(count ?? 0)}/${name}`;
}

/** What stands for the flag's value on a help page. */
export function valueName(limit: Limit): string {
  if (!isRate(limit)) return limit.unit;
  return limit.unit === "MiB" ? "MiB,MiB/period" : "n,n/period";
}

function isRate(limit: Limit): limit is RateLimit {
  return !("min" in limit);
}

function sizeFlag(args: Arguments, { flag, limit, unit, min, max }: NumberLimit): number {
  const size = unitSizes[unit];
  return integerFlag(args, flag, { min, max, fallback: defaultLimits[limit] / size }) * size;
}

/** `100,12/h`: 100 at once, then 12 an hour. */
function rateFlag(args: Arguments, { flag, limit, unit }: RateLimit): TokenBucket {
  const text = args.text(flag);
  if (text === undefined) return defaultLimits[limit];
  const match = /^([1-9]\d{0,6}),([1-9]\d{0,6})\/(s|min|h|day)$/.exec(text);
  const [burst, count] = [Number(match?.[1]), Number(match?.[2])];
  const period = Object.entries(periods).find(([name]) => name === match?.[3])?.[1];
  if (period === undefined || !(burst <= maxTokens && count <= maxTokens))
    throw usageError(
      `option --${flag} must be like 100,12/h: 100 at once, then 12 an hour (s, min, h or day; numbers from 1 to ${maxTokens}), not "${text}"`,
    );
  const size = rateUnits[unit];
  return { capacity: burst * size, refillMs: period / (count * size) };
}
