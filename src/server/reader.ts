/** Who waits for input. An object and no promise: what waits for a silent client is what thousands of them cost most. */
export interface Reader {
  readable(): void;
}
