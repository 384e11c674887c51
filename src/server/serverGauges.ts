/** What a running server shows of itself when it is asked. */
export interface ServerGauges {
  readonly connections: number;
  /** Connections that are logged in. */
  readonly sessions: number;
  /** Posts that wait for their turn in a log. */
  readonly postsWaiting: number;
  /** When the server's certificate ends, ms since the epoch. */
  readonly certificateEndsMs: number;
  /** When the newest CRL is overdue, ms since the epoch; `undefined` without a CRL. */
  readonly crlNextUpdateMs: number | undefined;
}
