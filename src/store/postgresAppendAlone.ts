import type { Hex } from "../base/hex.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import { hexColumn } from "./hexColumn.ts";
import type { AppendOutcome, LogAppend } from "./logStore.ts";
import { writeEntries } from "./postgresAppendRows.ts";
import { certificateNumbers, requireNumber } from "./postgresCertificates.ts";
import type { Transaction } from "./postgresDatabase.ts";
import { unavailable } from "./postgresError.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

/** How often a pair is asked for whose conversation others open and close meanwhile. */
const maxAttempts = 4;

/**
 * Appends whatever an append may hold: it may begin or close a log, name blobs and change the roster. Locks are taken in the same
 * order by everybody (log, pair, blobs), so two can't wait for each other for ever.
 *
 * @throws {StoreError} `MISUSE`; {Undo} with any outcome that is not `appended`
 */
export async function appendAlone(transaction: Transaction, append: LogAppend): Promise<AppendOutcome> {
  const { conversation, expectedSize, create, entries, members } = append;
  // Waits for whoever is creating the same log; the next statement then sees theirs.
  if (expectedSize === 0 && create !== undefined)
    transaction.query(
      "INSERT INTO conversations (conversation, kind, size) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
      [conversation, create.kind],
    );
  const [[log], numbers] = await Promise.all([
    transaction.query<{ id: number; size: number }>(
      "SELECT id, size FROM conversations WHERE conversation = $1 FOR NO KEY UPDATE",
      [conversation],
    ),
    certificateNumbers(
      transaction,
      new Set([...entries.map(({ sender }) => sender), ...members.map(({ fingerprint }) => fingerprint)]),
    ),
  ]);
  const size = log?.size ?? 0;
  if (size === 0) await requireUnexpired(transaction, conversation);
  if (size !== expectedSize) return undo({ kind: "conflict", size });
  if (log === undefined) throw new StoreError("MISUSE", "the first append of a log has to create it");
  if (expectedSize === 0) await takePair(transaction, log.id, create);
  await lockBlobs(transaction, append);
  writeEntries(transaction, [{ id: log.id, append }], numbers);
  if (append.blobs.length > 0) referToBlobs(transaction, log.id, append);
  for (const { change, fingerprint, index } of members) {
    const certificate = requireNumber(numbers, fingerprint);
    if (change === "joined")
      transaction.query(
        `INSERT INTO members (conversation, certificate, person, from_index)
         SELECT $1, id, person, $2 FROM certificates WHERE id = $3
         ON CONFLICT (conversation, certificate) DO UPDATE SET until_size = NULL`,
        [log.id, index, certificate],
      );
    else
      transaction.query("UPDATE members SET until_size = $1 WHERE conversation = $2 AND certificate = $3", [
        index + 1,
        log.id,
        certificate,
      ]);
  }
  if (append.closes) transaction.query("DELETE FROM direct_pairs WHERE conversation = $1", [log.id]);
  return { kind: "appended" };
}

/** An expired conversation is there before the last row of its log is gone, so that the lock above does for it too. */
async function requireUnexpired(transaction: Transaction, conversation: Hex): Promise<void> {
  const expired = await transaction.query("SELECT 1 FROM expired_conversations WHERE conversation = $1", [
    conversation,
  ]);
  if (expired.length > 0) undo({ kind: "expired" });
}

async function takePair(transaction: Transaction, id: number, create: LogAppend["create"]): Promise<void> {
  if (create?.pair === undefined) return;
  const [a, b] = create.pair;
  const [first, second] = a < b ? [a, b] : [b, a];
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    // Waits for whoever is opening or closing a conversation of these two.
    const taken = await transaction.query(
      "INSERT INTO direct_pairs (first, second, conversation) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING first",
      [first, second, id],
    );
    if (taken.length === 1) return;
    const [open] = await transaction.query<{ conversation: string }>(
      `SELECT c.conversation FROM direct_pairs p JOIN conversations c ON c.id = p.conversation
       WHERE p.first = $1 AND p.second = $2`,
      [first, second],
    );
    if (open !== undefined) undo({ kind: "pair_exists", conversation: hexColumn(open.conversation, 16) });
  }
  throw unavailable("the pair opens and closes conversations too quickly");
}

/** Keeps the blobs from being swept, or taken by another entry, until the end of the transaction. */
async function lockBlobs(transaction: Transaction, { blobs }: LogAppend): Promise<void> {
  if (blobs.length === 0) return;
  const owned = await transaction.query<{ person: string; sha256: string }>(
    `SELECT o.person, o.sha256 FROM blob_owners o
     JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS n (person, sha256)) n USING (person, sha256)
     ORDER BY o.person, o.sha256 FOR UPDATE OF o`,
    [arrayLiteral(blobs.map(({ owner }) => owner)), arrayLiteral(blobs.map(({ sha256 }) => sha256))],
  );
  const there = new Set(owned.map(({ person, sha256 }) => `${person} ${sha256}`));
  for (const { owner, sha256 } of blobs)
    if (!there.has(`${owner} ${sha256}`)) undo({ kind: "blob_missing", sha256 });
}

function referToBlobs(
  transaction: Transaction,
  id: number,
  { blobs, entries, expectedSize }: LogAppend,
): void {
  const times = blobs.map(({ index }) => {
    const at = entries[index - expectedSize]?.at;
    if (at === undefined) throw new StoreError("MISUSE", "a blob is named by no entry of the append");
    return at;
  });
  const digests = arrayLiteral(blobs.map(({ sha256 }) => sha256));
  transaction.query(
    `INSERT INTO blob_references (sha256, conversation, entry_index, role, at)
     SELECT n.sha256, $1::bigint, n.entry_index, n.role, n.at
     FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[]) AS n (sha256, entry_index, role, at)`,
    [
      id,
      digests,
      arrayLiteral(blobs.map(({ index }) => index)),
      arrayLiteral(blobs.map(({ role }) => role)),
      arrayLiteral(times),
    ],
  );
  transaction.query(
    `DELETE FROM blob_owners o USING unnest($1::text[], $2::text[]) AS n (person, sha256)
     WHERE o.person = n.person AND o.sha256 = n.sha256`,
    [arrayLiteral(blobs.map(({ owner }) => owner)), digests],
  );
}

/** Everything of it is taken back. */
function undo(outcome: AppendOutcome): never {
  throw new Undo(outcome);
}
