import type { Database } from "bun:sqlite";
import { StoreError } from "./storeError.ts";

/** "SCst": says in the file's header that it is a store of SecureChat. */
const applicationId = 0x53437374;

/**
 * One entry per version, applied in order and never changed after a release: a store of version n has had the first n
 * applied. Ids, digests and fingerprints are lower-case hex; times are ms since the epoch.
 */
const migrations: readonly string[] = [
  `
  -- Certificates that were proven to be held by a client, and the server's own.
  CREATE TABLE certificates (
    id            INTEGER PRIMARY KEY,
    fingerprint   TEXT NOT NULL UNIQUE,
    person        TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('user', 'server')),
    issuer_serial TEXT NOT NULL UNIQUE,
    chain         BLOB NOT NULL,          -- uint32 length || DER, leaf first
    first_seen_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX certificates_person ON certificates (person);

  -- The first six columns are those of the original SecureChat; only rows taken over from it have a salt.
  CREATE TABLE users (
    id          INTEGER PRIMARY KEY,
    email       TEXT NOT NULL UNIQUE,
    username    TEXT NOT NULL UNIQUE,
    salt        BLOB,
    pwd_hash    TEXT NOT NULL,            -- PHC string
    created_at  INTEGER NOT NULL,
    certificate INTEGER REFERENCES certificates (id),
    disabled    INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1))
  ) STRICT;
  CREATE INDEX users_certificate ON users (certificate);

  CREATE TABLE login_failures (
    subject  TEXT PRIMARY KEY,            -- account:EMAIL or address:IP
    failures INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE token_buckets (
    subject TEXT PRIMARY KEY,
    full_at INTEGER NOT NULL              -- when the bucket will be full again
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE key_packages (
    id           INTEGER PRIMARY KEY,
    certificate  INTEGER NOT NULL REFERENCES certificates (id),
    device       TEXT NOT NULL,
    digest       TEXT NOT NULL UNIQUE,
    last_resort  INTEGER NOT NULL CHECK (last_resort IN (0, 1)),
    handed_out   INTEGER NOT NULL DEFAULT 0 CHECK (handed_out IN (0, 1)),
    package      BLOB NOT NULL,
    expires_at   INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX key_packages_certificate ON key_packages (certificate, last_resort);

  CREATE TABLE blobs (
    sha256    TEXT PRIMARY KEY,
    data      BLOB NOT NULL,
    stored_at INTEGER NOT NULL
  ) STRICT;
  -- Who uploaded a blob; the row goes when an entry names it or when it expires.
  CREATE TABLE blob_owners (
    person TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blobs (sha256) ON DELETE CASCADE,
    at     INTEGER NOT NULL,
    PRIMARY KEY (person, sha256)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX blob_owners_sha256 ON blob_owners (sha256);
  CREATE TABLE blob_uploads (
    id       INTEGER PRIMARY KEY,
    person   TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    size     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    UNIQUE (person, sha256)
  ) STRICT;
  CREATE TABLE blob_pieces (
    upload      INTEGER NOT NULL REFERENCES blob_uploads (id) ON DELETE CASCADE,
    byte_offset INTEGER NOT NULL,
    data        BLOB NOT NULL,
    PRIMARY KEY (upload, byte_offset)
  ) STRICT;

  CREATE TABLE conversations (
    id           INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL CHECK (kind IN ('direct', 'group')),
    size         INTEGER NOT NULL,
    closed       INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1))
  ) STRICT;

  -- Open direct conversations: one per pair of persons, the smaller hex first.
  CREATE TABLE direct_pairs (
    first        TEXT NOT NULL,
    second       TEXT NOT NULL,
    conversation INTEGER NOT NULL UNIQUE REFERENCES conversations (id),
    PRIMARY KEY (first, second)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE entries (
    id           INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    entry_index  INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    sender       INTEGER NOT NULL REFERENCES certificates (id),
    seqno        INTEGER NOT NULL,
    root         BLOB NOT NULL,           -- of the prefix that ends with this entry
    line         TEXT NOT NULL,
    UNIQUE (conversation, entry_index),
    UNIQUE (conversation, sender, seqno)
  ) STRICT;

  CREATE TABLE blob_references (
    sha256       TEXT NOT NULL REFERENCES blobs (sha256),
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    entry_index  INTEGER NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('commit', 'welcome', 'group')),
    at           INTEGER NOT NULL,
    PRIMARY KEY (sha256, conversation, entry_index, role)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX blob_references_role ON blob_references (role, at);

  -- Who sees which prefix of a log: everything while until_size is null.
  CREATE TABLE members (
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    certificate  INTEGER NOT NULL REFERENCES certificates (id),
    person       TEXT NOT NULL,
    from_index   INTEGER NOT NULL,
    until_size   INTEGER,
    PRIMARY KEY (conversation, certificate)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX members_person ON members (person, conversation);

  CREATE TABLE checkpoints (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (id),
    size         INTEGER NOT NULL,
    root         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    server       TEXT NOT NULL,
    sig          BLOB NOT NULL
  ) STRICT;

  -- What follows from the first size entries, in the server's own form: a cache that can be rebuilt from the entries.
  CREATE TABLE log_states (
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    size         INTEGER NOT NULL,
    state        BLOB NOT NULL,
    PRIMARY KEY (conversation, size)
  ) STRICT;

  CREATE TABLE receipts (
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    size         INTEGER NOT NULL,
    statement    BLOB NOT NULL,
    signed_data  BLOB NOT NULL,
    version      INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    PRIMARY KEY (conversation, size)
  ) STRICT;
  `,
  `
  ALTER TABLE users ADD COLUMN last_login_at INTEGER;
  -- Until when the password, which the operator has made, is good for choosing another; null: it is its owner's own.
  ALTER TABLE users ADD COLUMN one_time_until INTEGER;
  ALTER TABLE users ADD COLUMN allows_new_key INTEGER NOT NULL DEFAULT 0 CHECK (allows_new_key IN (0, 1));

  -- What lets the holder of a certificate's key come back without the password, by its SHA-256.
  CREATE TABLE tickets (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    hash        TEXT NOT NULL UNIQUE,
    account     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    expires_at  INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX tickets_account ON tickets (account, id);
  CREATE INDEX tickets_expiry ON tickets (expires_at);

  -- Whose sessions have to end, for every server on this store to see.
  CREATE TABLE session_endings (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    reason  TEXT NOT NULL CHECK (reason IN ('disabled', 'reset')),
    at      INTEGER NOT NULL
  ) STRICT;
  `,
  `
  -- Conversations that were deleted when their time was over, so that no id begins another. remains: the row of conversations
  -- of which there is something left to delete; its size is 0.
  CREATE TABLE expired_conversations (
    conversation TEXT PRIMARY KEY,
    size         INTEGER NOT NULL,
    root         BLOB NOT NULL,
    expired_at   INTEGER NOT NULL,
    remains      INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX expired_conversations_remains ON expired_conversations (remains) WHERE remains IS NOT NULL;
  CREATE INDEX blob_references_conversation ON blob_references (conversation, entry_index);
  `,
  `
  -- Whether the store was put back to an older state, who has been heard since, and which logs wait when not all do.
  CREATE TABLE restoration (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    stage TEXT NOT NULL CHECK (stage IN ('copied', 'waiting', 'claimed', 'over')),
    at    INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE restoration_heard (
    fingerprint TEXT PRIMARY KEY
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE restoration_claims (
    conversation TEXT PRIMARY KEY
  ) STRICT, WITHOUT ROWID;
  `,
];

export const schemaVersion = migrations.length;

/**
 * Brings the database to `schemaVersion`. The whole of it is one transaction that takes SQLite's write lock first, so
 * of two processes that start at once one migrates and the other finds it done.
 *
 * @throws {StoreError} `NOT_A_STORE`, `NEWER_SCHEMA`
 */
export function migrate(db: Database): void {
  db.run("BEGIN IMMEDIATE");
  try {
    const version = currentVersion(db);
    if (version > schemaVersion)
      throw new StoreError(
        "NEWER_SCHEMA",
        `the store has schema version ${version}, this SecureChat knows up to ${schemaVersion}: use a newer one`,
      );
    for (const sql of migrations.slice(version)) db.run(sql);
    if (version < schemaVersion) {
      db.run(`PRAGMA application_id = ${applicationId}`);
      db.run(`PRAGMA user_version = ${schemaVersion}`);
    }
    db.run("COMMIT");
  } catch (error) {
    if (db.inTransaction) db.run("ROLLBACK");
    throw error;
  }
}

/** @returns whether the file is one of ours, of this version */
export function isStore(db: Database): boolean {
  return currentVersion(db) === schemaVersion;
}

/** An empty database has version 0. @throws {StoreError} `NOT_A_STORE` when it belongs to some other program */
function currentVersion(db: Database): number {
  const pragma = (name: string) => {
    const row = db.query<Record<string, number>, []>(`PRAGMA ${name}`).get();
    return row?.[name] ?? 0;
  };
  const tables = db.query<{ n: number }, []>("SELECT count(*) AS n FROM sqlite_schema").get()?.n ?? 0;
  if (tables === 0) return 0;
  if (pragma("application_id") !== applicationId)
    throw new StoreError("NOT_A_STORE", "the file is a SQLite database of some other program");
  return pragma("user_version");
}
