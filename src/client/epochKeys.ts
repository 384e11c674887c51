import type { Hex } from "../base/hex.ts";
import { messageKey, nextChain, openMessage } from "../group/ratchet.ts";
import { decodeChains, encodeChains } from "./vaultRecords.ts";

/**
 * The message keys of one epoch: a hash chain per member, moved on by the log. A chain stands where the next message
 * entry of that member takes its key; it moves when an entry stands in the log, never when one is sealed, so a
 * refused entry is sealed again under the key it had. Keys of own messages in flight are derived ahead and kept until then.
 */
export class EpochKeys {
  readonly epoch: number;
  readonly #own: Hex;
  readonly #chains: Map<Hex, Uint8Array>;
  /** Keys of the own messages in flight, in their order, and the chain behind the last of them. */
  #ahead: Uint8Array[] = [];
  #aheadChain: Uint8Array | undefined;

  /** @param chains taken over and wiped as they move on */
  constructor(epoch: number, own: Hex, chains: ReadonlyMap<Hex, Uint8Array>) {
    this.epoch = epoch;
    this.#own = own;
    this.#chains = new Map(chains);
  }

  static decode(epoch: number, own: Hex, bytes: Uint8Array): EpochKeys {
    return new EpochKeys(epoch, own, decodeChains(bytes));
  }

  /** Secret: sealed into the vault, then wiped by the caller. */
  encode(): Uint8Array {
    return encodeChains(this.#chains);
  }

  /** @param ahead how many own messages are in flight before this one; the same number gives the same key until one lands */
  sendKey(ahead: number): Uint8Array {
    while (this.#ahead.length <= ahead) {
      const chain = this.#aheadChain ?? this.#chainOf(this.#own);
      this.#ahead.push(messageKey(chain));
      this.#aheadChain = nextChain(chain);
      if (chain !== this.#chains.get(this.#own)) chain.fill(0);
    }
    const key = this.#ahead[ahead];
    if (key === undefined) throw new Error("a key was not derived");
    return key;
  }

  /** Opens the next message entry of `sender`; `undefined` when it can't be. The chain stays: see `advance`. */
  open(
    sender: Hex,
    sealed: { associatedData: Uint8Array; ct: Uint8Array },
  ): { opening: Uint8Array; plaintext: Uint8Array } | undefined {
    const chain = this.#chains.get(sender);
    if (chain === undefined) return undefined;
    const key = messageKey(chain);
    try {
      return openMessage({ key, ...sealed });
    } finally {
      key.fill(0);
    }
  }

  /** A message entry of `sender` stands in the log: its key is gone from here on, whether it could be read or not. */
  advance(sender: Hex): void {
    const chain = this.#chains.get(sender);
    if (chain === undefined) return;
    this.#chains.set(sender, nextChain(chain));
    chain.fill(0);
    if (sender === this.#own) this.#ahead.shift()?.fill(0);
    if (this.#ahead.length > 0) return;
    this.#aheadChain?.fill(0);
    this.#aheadChain = undefined;
  }

  wipe(): void {
    for (const secret of [...this.#chains.values(), ...this.#ahead]) secret.fill(0);
    this.#aheadChain?.fill(0);
    this.#chains.clear();
    this.#ahead = [];
    this.#aheadChain = undefined;
  }

  #chainOf(member: Hex): Uint8Array {
    const chain = this.#chains.get(member);
    if (chain === undefined) throw new Error("the epoch has no chain for this member");
    return chain;
  }
}
