import { arrayLiteral } from "./arrayLiteral.ts";
import type { LogAppend } from "./logStore.ts";
import { requireNumber } from "./postgresCertificates.ts";
import type { Transaction } from "./postgresDatabase.ts";

/** An append to the conversation with the row number `id`, whose row the transaction has locked at the expected size. */
export interface LockedAppend {
  readonly id: number;
  readonly append: LogAppend;
}

/**
 * Asks for what every append consists of: entries, size, checkpoint and state; for all appends at once, one statement a table.
 *
 * @throws {StoreError} `MISUSE` when a sender is not in `numbers`
 */
export function writeEntries(
  transaction: Transaction,
  appends: readonly LockedAppend[],
  numbers: ReadonlyMap<string, number>,
): void {
  const entries = appends.flatMap(({ id, append }) =>
    append.entries.map((entry, i) => ({ id, index: append.expectedSize + i, entry })),
  );
  transaction.query(
    `INSERT INTO entries (conversation, entry_index, at, sender, seqno, root, line)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::text[])`,
    [
      arrayLiteral(entries.map(({ id }) => id)),
      arrayLiteral(entries.map(({ index }) => index)),
      arrayLiteral(entries.map(({ entry }) => entry.at)),
      arrayLiteral(entries.map(({ entry }) => requireNumber(numbers, entry.sender))),
      arrayLiteral(entries.map(({ entry }) => entry.seqno)),
      arrayLiteral(entries.map(({ entry }) => entry.root)),
      arrayLiteral(entries.map(({ entry }) => entry.line)),
    ],
  );
  const ids = arrayLiteral(appends.map(({ id }) => id));
  const sizes = appends.map(({ append }) => append.expectedSize + append.entries.length);
  transaction.query(
    `UPDATE conversations c SET size = n.size, closed = c.closed OR n.closes
     FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS n (id, size, closes) WHERE c.id = n.id`,
    [ids, arrayLiteral(sizes), arrayLiteral(appends.map(({ append }) => append.closes))],
  );
  const checkpoints = appends.map(({ append }) => append.checkpoint);
  transaction.query(
    `INSERT INTO checkpoints (conversation, size, root, at, server, sig)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bytea[])
     ON CONFLICT (conversation) DO UPDATE SET size = excluded.size, root = excluded.root, at = excluded.at,
       server = excluded.server, sig = excluded.sig`,
    [
      ids,
      arrayLiteral(sizes),
      arrayLiteral(checkpoints.map(({ root }) => root)),
      arrayLiteral(checkpoints.map(({ at }) => at)),
      arrayLiteral(checkpoints.map(({ server }) => server)),
      arrayLiteral(checkpoints.map(({ sig }) => sig)),
    ],
  );
  const states = appends.flatMap(({ id, append }, i) =>
    append.state === undefined ? [] : [{ id, size: sizes[i] ?? 0, state: append.state }],
  );
  if (states.length === 0) return;
  transaction.query(
    `INSERT INTO log_states (conversation, size, state)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) ON CONFLICT DO NOTHING`,
    [
      arrayLiteral(states.map(({ id }) => id)),
      arrayLiteral(states.map(({ size }) => size)),
      arrayLiteral(states.map(({ state }) => state)),
    ],
  );
}
