import type { OnEvent } from "./clientEvents.ts";
import type { ConnectionTimeouts } from "./connection.ts";
import type { Self } from "./devices.ts";
import type { Directory } from "./directory.ts";
import type { KeyPackages } from "./keyPackages.ts";
import type { ReconnectPolicy } from "./reconnection.ts";
import type { Revocations } from "./revocations.ts";
import type { Route } from "./route.ts";

/** What a session is made of, and what it asks for. */
export interface SessionOptions {
  readonly route: Route;
  readonly self: Self;
  readonly directory: Directory;
  readonly revocations: Revocations;
  readonly keyPackages: KeyPackages;
  readonly random: (length: number) => Uint8Array;
  readonly now: () => number;
  readonly timeouts: ConnectionTimeouts;
  /** The password again, if it is to be had without asking anybody: once the server doesn't know the session any more. */
  readonly password: () => Promise<string> | undefined;
  /** `undefined`: a lost connection stays lost. */
  readonly reconnect: ReconnectPolicy | undefined;
  readonly onEvent: OnEvent;
}
