import type { PrivateKey } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Store } from "../store/store.ts";
import type { CertificateBook } from "./certificateBook.ts";
import type { Revocation } from "./revocation.ts";
import type { ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import type { SessionRegistry } from "./sessionRegistry.ts";

/** The server's own certificate and key. */
export interface ServerIdentity {
  readonly verified: VerifiedCertificate;
  /** Leaf first, as it is sent in the handshake. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

/** What the parts of one running server share. */
export interface Services {
  readonly store: Store;
  readonly identity: ServerIdentity;
  readonly anchors: readonly Certificate[];
  readonly revocation: Revocation;
  readonly certificates: CertificateBook;
  readonly sessions: SessionRegistry;
  readonly limits: ServerLimits;
  readonly registration: "open" | "closed";
  /** ms since the epoch */
  readonly now: () => number;
  readonly log: ServerLog;
}
