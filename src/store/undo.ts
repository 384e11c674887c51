/** Thrown by a write to undo what it did and resolve with `outcome`, which must be of the write's type. */
export class Undo {
  readonly outcome: unknown;

  constructor(outcome: unknown) {
    this.outcome = outcome;
  }
}
