import { join } from "node:path";
import { encodeHex, type Hex } from "../base/hex.ts";
import { type Checkpoint, formatCheckpoint } from "../log/checkpoint.ts";
import { emptyRoot } from "../log/merkle.ts";
import type { WireCheckpoint } from "../wire/sessionMessages.ts";
import { CheckpointFile } from "./checkpointFile.ts";
import { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { conversationStopped } from "./conversationErrors.ts";
import type { ConversationKeys } from "./conversationKeys.ts";
import type { Arrival } from "./intake.ts";
import { learnCertificates } from "./learnCertificates.ts";
import type { Complaints } from "./poster.ts";
import { ToldMark } from "./toldMark.ts";
import { newFolderName, type ReceiptFiles, TranscriptFolder } from "./transcriptFolder.ts";
import type { VaultBatch } from "./vault.ts";
import {
  type ConversationRecord,
  conversationSchema,
  decodeRecord,
  encodeRecord,
  maxComplaints,
} from "./vaultRecords.ts";
import { VerifiedLog } from "./verifiedLog.ts";

/** A conversation of which nothing stands yet. */
const newRecord: ConversationRecord = {
  folder: "",
  kind: "direct",
  name: "",
  closed: false,
  size: 0,
  root: emptyRoot,
  disputed: [],
  unprocessable: [],
  checkpoint: null,
  contradiction: null,
  receipt_size: 0,
  receipt_complete: false,
};

/**
 * What a client holds of one conversation's log, and how it becomes durable: entries, checkpoints, complaints. The
 * transcript is written first, then everything else in one transaction of the vault, so a client that dies in between
 * finds lines that it takes in once more.
 */
export class Standing {
  readonly log: VerifiedLog;
  /** Everything since the last `flush`. */
  readonly batch: VaultBatch;
  /** Lines that were written and not taken into account when the client ended. */
  readonly surplus: readonly Arrival[];
  readonly told: ToldMark;
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  #record: ConversationRecord;
  #folder: TranscriptFolder | undefined;
  #checkpoints: CheckpointFile | undefined;
  /** What `certificates.pem` was written for. */
  #writtenFor = "";

  constructor(context: ConversationContext, conversation: Hex) {
    const { vault, directory, transcriptsFolder, onEvent } = context;
    this.#context = context;
    this.#conversation = conversation;
    this.batch = vault.batch();
    this.told = new ToldMark(context, conversation);
    this.log = new VerifiedLog(directory);
    const stored = vault.read("conversation", conversation);
    this.#record =
      stored === undefined ? newRecord : decodeRecord(conversationSchema, stored, "conversation");
    if (this.#record.folder !== "")
      this.#folder = TranscriptFolder.open(transcriptsFolder, this.#record.folder);
    this.surplus = this.#folder === undefined ? [] : this.log.load(this.#folder, this.#record);
    if (this.log.size < this.#record.size)
      onEvent({
        event: "warning",
        code: "TRANSCRIPT_REPAIRED",
        message: `the transcript was damaged and comes from the server again: ${this.#folder?.path ?? ""}`,
        conversation,
      });
  }

  get record(): ConversationRecord {
    return this.#record;
  }

  /** @throws {ClientError} `NO_SUCH_CONVERSATION` while nothing stands yet */
  get folder(): TranscriptFolder {
    if (this.#folder === undefined)
      throw new ClientError("NO_SUCH_CONVERSATION", "the conversation has not begun");
    return this.#folder;
  }

  /** Whether anything has come to stand, also where a damaged transcript has to come from the server again. */
  get hasBegun(): boolean {
    return this.log.size > 0 || this.#record.size > 0;
  }

  get isStopped(): boolean {
    return this.#record.contradiction !== null;
  }

  get complaints(): Complaints {
    const { disputed, unprocessable } = this.#record;
    return { disputed, unprocessable };
  }

  /** For people: the other one's name, or the title. */
  get name(): string {
    const state = this.log.state;
    if (state === undefined) return this.#record.name;
    if (state.kind === "group") return state.title;
    const { username, email } = this.#context.self;
    const other = state.roster.find((row) => row.username !== username || row.email !== email);
    return other?.username ?? "";
  }

  /** Names a conversation whose `create` is under way. */
  begin(peer: string): void {
    this.#update({ kind: "direct", name: peer });
  }

  /** Whether the entry was taken into account before: then only the transcript lost it. */
  isKnown(index: number): boolean {
    return index < this.#record.size;
  }

  complain(kind: keyof Complaints, index: number): void {
    const indexes = [...new Set([...this.#record[kind], index])].sort((a, b) => a - b);
    this.#update({ [kind]: indexes.slice(-maxComplaints) });
  }

  /** An own `acknowledge` stands that named these. */
  said(said: Complaints): void {
    const rest = (kind: keyof Complaints) =>
      this.#record[kind].filter((index) => !said[kind].includes(index));
    this.#update({ disputed: rest("disputed"), unprocessable: rest("unprocessable") });
  }

  /** Writes the files of a receipt and remembers how far it is. */
  keepReceipt(receipt: ReceiptFiles & { size: number; isComplete: boolean }): void {
    const { receipt_size } = this.#record;
    this.folder.sync();
    this.folder.writeReceipt(
      receipt,
      receipt_size > 0 && receipt_size !== receipt.size ? receipt_size : undefined,
    );
    this.writeCertificates();
    this.#checkpoints?.flush();
    this.#record = { ...this.#record, receipt_size: receipt.size, receipt_complete: receipt.isComplete };
    this.#store();
  }

  /**
   * Compares a checkpoint of at most the own size with the log.
   *
   * @throws {LogError} it is not by this conversation's server; {ClientError} `CONVERSATION_STOPPED` it contradicts what is
   *   durable here, `SERVER_MISBEHAVED` it contradicts what has just come with it
   */
  async judge(wire: WireCheckpoint): Promise<void> {
    const checkpoint = await this.verify(wire);
    if (this.log.agrees(checkpoint)) {
      if (checkpoint.size > (this.#record.checkpoint?.size ?? 0)) this.#update({ checkpoint: wire });
      return;
    }
    if (checkpoint.size > this.#record.size)
      throw new ClientError(
        "SERVER_MISBEHAVED",
        "the server's signed root is not that of the entries it sent",
      );
    this.stop(wire);
  }

  /** @throws {LogError} it is not by this conversation's server */
  async verify(wire: WireCheckpoint): Promise<Checkpoint> {
    const checkpoint: Checkpoint = { conversation: this.#conversation, ...wire };
    await learnCertificates(this.#context, [checkpoint.server], checkpoint.at);
    this.log.verifyCheckpoint(checkpoint);
    return checkpoint;
  }

  /** What there is to show against the server: the signatures that contradict each other, or all that it has signed. */
  get evidence(): string {
    return this.isStopped ? join(this.folder.path, "checkpoints.jsonl") : this.folder.path;
  }

  /**
   * Writes down everything since the last call: it survives the end of this process. A loss of power may take it; then the
   * server gives it again, and what is signed meanwhile makes it durable with itself.
   *
   * @returns the root's checkpoint size: entries before it are settled
   */
  flush(keys: ConversationKeys): number {
    const { vault, keepHistory } = this.#context;
    const { log } = this;
    if (log.size > this.#record.size) {
      const folder = this.#openFolder();
      folder.append(log.takeUnwritten());
      const { kind = "direct", closed = false } = log.state ?? {};
      this.#update({ size: log.size, root: log.root, kind, name: this.name, closed });
    } else if (this.#folder !== undefined) this.#folder.append(log.takeUnwritten());
    keys.stage(this.batch);
    if (!this.batch.isEmpty) {
      this.told.stage(this.batch);
      vault.keep(this.batch);
      // Replaced keys and words stand in the log of writes until it is truncated.
      if (!keepHistory) vault.scrub();
    }
    this.#writeSideFiles();
    return this.#record.checkpoint?.size ?? 0;
  }

  /** @throws {ClientError} `SERVER_MISBEHAVED` the entries that have come back do not lead to the root that was known */
  requireKnownRoot(): void {
    if (this.log.size === this.#record.size && this.log.root !== this.#record.root)
      throw new ClientError("SERVER_MISBEHAVED", "the server's log is not the one that this client has seen");
  }

  close(): void {
    this.told.keep();
    this.#checkpoints?.close();
    this.#folder?.close();
  }

  #openFolder(): TranscriptFolder {
    if (this.#folder !== undefined) return this.#folder;
    const { transcriptsFolder } = this.#context;
    const folder = newFolderName(transcriptsFolder, this.name, this.#conversation);
    this.#folder = TranscriptFolder.open(transcriptsFolder, folder);
    this.#update({ folder });
    return this.#folder;
  }

  /**
   * Keeps both checkpoints and takes nothing more, now or later.
   *
   * @param contradiction verified to be by this conversation's server
   * @throws {ClientError} `CONVERSATION_STOPPED`, always
   */
  stop(contradiction: WireCheckpoint): never {
    this.batch.clear();
    this.#record = { ...this.#record, contradiction };
    this.#store();
    this.#writeSideFiles();
    this.#checkpoints?.flush();
    throw conversationStopped(this.evidence);
  }

  #store(): void {
    const batch = this.#context.vault.batch();
    batch.write("conversation", this.#conversation, encodeRecord(conversationSchema, this.#record));
    this.#context.vault.commit(batch);
  }

  #writeSideFiles(): void {
    const folder = this.#folder;
    const { state } = this.log;
    if (folder === undefined || state === undefined) return;
    const { checkpoint, contradiction } = this.#record;
    const lines = [checkpoint, contradiction]
      .filter((wire) => wire !== null)
      .map((wire) => formatCheckpoint({ conversation: this.#conversation, ...wire }));
    // The roster changes with the epoch, the server's certificate when it was renewed.
    const writtenFor = [state.epoch, checkpoint?.server, contradiction?.server].join(" ");
    if (writtenFor !== this.#writtenFor) this.writeCertificates();
    this.#writtenFor = writtenFor;
    this.#checkpoints ??= new CheckpointFile(folder);
    this.#checkpoints.write(lines);
  }

  /** Everything that a verifier needs beside the transcript. */
  writeCertificates(): void {
    const { directory, revocations } = this.#context;
    const { state } = this.log;
    if (state === undefined) return;
    const servers = [
      state.server.fingerprint,
      this.#record.checkpoint?.server,
      this.#record.contradiction?.server,
    ];
    const wanted = [...state.senders.keys(), ...servers.filter((fingerprint) => fingerprint !== undefined)];
    const certificates = wanted.flatMap((fingerprint) => directory.certificates(fingerprint));
    const all = new Map(
      [...certificates, ...directory.anchors].map(({ fingerprint, der }) => [fingerprint, der]),
    );
    this.folder.writeCertificates([...all.values()]);
    // A list of a CA that nothing here comes from would be one that nobody can judge.
    const issuers = new Set(certificates.map(({ issuer }) => encodeHex(issuer)));
    const crls = revocations.crls.filter(({ issuer }) => issuers.has(encodeHex(issuer)));
    this.folder.writeCrls(crls.map(({ der }) => der));
  }

  #update(change: Partial<ConversationRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.batch.write("conversation", this.#conversation, encodeRecord(conversationSchema, this.#record));
  }
}
