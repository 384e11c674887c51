import type { MessageLink } from "../channel/messageLink.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { OnEvent } from "./clientEvents.ts";
import type { ConnectionTimeouts } from "./connection.ts";
import type { ReconnectPolicy } from "./reconnection.ts";
import type { ServerAddress } from "./serverAddresses.ts";

/** What every member's client needs, however it comes to its server. */
export interface MemberOptions {
  /** The own certificate, then its intermediates, DER. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  readonly anchors: readonly Certificate[];
  /** A CRL file as `parseCrlBundle` reads it; the server gives newer ones. */
  readonly crl?: Uint8Array;
  readonly vaultFile: string;
  readonly transcriptsFolder: string;
  /** Whether words and openings are kept. Without them nothing can be shown again or disclosed. */
  readonly history: boolean;
  readonly random: (length: number) => Uint8Array;
  readonly now: () => number;
  readonly timeouts?: ConnectionTimeouts;
  /** Signs for what others have said by itself, at most once in so many ms. Without it when it posts, makes a receipt or quits. */
  readonly acknowledgeEveryMs?: number;
  readonly onEvent: OnEvent;
}

export interface ClientOptions extends MemberOptions {
  readonly host: string;
  readonly port: number;
  /** Other nodes of the same server, for when that one can't be reached. */
  readonly alternatives?: readonly ServerAddress[];
  /** The password again, if it is to be had without asking anybody: for a session that can't be resumed any more. */
  readonly password?: () => Promise<string> | undefined;
  /** How a lost connection is brought back once a login has succeeded. Without it, it stays lost and what waits on it fails. */
  readonly reconnect?: ReconnectPolicy;
}

/** The certificate is the server's. */
export interface OperatorOptions extends MemberOptions {
  /** A link inside of the server's process on which the server takes its peer for the operator. */
  readonly attach: () => MessageLink;
}
