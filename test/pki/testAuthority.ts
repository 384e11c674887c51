import { crypto, type KeyType, type PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { type Crl, decodeCrl, issueCrl, type RevokedEntry } from "../../src/pki/crl.ts";
import { type CertificateProfile, createRootCertificate, issueCertificate } from "../../src/pki/issue.ts";

const day = 86_400_000;

/** A certificate with its key. */
export interface Issued {
  readonly certificate: Certificate;
  /** What goes over the wire: the certificate, then intermediates (DER, without the root). */
  readonly chain: Uint8Array[];
  readonly key: PrivateKey;
  readonly pkcs8: Uint8Array;
}

export interface IssueOptions {
  /** Default: one hour before the authority's now, for 365 days. */
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly keyType?: KeyType;
  /** Reuse a key instead of making one. */
  readonly pkcs8?: Uint8Array;
}

export interface TestAuthority {
  readonly ca: Certificate;
  readonly caKey: PrivateKey;
  readonly caPkcs8: Uint8Array;
  readonly nowMs: number;
  /** @param email default `NAME@example.org` */
  issueUser(username: string, email?: string, options?: IssueOptions): Promise<Issued>;
  /** @param host a DNS name or an IP address; both when an array is given */
  issueServer(host: string | readonly string[], options?: IssueOptions): Promise<Issued>;
  /** An authority below this one; what it issues carries it in `chain`. The root must be made with `intermediates`. */
  issueIntermediate(name: string, options?: IssueOptions): Promise<TestAuthority>;
  issue(profile: CertificateProfile, options?: IssueOptions): Promise<Issued>;
  /** A CRL that is current for 7 days from the authority's now. */
  crl(
    revoked?: readonly { certificate: Certificate; atMs?: number; reason?: RevokedEntry["reason"] }[],
    options?: { number?: bigint; thisUpdateMs?: number; nextUpdateMs?: number },
  ): Crl;
}

/**
 * A real CA of the profile for tests: fresh keys, nothing shared between two of them.
 *
 * @param options `nowMs`: the authority's now, default the clock; p256 unless told otherwise
 */
export async function createTestAuthority(
  options: { nowMs?: number; name?: string; keyType?: KeyType; intermediates?: boolean } = {},
): Promise<TestAuthority> {
  const {
    nowMs = Date.now(),
    name = "SecureChat Root CA",
    keyType = "p256",
    intermediates = false,
  } = options;
  const caPkcs8 = await crypto().generatePrivateKey(keyType);
  const ca = decodeCertificate(
    createRootCertificate({
      name,
      keyPkcs8: caPkcs8,
      notBeforeMs: nowMs - day,
      notAfterMs: nowMs + 3650 * day,
      intermediates,
      random: systemRandom,
    }),
  );
  return authority({ ca, caPkcs8, nowMs, keyType, above: [] });
}

/** The same over a CA that is there already, such as one that `ca init` has made. */
export function testAuthorityOf(ca: Certificate, caPkcs8: Uint8Array): TestAuthority {
  return authority({ ca, caPkcs8, nowMs: Date.now(), keyType: "p256", above: [] });
}

function authority(self: {
  ca: Certificate;
  caPkcs8: Uint8Array;
  nowMs: number;
  keyType: KeyType;
  above: readonly Uint8Array[];
}): TestAuthority {
  const { ca, caPkcs8, nowMs, above } = self;
  const caKey = crypto().importPrivateKey(caPkcs8);

  async function issue(profile: CertificateProfile, options: IssueOptions = {}): Promise<Issued> {
    const pkcs8 = options.pkcs8 ?? (await crypto().generatePrivateKey(options.keyType ?? self.keyType));
    const key = crypto().importPrivateKey(pkcs8);
    const certificate = decodeCertificate(
      issueCertificate({
        issuer: ca,
        issuerKey: caKey,
        subjectSpki: key.spki,
        profile,
        notBeforeMs: options.notBeforeMs ?? Math.max(nowMs - 3_600_000, ca.notBeforeMs),
        notAfterMs: options.notAfterMs ?? nowMs + 365 * day,
        random: systemRandom,
      }),
    );
    return { certificate, chain: [certificate.der, ...above], key, pkcs8 };
  }

  return {
    ca,
    caKey,
    caPkcs8,
    nowMs,
    issue,
    issueUser: (username, email = `${username}@example.org`, options = {}) =>
      issue({ kind: "user", username, email }, options),
    issueServer(host, options = {}) {
      const hosts = typeof host === "string" ? [host] : host;
      const isIp = (text: string) => /^[0-9.]+$/.test(text) || text.includes(":");
      return issue(
        {
          kind: "server",
          commonName: hosts[0] ?? "",
          dnsNames: hosts.filter((text) => !isIp(text)),
          ipAddresses: hosts.filter(isIp),
        },
        options,
      );
    },
    async issueIntermediate(name, options = {}) {
      const { certificate, pkcs8, chain } = await issue(
        { kind: "intermediate", commonName: name },
        { notAfterMs: nowMs + 1825 * day, ...options },
      );
      return authority({ ...self, ca: certificate, caPkcs8: pkcs8, above: chain });
    },
    crl(
      revoked = [],
      { number = 1n, thisUpdateMs = nowMs - 3_600_000, nextUpdateMs = nowMs + 7 * day } = {},
    ) {
      const entries = revoked.map(
        ({ certificate, atMs = nowMs - 3_600_000, reason = "keyCompromise" }) =>
          [certificate.serial, { atMs, reason }] as const,
      );
      return decodeCrl(
        issueCrl({
          issuer: ca,
          issuerKey: caKey,
          number,
          thisUpdateMs,
          nextUpdateMs,
          revoked: new Map(entries),
        }),
      );
    },
  };
}
