import type { OwnIdentity } from "../../src/channel/authentication.ts";
import type { VerifyChain } from "../../src/channel/judgeChain.ts";
import { type CryptoProvider, crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import type { Crl } from "../../src/pki/crl.ts";
import { createRootCertificate, issueCertificate } from "../../src/pki/issue.ts";
import { type Purpose, verifyPath } from "../../src/pki/verifyPath.ts";

export const host = "chat.example.org";
/** Now, for everything that is judged here. */
export const atMs = Date.UTC(2026, 10, 20, 12);
const dayMs = 86_400_000;

/** A certificate with its key, in bytes, so that either provider can import it. */
export interface Party {
  readonly der: Uint8Array;
  readonly pkcs8: Uint8Array;
}

type KeyType = "p256" | "rsa2048" | "ed25519";
type UserOrServer = Parameters<typeof issueCertificate>[0]["profile"];

/** A CA and what it issues. Real certificates: path validation has its say in every handshake here. */
export class Authority {
  readonly #root: Party;

  private constructor(root: Party) {
    this.#root = root;
  }

  static async create(name: string): Promise<Authority> {
    const pkcs8 = await crypto().generatePrivateKey("p256");
    const der = createRootCertificate({
      name,
      keyPkcs8: pkcs8,
      notBeforeMs: atMs - 100 * dayMs,
      notAfterMs: atMs + 1000 * dayMs,
      random: systemRandom,
      intermediates: false,
    });
    return new Authority({ der, pkcs8 });
  }

  get der(): Uint8Array {
    return this.#root.der;
  }

  get certificate(): Certificate {
    return decodeCertificate(this.#root.der);
  }

  get key() {
    return crypto().importPrivateKey(this.#root.pkcs8);
  }

  user(username: string, options: { type?: KeyType; expired?: boolean } = {}): Promise<Party> {
    return this.#issue({ kind: "user", username, email: `${username}@example.org` }, options);
  }

  server(dnsName: string, options: { type?: KeyType; expired?: boolean } = {}): Promise<Party> {
    return this.#issue(
      { kind: "server", commonName: dnsName, dnsNames: [dnsName], ipAddresses: [] },
      options,
    );
  }

  async #issue(
    profile: UserOrServer,
    { type = "p256", expired = false }: { type?: KeyType; expired?: boolean },
  ) {
    const pkcs8 = await crypto().generatePrivateKey(type);
    const der = issueCertificate({
      issuer: this.certificate,
      issuerKey: this.key,
      subjectSpki: crypto().importPrivateKey(pkcs8).spki,
      profile,
      notBeforeMs: atMs - 10 * dayMs,
      notAfterMs: expired ? atMs - dayMs : atMs + 100 * dayMs,
      random: systemRandom,
    });
    return { der, pkcs8 };
  }

  /** What `serve` and `connect` hand to the channel, with fixed time. */
  verifier(purpose: Purpose, options: { host?: string; crls?: readonly Crl[] } = {}): VerifyChain {
    return (chain) => {
      const [leaf, ...intermediates] = chain.map(decodeCertificate);
      if (leaf === undefined) throw new Error("the channel asks about a leaf at least");
      const { crls = [] } = options;
      return verifyPath({
        leaf,
        intermediates,
        anchors: [this.certificate],
        crls,
        purpose,
        atMs,
        ...(options.host === undefined ? {} : { host: options.host }),
      });
    };
  }
}

/** The party's identity with its key under the provider in use. */
export function identityOf(party: Party): OwnIdentity {
  return { chain: [party.der], key: crypto().importPrivateKey(party.pkcs8) };
}

/** Everybody who plays a part: `mallory` has good certificates of the same CA for herself; two CAs are foreign. */
export interface World {
  readonly ca: Authority;
  readonly server: Party;
  readonly alice: Party;
  readonly mallory: Party;
  readonly mallorysServer: Party;
  readonly impostor: Authority;
  readonly foreign: Authority;
}

let made: Promise<World> | undefined;

/** Made once a process; nothing in it changes. */
export function world(): Promise<World> {
  made ??= makeWorld();
  return made;
}

async function makeWorld(): Promise<World> {
  const ca = await Authority.create("Test Root CA");
  const [server, alice, mallory, mallorysServer, impostor, foreign] = await Promise.all([
    ca.server(host),
    ca.user("alice"),
    ca.user("mallory"),
    ca.server("mallory.example.org"),
    Authority.create("Test Root CA"),
    Authority.create("Foreign Root CA"),
  ]);
  return { ca, server, alice, mallory, mallorysServer, impostor, foreign };
}

const providers = { native, noble };
export type ProviderName = keyof typeof providers;

/** Runs `action` with a provider, to its end, and puts back the one before. */
export async function under<T>(name: ProviderName, action: () => T | Promise<T>): Promise<T> {
  const before: CryptoProvider = crypto();
  useCryptoProvider(providers[name]);
  try {
    return await action();
  } finally {
    useCryptoProvider(before);
  }
}
