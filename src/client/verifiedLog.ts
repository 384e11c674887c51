import type { Hex } from "../base/hex.ts";
import type { Body } from "../log/bodies.ts";
import { decodeBody } from "../log/bodies.ts";
import { type Checkpoint, contradict, verifyCheckpoint } from "../log/checkpoint.ts";
import { type LogState, nextSeqno, verifyEntry } from "../log/conversationLog.ts";
import type { Entry } from "../log/entry.ts";
import { emptyRoot } from "../log/merkle.ts";
import { RootHistory } from "../log/rootHistory.ts";
import { formatTranscriptLine, parseTranscriptLine } from "../log/transcript.ts";
import { ClientError } from "./clientError.ts";
import type { Directory } from "./directory.ts";
import type { TranscriptFolder } from "./transcriptFolder.ts";

/** An entry that stands in the log. */
export interface LoggedEntry {
  readonly entry: Entry;
  readonly index: number;
  readonly at: number;
  readonly body: Body;
}

/**
 * One conversation's log as this client has verified it: the state after its entries, all roots, the transcript file. It
 * knows nothing of keys.
 */
export class VerifiedLog {
  readonly #directory: Pick<Directory, "certificateAt">;
  #roots = new RootHistory();
  #state: LogState | undefined;
  /** What the entry that opened the epoch names. */
  #epochBlobs: { commit: Hex; group: Hex } | undefined;
  /** Index of each sender's last entry that is more than an acknowledgement. */
  readonly #lastStatements = new Map<Hex, number>();
  #unwritten: string[] = [];

  constructor(directory: Pick<Directory, "certificateAt">) {
    this.#directory = directory;
  }

  get state(): LogState | undefined {
    return this.#state;
  }

  get size(): number {
    return this.#state?.size ?? 0;
  }

  get root(): Hex {
    return this.#state?.root ?? emptyRoot;
  }

  get epochBlobs(): { readonly commit: Hex; readonly group: Hex } | undefined {
    return this.#epochBlobs;
  }

  /** Index of the last entry by somebody else that is more than an acknowledgement; -1 when there is none. */
  lastStatementOfOthers(own: Hex): number {
    let last = -1;
    for (const [sender, index] of this.#lastStatements) if (sender !== own) last = Math.max(last, index);
    return last;
  }

  /** The view that an entry signed now has. */
  get view(): { size: number; root: Hex } {
    return { size: this.size, root: this.root };
  }

  nextSeqno(sender: Hex): number {
    return nextSeqno(this.#state, sender);
  }

  rootAt(size: number): Hex | undefined {
    return size === 0 ? emptyRoot : this.#roots.at(size);
  }

  /**
   * Reads the transcript back, verifying it all again. Unless it leads to `root` at `size` it counts for nothing: then it
   * comes from the server once more, and is compared when it has `size` entries. The file stays as it is until it does.
   *
   * @returns lines behind `size`, which were written and not yet taken into account when the client ended
   */
  load(
    folder: TranscriptFolder,
    expected: { size: number; root: Hex },
  ): { index: number; at: number; entry: Entry }[] {
    const surplus: { index: number; at: number; entry: Entry }[] = [];
    let end = 0;
    try {
      for (const { line, end: lineEnd } of folder.lines()) {
        const { entry, index, at } = parseTranscriptLine(line);
        if (index !== this.size + surplus.length) break;
        if (index >= expected.size) surplus.push({ index, at, entry });
        else {
          this.#apply(entry, at);
          end = lineEnd;
        }
      }
    } catch {
      // A damaged line, or one that may not stand there: what was read before it counts.
    }
    if (this.size === expected.size && this.root === expected.root) {
      folder.truncate(end);
      return surplus;
    }
    this.#state = undefined;
    this.#roots = new RootHistory();
    this.#epochBlobs = undefined;
    this.#lastStatements.clear();
    folder.startOver();
    return [];
  }

  /**
   * Verifies the next entry and takes it in.
   *
   * @param isOwnSignature the very line was signed here
   * @throws {LogError} when it may not stand here
   */
  append(entry: Entry, at: number, isOwnSignature = false): LoggedEntry {
    const index = this.size;
    const body = this.#apply(entry, at, isOwnSignature);
    this.#unwritten.push(formatTranscriptLine({ entry, index, at }));
    return { entry, index, at, body };
  }

  /** @returns the transcript lines that were appended since the last call, for the file */
  takeUnwritten(): string[] {
    const lines = this.#unwritten;
    this.#unwritten = [];
    return lines;
  }

  /** @throws {LogError} `BAD_SIGNATURE`, `CERTIFICATE_INVALID`: it is no checkpoint of this conversation's server */
  verifyCheckpoint(checkpoint: Checkpoint): void {
    if (this.#state === undefined) throw new ClientError("SERVER_MISBEHAVED", "a checkpoint without a log");
    const server = this.#directory.certificateAt(checkpoint.server, checkpoint.at);
    verifyCheckpoint(checkpoint, server, this.#state.server.name);
  }

  /** @param checkpoint of at most the own size @returns whether it is one of this log */
  agrees({ conversation, size, root }: Checkpoint): boolean {
    const own = this.rootAt(size);
    return own !== undefined && !contradict({ conversation, size, root: own }, { conversation, size, root });
  }

  #apply(entry: Entry, at: number, isOwnSignature = false): Body {
    const body = decodeBody(entry);
    this.#state = verifyEntry(this.#state, entry, at, {
      certificateAt: (fingerprint, atMs) => this.#directory.certificateAt(fingerprint, atMs),
      rootAt: (size) => this.#roots.at(size),
      isOwnSignature,
    });
    this.#roots.append(this.#state.root);
    if (body.kind !== "acknowledge") this.#lastStatements.set(entry.sender, this.#state.size - 1);
    if (body.kind === "create" || body.kind === "membership")
      this.#epochBlobs = { commit: body.body.commit, group: body.body.group };
    return body;
  }
}
