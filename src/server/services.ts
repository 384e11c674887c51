import type { Certificate } from "../pki/certificate.ts";
import type { Store } from "../store/store.ts";
import type { CertificateBook } from "./certificateBook.ts";
import type { DeliveryMarks } from "./deliveryMarks.ts";
import type { OwnIdentity } from "./ownIdentity.ts";
import type { Revocation } from "./revocation.ts";
import type { ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { SessionRegistry } from "./sessionRegistry.ts";
import type { StorageQuota } from "./storageQuota.ts";
import type { TokenBuckets } from "./tokenBuckets.ts";

/** What the parts of one running server share. */
export interface Services {
  readonly store: Store;
  readonly identity: OwnIdentity;
  readonly anchors: readonly Certificate[];
  readonly revocation: Revocation;
  readonly certificates: CertificateBook;
  readonly sessions: SessionRegistry;
  readonly deliveryMarks: DeliveryMarks;
  readonly limits: ServerLimits;
  /** By person, what it asks of this process. */
  readonly work: TokenBuckets;
  readonly storageQuota: StorageQuota;
  readonly registration: "open" | "closed";
  /** Conversations without an entry for longer are deleted; `undefined`: none ever is. */
  readonly retentionDays: number | undefined;
  /** Whether members are told how to reach the server's operator, once there is one. */
  readonly offersOperator: boolean;
  /** ms since the epoch */
  readonly now: () => number;
  readonly log: ServerLog;
  readonly meter: ServerMeter;
}
