import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";

const parts = [
  "accounts",
  "tickets",
  "control",
  "keyPackages",
  "blobs",
  "log",
  "receipts",
  "restoration",
] as const;
/** `lost`: failed and not stored. `stored`: failed, and stored all the same. */
export type Fault = "lost" | "stored";

/** A real store whose calls can be made to fail, each in the two ways that a caller can't tell apart. */
export class FaultyStore {
  readonly store: Store;
  /** Every call that was made, as `log.append`. */
  readonly calls: string[] = [];
  /** Those that were made to fail. */
  readonly failed: string[] = [];
  #armed: { readonly call: string; readonly fault: Fault } | undefined;

  /** How many calls `gate` has kept from the store. */
  refused = 0;
  readonly #gate: () => void;

  /** @param gate called before every call; what it throws is what the call rejects with */
  constructor(store: Store, gate: () => void = () => {}) {
    this.#gate = gate;
    const wrapped = { ...store };
    for (const part of parts) Object.assign(wrapped, { [part]: this.#wrap(part, store[part]) });
    this.store = wrapped;
  }

  /** The next time that `call` is made it fails; later ones don't, nor what was armed before. */
  arm(call: string | undefined, fault: Fault): void {
    this.#armed = call === undefined ? undefined : { call, fault };
  }

  #wrap<T extends object>(part: string, target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        const call = `${part}.${String(name)}`;
        return async (...args: readonly unknown[]) => {
          this.calls.push(call);
          try {
            this.#gate();
          } catch (error) {
            this.refused += 1;
            throw error;
          }
          const fault = this.#armed?.call === call ? this.#armed.fault : undefined;
          if (fault === undefined) return Reflect.apply(method, target, args);
          this.#armed = undefined;
          this.failed.push(call);
          if (fault === "stored") await Reflect.apply(method, target, args);
          throw new StoreError("UNAVAILABLE", `made to fail: ${call}`);
        };
      },
    });
  }
}
