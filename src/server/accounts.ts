import { isRenewal } from "../log/renewal.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Account, CertificateRecord } from "../store/accountStore.ts";
import { legacyPassword } from "../store/legacyPassword.ts";
import type { LoginRequest } from "../wire/loginMessages.ts";
import { checkBinding, checkIdentity, refuseServerName } from "./accountBinding.ts";
import { accountCounter, addressCounter } from "./loginDelay.ts";
import type { PasswordHasher } from "./passwordHasher.ts";
import { checkPassword } from "./passwordPolicy.ts";
import { certificateRecord } from "./person.ts";
import { Refusal, tryLater } from "./refusal.ts";
import type { Services } from "./services.ts";
import type { Ticket, Tickets } from "./tickets.ts";

type RequestOf<T extends LoginRequest["type"]> = Extract<LoginRequest, { type: T }>;

/** Who is asking, as the handshake has proven. */
export interface Claimant {
  readonly certificate: VerifiedCertificate;
  /** As `networkOf` names it. */
  readonly network: string;
}

/** Who has come in, and what to come back with. */
export interface Entry {
  readonly account: Account;
  readonly ticket: Ticket;
}

type AccountServices = Pick<Services, "store" | "identity" | "registration" | "certificates" | "now"> & {
  readonly passwords: PasswordHasher;
  readonly tickets: Tickets;
};

/**
 * The certificate says who somebody is, the password guards a stolen key. The certificate is compared first, so nobody
 * can try, lock or probe the account of somebody else.
 */
export class Accounts {
  readonly #services: AccountServices;

  constructor(services: AccountServices) {
    this.#services = services;
  }

  /** @throws {Refusal} `IDENTITY_MISMATCH`, `REGISTRATION_CLOSED`, `WEAK_PASSWORD`, `TAKEN`, `TRY_LATER`, `CERTIFICATE_INVALID` */
  async register(request: RequestOf<"register">, { certificate, network }: Claimant): Promise<Entry> {
    const { store, identity, registration, now, passwords } = this.#services;
    const { email, username, password } = request;
    checkIdentity(certificate.certificate, { email, username });
    refuseServerName(username, identity);
    if (registration === "closed")
      throw new Refusal(
        "REGISTRATION_CLOSED",
        "this server takes no registrations: ask its operator for an account and a one-time password, then log in",
      );
    checkPassword(password, [username, email]);
    const [byEmail, byUsername] = await Promise.all([
      store.accounts.byEmail(email),
      store.accounts.byUsername(username),
    ]);
    if (byEmail !== undefined || byUsername !== undefined) throw taken();
    const passwordHash = await passwords.hash(password, network);
    const record = certificateRecord(certificate, "user");
    const created = await store.accounts.create({
      email,
      username,
      passwordHash,
      certificate: record,
      nowMs: now(),
    });
    if (created.kind === "taken") throw taken();
    if (created.kind === "certificate_conflict") throw certificateConflict();
    return await this.#enter(created.account, record);
  }

  /** @throws {Refusal} as `#authenticate`; `PASSWORD_CHANGE_REQUIRED`, `CERTIFICATE_INVALID` */
  async login(request: RequestOf<"login"> | RequestOf<"renew">, claimant: Claimant): Promise<Entry> {
    const { account, record } = await this.#authenticate(request, claimant);
    if (account.oneTimeUntilMs !== undefined)
      throw new Refusal(
        "PASSWORD_CHANGE_REQUIRED",
        "this is a one-time password: choose another one to log in",
      );
    const { legacySalt } = account;
    // Taken over from the original: from now on its hash is like all others.
    const current =
      legacySalt === undefined
        ? await this.#bind(account, record)
        : await this.#replacePassword(account, { chosen: request.password, record, claimant });
    // Another login of the same person was faster: the password is judged by what stands now, which is no legacy hash any more.
    if (current === undefined) return await this.login(request, claimant);
    return await this.#enter(current, record);
  }

  /** As `login`, with another password from then on.
   *  @throws {Refusal} `WEAK_PASSWORD`; as `#authenticate`; `CERTIFICATE_INVALID` */
  async changePassword(request: RequestOf<"change_password">, claimant: Claimant): Promise<Entry> {
    const { email, password, new_password: chosen } = request;
    const { username } = checkIdentity(claimant.certificate.certificate, { email });
    checkPassword(chosen, [username, email]);
    if (chosen.normalize("NFC") === password.normalize("NFC"))
      throw new Refusal("WEAK_PASSWORD", "the new password must not be the old one");
    const { account, record } = await this.#authenticate(request, claimant);
    const changed = await this.#replacePassword(account, { chosen, record, claimant });
    // Somebody else was faster: a one-time password is good once.
    if (changed === undefined) throw authenticationFailed();
    return await this.#enter(changed, record);
  }

  /** @throws {Refusal} `TICKET_REFUSED` */
  async resume({ ticket }: RequestOf<"resume">, { certificate }: Claimant): Promise<Entry> {
    const entry = await this.#services.tickets.redeem(ticket, certificate.certificate.fingerprint);
    if (entry === undefined)
      throw new Refusal("TICKET_REFUSED", "the earlier session can't be resumed, log in with the password");
    refuseServerName(entry.account.username, this.#services.identity);
    return entry;
  }

  /**
   * Whatever the account is, the password costs one hash of the same parameters before anything is said.
   *
   * @returns the account whose password this is, and the certificate, which may take the place of the account's
   * @throws {Refusal} `IDENTITY_MISMATCH`, `TRY_LATER`, `AUTHENTICATION_FAILED`, `ACCOUNT_DISABLED`, `PASSWORD_EXPIRED`
   */
  async #authenticate(
    request: RequestOf<"login" | "change_password" | "renew">,
    { certificate, network }: Claimant,
  ): Promise<{ account: Account; record: CertificateRecord }> {
    const { store, identity, now, passwords } = this.#services;
    const { email, password } = request;
    const { username } = checkIdentity(certificate.certificate, { email });
    refuseServerName(username, identity);
    const account = await store.accounts.byEmail(email);
    const record = certificateRecord(certificate, "user");
    const hasRenewal =
      request.type === "renew" && (await this.#hasSignedFor(account, record, request.signature));
    if (account !== undefined) checkBinding(account, username, { record, nowMs: now(), hasRenewal });

    const [ofAccount, ofAddress] = [accountCounter(email), addressCounter(network)];
    const waitMs = await store.accounts.reserveAttempt({
      counted: [ofAccount],
      consulted: [ofAddress],
      nowMs: now(),
    });
    if (waitMs > 0) throw tryLater("too many failed logins", waitMs);
    // The attempt counts as failed until the password has proven right: also when the hasher is too busy.
    const salt = account?.legacySalt;
    const proof = salt === undefined ? password : legacyPassword(salt, password);
    if (!(await passwords.verify(proof, account?.passwordHash, network)) || account === undefined) {
      const nothing = { clear: [], forgive: [], nowMs: now() };
      await store.accounts.settleAttempt({ ...nothing, count: [ofAddress.subject] });
      throw authenticationFailed();
    }
    await store.accounts.settleAttempt({
      clear: [ofAccount.subject],
      forgive: [ofAddress.subject],
      count: [],
      nowMs: now(),
    });
    if (account.disabled)
      throw new Refusal("ACCOUNT_DISABLED", "this account is disabled, ask the server's operator");
    if (account.oneTimeUntilMs !== undefined && now() >= account.oneTimeUntilMs)
      throw new Refusal(
        "PASSWORD_EXPIRED",
        "this one-time password has expired, ask the server's operator for another one",
      );
    return { account, record };
  }

  /** A certificate that has expired or is revoked speaks for nobody any more. */
  async #hasSignedFor(
    account: Account | undefined,
    { fingerprint }: CertificateRecord,
    signature: Uint8Array,
  ): Promise<boolean> {
    const { certificates, now } = this.#services;
    const bound = account?.certificate?.fingerprint;
    if (bound === undefined) return false;
    await certificates.load([bound]);
    return (
      certificates.isGood(bound, now()) && isRenewal(certificates.at(bound, now()), fingerprint, signature)
    );
  }

  /** Binds the account to the certificate with it: of two who may move it, the one that comes in does.
   *  @returns `undefined` when the account has another hash by now than it was judged by */
  async #replacePassword(
    account: Account,
    by: { chosen: string; record: CertificateRecord; claimant: Claimant },
  ): Promise<Account | undefined> {
    const { store, passwords, now } = this.#services;
    const { chosen, record: certificate, claimant } = by;
    const passwordHash = await passwords.hash(chosen, claimant.network);
    const isBound = account.certificate?.fingerprint === certificate.fingerprint;
    const bind = isBound ? undefined : { certificate, nowMs: now() };
    const change = { account: account.id, earlier: account.passwordHash, passwordHash, bind };
    const outcome = await store.accounts.replacePassword(change);
    if (outcome === "outdated") return undefined;
    if (outcome === "certificate_conflict") throw certificateConflict();
    return { ...account, passwordHash, certificate };
  }

  async #bind(account: Account, certificate: CertificateRecord): Promise<Account> {
    if (account.certificate?.fingerprint === certificate.fingerprint) return account;
    const { store, now } = this.#services;
    const bound = await store.accounts.bindCertificate({ account: account.id, certificate, nowMs: now() });
    if (bound === "certificate_conflict") throw certificateConflict();
    return { ...account, certificate };
  }

  async #enter(account: Account, { fingerprint }: CertificateRecord): Promise<Entry> {
    const ticket = await this.#services.tickets.issue(account, fingerprint);
    // Disabled or reset while the password was being hashed: the next login says which.
    if (ticket === undefined) throw authenticationFailed();
    return { account, ticket };
  }
}

function authenticationFailed(): Refusal {
  return new Refusal("AUTHENTICATION_FAILED", "no account with this email and password");
}

function taken(): Refusal {
  return new Refusal("TAKEN", "there is an account with this username or email, log in instead");
}

function certificateConflict(): Refusal {
  return new Refusal(
    "CERTIFICATE_INVALID",
    "the server knows another certificate with this issuer and serial number",
  );
}
