/** Lines that were entered on the terminal: each waits until it is taken. */
export class EnteredLines {
  readonly #waiting: string[] = [];
  #hasInput = true;
  #onEntered: () => void = () => {};

  add(line: string): void {
    this.#waiting.push(line);
    this.#onEntered();
  }

  /** No more will be entered. */
  end(): void {
    this.#hasInput = false;
    this.#onEntered();
  }

  /** @param onUnwanted whoever reads wants no more, or there are no more */
  async *read(onUnwanted: () => void): AsyncGenerator<string> {
    try {
      for (;;) {
        const line = this.#waiting.shift();
        if (line !== undefined) yield line;
        else if (!this.#hasInput) return;
        else
          await new Promise<void>((resolve) => {
            this.#onEntered = resolve;
          });
      }
    } finally {
      onUnwanted();
    }
  }
}
