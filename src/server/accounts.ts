import { equalBytes } from "../base/bytes.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { personOf, serverNames } from "../pki/identity.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Account, CertificateRecord } from "../store/accountStore.ts";
import { legacyPassword } from "../store/legacyPassword.ts";
import type { LoginRequest } from "../wire/sessionMessages.ts";
import { accountCounter, addressCounter } from "./loginDelay.ts";
import type { PasswordHasher } from "./passwordHasher.ts";
import { certificateRecord } from "./person.ts";
import { Refusal, tryLater } from "./refusal.ts";
import type { Services } from "./services.ts";

/** Shortest password, in Unicode code points. */
const minPasswordLength = 8;

type Register = Extract<LoginRequest, { type: "register" }>;
type Login = Extract<LoginRequest, { type: "login" }>;

/** Who is asking, as the handshake has proven. */
export interface Claimant {
  readonly certificate: VerifiedCertificate;
  /** As `networkOf` names it. */
  readonly network: string;
}

type AccountServices = Pick<Services, "store" | "identity" | "registration" | "now"> & {
  readonly passwords: PasswordHasher;
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

  /** @throws {Refusal} `IDENTITY_MISMATCH`, `REGISTRATION_CLOSED`, `WEAK_PASSWORD`, `TAKEN`, `CERTIFICATE_INVALID` */
  async register(request: Register, { certificate }: Claimant): Promise<Account> {
    const { store, identity, registration, now, passwords } = this.#services;
    const { email, username, password } = request;
    checkIdentity(certificate.certificate, { email, username });
    refuseServerName(username, identity);
    if (registration === "closed")
      throw new Refusal("REGISTRATION_CLOSED", "this server takes no registrations, ask its operator");
    checkPassword(password, [username, email]);
    const [byEmail, byUsername] = await Promise.all([
      store.accounts.byEmail(email),
      store.accounts.byUsername(username),
    ]);
    if (byEmail !== undefined || byUsername !== undefined) throw taken();
    const passwordHash = await passwords.hash(password);
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
    return created.account;
  }

  /** @throws {Refusal} `IDENTITY_MISMATCH`, `TRY_LATER`, `AUTHENTICATION_FAILED`, `ACCOUNT_DISABLED`, `CERTIFICATE_INVALID` */
  async login(request: Login, { certificate, network }: Claimant): Promise<Account> {
    const { store, identity, now, passwords } = this.#services;
    const { email, password } = request;
    const { username } = checkIdentity(certificate.certificate, { email });
    refuseServerName(username, identity);
    const account = await store.accounts.byEmail(email);
    const record = certificateRecord(certificate, "user");
    if (account !== undefined) checkBinding(account, username, record);

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
    if (!(await passwords.verify(proof, account?.passwordHash)) || account === undefined) {
      const nothing = { clear: [], forgive: [], nowMs: now() };
      await store.accounts.settleAttempt({ ...nothing, count: [ofAddress.subject] });
      throw new Refusal("AUTHENTICATION_FAILED", "no account with this email and password");
    }
    await store.accounts.settleAttempt({
      clear: [ofAccount.subject],
      forgive: [ofAddress.subject],
      count: [],
      nowMs: now(),
    });
    if (account.disabled)
      throw new Refusal("ACCOUNT_DISABLED", "this account is disabled, ask the server's operator");
    // Taken over from the original: from now on its hash is like all others.
    if (salt !== undefined)
      await store.accounts.replacePassword({
        account: account.id,
        earlier: account.passwordHash,
        passwordHash: await passwords.hash(password),
      });
    if (account.certificate?.fingerprint === record.fingerprint) return account;
    const bound = await store.accounts.bindCertificate({
      account: account.id,
      certificate: record,
      nowMs: now(),
    });
    if (bound === "certificate_conflict") throw certificateConflict();
    return { ...account, certificate: record };
  }
}

/** @throws {Refusal} `IDENTITY_MISMATCH` unless the certificate is of this email (and username) */
function checkIdentity(
  certificate: Certificate,
  claim: { email: string; username?: string },
): { username: string } {
  const { email, username } = personOf(certificate);
  if (email !== claim.email || username !== (claim.username ?? username))
    throw new Refusal("IDENTITY_MISMATCH", "the certificate is of another username or email");
  return { username };
}

/** By its names a server is known, and its operator. @throws {Refusal} `IDENTITY_MISMATCH` */
function refuseServerName(username: string, { verified }: Services["identity"]): void {
  if (serverNames(verified.certificate).includes(username))
    throw new Refusal("IDENTITY_MISMATCH", `${username} is a name of this server, and nobody else's`);
}

/**
 * An account stays with the key of its certificate: a renewed certificate of the same person over the same key may take
 * the old one's place, one over another key may not.
 *
 * @throws {Refusal} `IDENTITY_MISMATCH`
 */
function checkBinding(account: Account, username: string, record: CertificateRecord): void {
  if (account.username !== username)
    throw new Refusal("IDENTITY_MISMATCH", "the account of this email has another username");
  const bound = account.certificate;
  if (bound === undefined || bound.fingerprint === record.fingerprint) return;
  if (bound.person !== record.person || !equalBytes(spkiOf(bound), spkiOf(record)))
    throw new Refusal(
      "IDENTITY_MISMATCH",
      "the account is bound to a certificate with another key, ask the server's operator to move it",
    );
}

function spkiOf({ chain }: CertificateRecord): Uint8Array {
  const [leaf] = chain;
  if (leaf === undefined) throw new Refusal("INTERNAL", "a stored certificate has no chain");
  return decodeCertificate(leaf).publicKey.spki;
}

/** @throws {Refusal} `WEAK_PASSWORD` */
function checkPassword(password: string, names: readonly string[]): void {
  if ([...password].length < minPasswordLength)
    throw new Refusal("WEAK_PASSWORD", `a password has at least ${minPasswordLength} characters`);
  if (names.some((name) => name.toLowerCase() === password.toLowerCase()))
    throw new Refusal("WEAK_PASSWORD", "the password must not be the username or email");
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
