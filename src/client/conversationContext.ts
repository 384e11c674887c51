import type { ClientError } from "./clientError.ts";
import type { OnEvent } from "./clientEvents.ts";
import type { Connection } from "./connection.ts";
import type { Devices, Self } from "./devices.ts";
import type { Directory } from "./directory.ts";
import type { GroupFollower } from "./groupFollower.ts";
import type { Invitee } from "./invitee.ts";
import type { KeyPackages } from "./keyPackages.ts";
import type { ReconnectPolicy } from "./reconnection.ts";
import type { Revocations } from "./revocations.ts";
import type { Vault } from "./vault.ts";

/** What every conversation of a client shares. */
export interface ConversationContext {
  readonly self: Self;
  readonly vault: Vault;
  readonly directory: Directory;
  readonly revocations: Revocations;
  readonly devices: Devices;
  readonly keyPackages: KeyPackages;
  readonly groups: GroupFollower;
  readonly transcriptsFolder: string;
  /** Whether words and openings are kept after they were shown. */
  readonly keepHistory: boolean;
  readonly random: (length: number) => Uint8Array;
  readonly now: () => number;
  readonly onEvent: OnEvent;
  /** Who is meant by a name: the server's operator, where the connection offers it under this name, or a person. */
  inviteeNamed(name: string): Invitee;
  /** @throws {ClientError} `NOT_CONNECTED` */
  connection(): Connection;
  /** The connection once it is authenticated. */
  connectionIfOpen(): Connection | undefined;
  /** Whether there is no connection and one may come by itself: then nobody gives up waiting. */
  isMending(): boolean;
  /** Another node of the server is tried, where there is one: this one has been in trouble for a while. */
  moveOn(trouble: ClientError): void;
  /** How long to wait before a server that was in trouble is asked again; without it, that is left to the next connection. */
  readonly reconnect: ReconnectPolicy | undefined;
}
