import type { Hex } from "../base/hex.ts";

/** A certificate that somebody has proven to hold in a handshake, or the server's own. */
export interface CertificateRecord {
  /** SHA-256 of the leaf, 32 bytes. */
  readonly fingerprint: Hex;
  /** Names the person whose device it is: equal for all certificates with the same CA, CN and email. 32 bytes. */
  readonly person: Hex;
  readonly role: "user" | "server";
  /** Issuer and serial in one text: no two certificates of a store share it. */
  readonly issuerSerial: string;
  /** Leaf first, each in DER. */
  readonly chain: readonly Uint8Array[];
}

export interface Account {
  readonly id: number;
  readonly email: string;
  readonly username: string;
  /** PHC string. */
  readonly passwordHash: string;
  /** Only in an account taken over from the original SecureChat whose owner has not logged in since: `passwordHash` is
   *  then not over the password but over `legacyPassword` of this salt and the password. */
  readonly legacySalt: Uint8Array | undefined;
  readonly createdAtMs: number;
  /** `undefined`: never, as far as the store knows. */
  readonly lastLoginAtMs: number | undefined;
  readonly disabled: boolean;
  /** The password is one that the operator has made: it is good until then, and only to be replaced. */
  readonly oneTimeUntilMs: number | undefined;
  /** Whoever logs in with that one-time password may bring a certificate of the same person over another key. */
  readonly allowsNewKey: boolean;
  /** The certificate that the account is bound to; `undefined` for a row taken over from elsewhere and not used since. */
  readonly certificate: CertificateRecord | undefined;
}

/** One counter of failed logins: of an account or of an address. */
export interface AttemptCounter {
  /** e.g. `account:alice@example.org`, at most 300 bytes. */
  readonly subject: string;
  /** How long the next attempt has to wait after the last of so many failures; 0 for none. */
  readonly delayMs: (failures: number) => number;
}

/** Which session of an account is its newest. */
export interface Standing {
  readonly account: number;
  /** The number of its session that began last; 0: none yet. */
  readonly session: number;
}

/** Every write is durable when its promise resolves, and atomic; when it rejects, nothing or all of it was stored. */
export interface AccountStore {
  /** Creates account and certificate together, or neither.
   *  `taken`: email or username belong to an account. `certificate_conflict`: see `putCertificate`. */
  create(account: {
    readonly email: string;
    readonly username: string;
    readonly passwordHash: string;
    readonly certificate: CertificateRecord;
    readonly nowMs: number;
  }): Promise<
    | { readonly kind: "created"; readonly account: Account }
    | { readonly kind: "taken" }
    | { readonly kind: "certificate_conflict" }
  >;

  byEmail(email: string): Promise<Account | undefined>;
  byUsername(username: string): Promise<Account | undefined>;

  /** Binds an account to a certificate, which is stored too. The earlier certificate stays on record; its key packages
   *  and tickets are deleted. */
  bindCertificate(change: {
    readonly account: number;
    readonly certificate: CertificateRecord;
    readonly nowMs: number;
  }): Promise<"bound" | "certificate_conflict">;

  /** A session of the account begins: it takes the place of all before it, whichever process has them.
   *  @returns its number, higher than theirs */
  beginSession(account: number): Promise<number>;

  /** @returns those of the accounts that there are, in no particular order */
  standings(accounts: readonly number[]): Promise<readonly Standing[]>;

  /** Gives an account another password hash, over a password of its owner's choice, if its hash is still `earlier`. Its
   *  tickets are deleted. With `bind` it is bound to that certificate together with it, as by `bindCertificate`.
   *  `outdated`: the hash is another one, or there is no such account. Unless `replaced` nothing changed. */
  replacePassword(change: {
    readonly account: number;
    readonly earlier: string;
    readonly passwordHash: string;
    readonly bind?: { readonly certificate: CertificateRecord; readonly nowMs: number } | undefined;
  }): Promise<"replaced" | "outdated" | "certificate_conflict">;

  /** Stores a certificate unless it is known. `certificate_conflict`: another certificate has its issuer and serial. */
  putCertificate(certificate: CertificateRecord, nowMs: number): Promise<"stored" | "certificate_conflict">;

  /** @returns those that are known, in no particular order */
  certificates(fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]>;

  /** @returns those of `fingerprints` that `person` may see: a server's, its own, and those that are or were in a
   *  conversation with it as far as it sees that conversation */
  certificatesVisibleTo(person: Hex, fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]>;

  /** Counts a failure on each of `counted`, unless one of these or of `consulted` has to wait. Atomic, so parallel
   *  attempts can't slip past a delay. What came of the attempt is said with `settleAttempt`.
   *  @returns 0 when the attempt may go on, else how many ms it has to wait (then nothing was counted) */
  reserveAttempt(attempt: {
    readonly counted: readonly AttemptCounter[];
    readonly consulted: readonly AttemptCounter[];
    readonly nowMs: number;
  }): Promise<number>;

  /** Forgets all failures of `clear`, takes one back from each of `forgive`, counts one on each of `count`. */
  settleAttempt(outcome: {
    readonly clear: readonly string[];
    readonly forgive: readonly string[];
    readonly count: readonly string[];
    readonly nowMs: number;
  }): Promise<void>;

  /** A token bucket, full at `capacity`, that gains a token every `refillMs`, to the ms and no more than one in each. Takes one
   *  token if there is one.
   *  @returns 0 when it was taken, else ms until there is one */
  takeToken(bucket: {
    readonly subject: string;
    readonly capacity: number;
    readonly refillMs: number;
    readonly nowMs: number;
  }): Promise<number>;
}
