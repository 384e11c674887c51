import type { ClientError } from "./clientError.ts";
import type { Connection, Push } from "./connection.ts";

/** Who uses the session. */
export interface SessionUser {
  /** Logged in: time to catch up. */
  entered(connection: Connection): Promise<void>;
  pushed(push: Exclude<Push, { type: "crl" }>): void;
  /** There is a newer CRL. */
  revocationsChanged(): void;
  /** The connection was lost; another is being made. */
  interrupted(): void;
  /** There is no connection, and none comes by itself. */
  left(reason: ClientError): void;
}
