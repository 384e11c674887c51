import type { TranscriptFolder } from "./transcriptFolder.ts";

/** Least time between two writes, ms: under load a checkpoint comes with every batch. */
const spacingMs = 250;

/**
 * `checkpoints.jsonl` of a folder, written at once when it was not written just before, else a moment later. The vault has what
 * is in it, too: a client that is killed writes it again when it starts.
 */
export class CheckpointFile {
  readonly #folder: TranscriptFolder;
  #content = "";
  #waiting: readonly string[] | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(folder: TranscriptFolder) {
    this.#folder = folder;
  }

  /** @param lines all that the file is to have @throws {ClientError} `TRANSCRIPT_UNUSABLE`, also for an earlier write */
  write(lines: readonly string[]): void {
    const content = lines.join("\n");
    if (content === this.#content && this.#waiting === undefined) return;
    this.#waiting = lines;
    if (this.#timer !== undefined) return;
    this.flush();
    this.#timer = setTimeout(() => this.#later(), spacingMs);
    this.#timer.unref();
  }

  /** Writes what waits. @throws {ClientError} `TRANSCRIPT_UNUSABLE` */
  flush(): void {
    const lines = this.#waiting;
    if (lines === undefined) return;
    this.#folder.writeCheckpoints(lines);
    this.#content = lines.join("\n");
    this.#waiting = undefined;
  }

  /** What can't be written now is written when the conversation is opened the next time. */
  close(): void {
    clearTimeout(this.#timer);
    try {
      this.flush();
    } catch {
      // The vault has it, and nobody is left to be told.
    }
  }

  #later(): void {
    this.#timer = undefined;
    if (this.#waiting === undefined) return;
    try {
      this.write(this.#waiting);
    } catch {
      // It still waits, and the next write says what is wrong.
    }
  }
}
