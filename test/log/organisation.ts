import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { type KeyType, type PrivateKey, sha256 } from "../../src/crypto/crypto.ts";
import type { RosterRow } from "../../src/log/bodies.ts";
import type { Certificate } from "../../src/pki/certificate.ts";
import { type VerifiedCertificate, verifyPath } from "../../src/pki/verifyPath.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";

/** When everything in these tests happens, ms. */
export const startMs = Date.UTC(2027, 0, 15, 8);
const day = 86_400_000;

/** A certificate with its key. */
export interface Device {
  readonly certificate: Certificate;
  readonly fingerprint: Hex;
  readonly key: PrivateKey;
  /** The device's row in a roster; its leaf key is made up, a log knows only its hash. */
  row(leafKey?: string): RosterRow;
}

/** A CA and everybody that it knows. */
export class Organisation {
  readonly #authority: TestAuthority;
  readonly #issued = new Map<Hex, Certificate>();

  constructor(authority: TestAuthority) {
    this.#authority = authority;
  }

  static async create(): Promise<Organisation> {
    return new Organisation(await createTestAuthority({ nowMs: startMs }));
  }

  get ca(): Certificate {
    return this.#authority.ca;
  }

  /** @returns a device of a person, each time with a new key; its certificate is valid for `days` from the start */
  async user(username: string, options: { keyType?: KeyType; days?: number } = {}): Promise<Device> {
    const { keyType = "p256", days = 20 } = options;
    const email = `${username}@example.org`;
    const issued = await this.#authority.issueUser(username, email, {
      keyType,
      notAfterMs: startMs + days * day,
    });
    return this.#keep(issued, { username, email });
  }

  async server(...names: string[]): Promise<Device> {
    const issued = await this.#authority.issueServer(names, { notAfterMs: startMs + 20 * day });
    return this.#keep(issued, { username: names[0] ?? "", email: "" });
  }

  find(fingerprint: Hex): Certificate | undefined {
    return this.#issued.get(fingerprint);
  }

  #keep({ certificate, key }: Issued, member: Pick<RosterRow, "username" | "email">): Device {
    const { fingerprint } = certificate;
    this.#issued.set(fingerprint, certificate);
    const row = (leafKey = "first") => ({
      ...member,
      fingerprint,
      device: encodeHex(sha256(encodeUtf8(`${fingerprint} ${leafKey}`))),
    });
    return { certificate, fingerprint, key, row };
  }
}

/** What a reader who trusts these CAs, and has their certificates at hand, passes to `verifyEntry`. */
export function certificatesOf(...organisations: Organisation[]) {
  const anchors = organisations.map(({ ca }) => ca);
  return (fingerprint: Hex, atMs: number): VerifiedCertificate => {
    const leaf = organisations.map((organisation) => organisation.find(fingerprint)).find(Boolean);
    if (leaf === undefined) throw new Error(`no certificate ${fingerprint}`);
    return verifyPath({ leaf, intermediates: [], anchors, crls: [], purpose: "evidence", atMs });
  };
}
