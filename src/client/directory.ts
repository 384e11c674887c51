import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { authorityOf } from "../log/memberIdentity.ts";
import type { RosterRow } from "../log/roster.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { serverNames } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type Purpose, type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import { ClientError } from "./clientError.ts";
import type { OnEvent } from "./clientEvents.ts";
import type { Revocations } from "./revocations.ts";
import type { Vault, VaultBatch } from "./vault.ts";
import {
  chainSchema,
  decodeRecord,
  encodeRecord,
  maxPins,
  type PersonRecord,
  personSchema,
} from "./vaultRecords.ts";

/** Whose certificate a signature or a device is by, as far as this client trusts it. */
export interface PersonKey {
  readonly username: string;
  readonly email: string;
  /** SHA-256 of the public key of the CA. */
  readonly authority: Hex;
}

/**
 * The certificates that this client knows, and what it makes of them. Chains come from the server or from peers and are
 * claims until `verifyPath` has judged them, each time for the purpose and time in question.
 */
export class Directory {
  readonly #anchors: readonly Certificate[];
  readonly #revocations: Revocations;
  readonly #vault: Vault;
  readonly #now: () => number;
  readonly #onEvent: OnEvent;
  readonly #chains = new Map<Hex, readonly Certificate[]>();
  /** By `<username>/<email>/<authority>`. */
  readonly #persons = new Map<string, PersonRecord>();

  constructor(options: {
    anchors: readonly Certificate[];
    revocations: Revocations;
    vault: Vault;
    now: () => number;
    onEvent: OnEvent;
  }) {
    this.#anchors = options.anchors;
    this.#revocations = options.revocations;
    this.#vault = options.vault;
    this.#now = options.now;
    this.#onEvent = options.onEvent;
    for (const { key, value } of this.#vault.list("person"))
      this.#persons.set(key, decodeRecord(personSchema, value, "person"));
  }

  get anchors(): readonly Certificate[] {
    return this.#anchors;
  }

  /** The server that was dialled, now. A CRL that is out of date still says who is revoked. @throws {PkiError} */
  verifyServer(chain: readonly Uint8Array[], host: string): VerifiedCertificate {
    return this.#verify(chain.map(decodeCertificate), {
      purpose: "server",
      host,
      crlGraceMs: Number.POSITIVE_INFINITY,
    });
  }

  /**
   * Somebody who is to be let into a conversation, now. With a CRL that is out of date nobody is.
   *
   * @param purpose `server` for a server's operator
   * @throws {PkiError}
   */
  verifyNewcomer(chain: readonly Uint8Array[], purpose: "client" | "server"): VerifiedCertificate {
    return this.#verify(chain.map(decodeCertificate), { purpose });
  }

  /**
   * Judges a chain at the time of an entry and without CRLs: whether a log is valid depends on neither the reader's clock
   * nor on what was revoked since. @throws {PkiError}
   */
  verifyAt(chain: readonly Uint8Array[], atMs: number): VerifiedCertificate {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new ClientError("CERTIFICATE_REFUSED", "a chain without a certificate");
    return verifyPath({ leaf, intermediates, anchors: this.#anchors, crls: [], purpose: "evidence", atMs });
  }

  /** For `verifyEntry` and for signatures of receipts. @throws {ClientError} `CERTIFICATE_REFUSED` unknown; {PkiError} */
  certificateAt(fingerprint: Hex, atMs: number): VerifiedCertificate {
    const [leaf, ...intermediates] = this.#chainOf(fingerprint);
    if (leaf === undefined)
      throw new ClientError("CERTIFICATE_REFUSED", `certificate ${fingerprint} is not known`);
    const anchors = this.#anchors;
    const verified = verifyPath({ leaf, intermediates, anchors, crls: [], purpose: "evidence", atMs });
    this.#revocations.trust(verified);
    return verified;
  }

  /** Whether the newest CRL, however old, lists a certificate of the path. */
  isRevoked(fingerprint: Hex): boolean {
    try {
      this.#verify(this.#chainOf(fingerprint), { purpose: "evidence", crlGraceMs: Number.POSITIVE_INFINITY });
      return false;
    } catch (error) {
      return error instanceof PkiError && error.code === "REVOKED";
    }
  }

  /** @returns those that are not known, or with a chain that does not stand at that time */
  unknown(fingerprints: Iterable<Hex>, atMs: number): Hex[] {
    return [...new Set(fingerprints)].filter(
      (fingerprint) => !this.#stands(this.#chainOf(fingerprint), atMs),
    );
  }

  #stands([leaf, ...intermediates]: readonly Certificate[], atMs: number): boolean {
    if (leaf === undefined) return false;
    try {
      verifyPath({ leaf, intermediates, anchors: this.#anchors, crls: [], purpose: "evidence", atMs });
      return true;
    } catch (error) {
      if (error instanceof PkiError) return false;
      throw error;
    }
  }

  /** The known chain, leaf first. Empty when there is none. */
  certificates(fingerprint: Hex): readonly Certificate[] {
    return this.#chainOf(fingerprint);
  }

  /**
   * Remembers a chain under the fingerprint of its leaf. One that is known already gives way only where it does not stand at that
   * time and the other does: whoever gave it may have left out the issuing CAs.
   *
   * @throws {PkiError} when it can't be decoded
   */
  learn(chain: readonly Uint8Array[], batch: VaultBatch, atMs = this.#now()): Hex {
    const certificates = chain.map(decodeCertificate);
    const [leaf] = certificates;
    if (leaf === undefined) throw new ClientError("CERTIFICATE_REFUSED", "a chain without a certificate");
    const known = this.#chainOf(leaf.fingerprint);
    const isBetter = known.length > 0 && !this.#stands(known, atMs) && this.#stands(certificates, atMs);
    if (known.length === 0 || isBetter) {
      this.#chains.set(leaf.fingerprint, certificates);
      batch.write("chain", leaf.fingerprint, encodeRecord(chainSchema, chain));
    }
    return leaf.fingerprint;
  }

  /**
   * Pins a certificate and device of a person and announces what is new about somebody who is known already, so that a CA
   * can't slip in a second certificate unseen.
   */
  pin(member: RosterRow, verified: VerifiedCertificate, batch: VaultBatch): void {
    const { username, email, fingerprint, device } = member;
    const key = `${username}/${email}/${authorityOf(verified)}`;
    const certificates = this.#persons.get(key)?.certificates;
    const pinned = certificates?.find((certificate) => certificate.fingerprint === fingerprint);
    if (pinned?.devices.includes(device)) return;

    const who = visible(email === "" ? username : `${username} <${email}>`);
    if (certificates === undefined && this.#hasNamesake(username))
      this.#warn("SAME_NAME", `${who} is not the ${username} that you know: same name, other email or CA`);
    else if (certificates !== undefined && pinned === undefined)
      this.#warn("NEW_CERTIFICATE", `${who} has a new certificate: ${fingerprint}`);
    else if (pinned !== undefined)
      this.#warn("NEW_DEVICE", `${who} has a new device under the certificate ${fingerprint}`);

    const updated = {
      fingerprint,
      first_seen: pinned?.first_seen ?? this.#now(),
      devices: [...(pinned?.devices ?? []), device].slice(-maxPins),
    };
    const others = (certificates ?? []).filter((certificate) => certificate !== pinned);
    const record = { certificates: [...others, updated].slice(-maxPins) };
    this.#persons.set(key, record);
    batch.write("person", key, encodeRecord(personSchema, record));
  }

  /** @returns whether another person of that username is pinned, and this one is not */
  isStranger({ username, email, authority }: PersonKey): boolean {
    return !this.#persons.has(`${username}/${email}/${authority}`) && this.#hasNamesake(username);
  }

  #hasNamesake(username: string): boolean {
    return [...this.#persons.keys()].some((key) => key.startsWith(`${username}/`));
  }

  #verify(
    [leaf, ...intermediates]: readonly Certificate[],
    options: { purpose: Purpose; host?: string; crlGraceMs?: number },
  ): VerifiedCertificate {
    if (leaf === undefined) throw new ClientError("CERTIFICATE_REFUSED", "a chain without a certificate");
    const request = { leaf, intermediates, anchors: this.#anchors, atMs: this.#now(), ...options };
    const { crls } = this.#revocations;
    const verified = verifyPath({ ...request, crls });
    // A list that was waiting for one of these issuing CAs may name this very certificate.
    return this.#revocations.trust(verified)
      ? verifyPath({ ...request, crls: this.#revocations.crls })
      : verified;
  }

  #chainOf(fingerprint: Hex): readonly Certificate[] {
    const known = this.#chains.get(fingerprint);
    if (known !== undefined) return known;
    const stored = this.#vault.read("chain", fingerprint);
    if (stored === undefined) return [];
    const chain = decodeRecord(chainSchema, stored, "chain").map(decodeCertificate);
    this.#chains.set(fingerprint, chain);
    return chain;
  }

  #warn(code: "SAME_NAME" | "NEW_CERTIFICATE" | "NEW_DEVICE", message: string): void {
    this.#onEvent({ event: "warning", code, message });
  }
}

/** The name that a conversation's `create` gives its server: the first DNS name, else the first IP address. */
export function primaryServerName({ certificate }: VerifiedCertificate): string {
  const [name] = serverNames(certificate);
  if (name === undefined) throw new ClientError("SERVER_CERTIFICATE", "the server's certificate has no name");
  return name;
}
