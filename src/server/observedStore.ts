import type { Store } from "../store/store.ts";

/** Runs a call of the store, and sees how it ends. `name`: as `log.append`. */
export type Observe = <T>(name: string, call: () => Promise<T>) => Promise<T>;

/** @returns the store, with every call that it answers going through `observe` */
export function observedStore(store: Store, observe: Observe): Store {
  return {
    accounts: observed("accounts", store.accounts, observe),
    control: observed("control", store.control, observe),
    tickets: observed("tickets", store.tickets, observe),
    keyPackages: observed("keyPackages", store.keyPackages, observe),
    blobs: observed("blobs", store.blobs, observe),
    log: observed("log", store.log, observe),
    receipts: observed("receipts", store.receipts, observe),
    restoration: observed("restoration", store.restoration, observe),
    ...(store.changes === undefined ? {} : { changes: store.changes }),
    ...(store.crls === undefined ? {} : { crls: observed("crls", store.crls, observe) }),
    sweep: (request) => observe("sweep", () => store.sweep(request)),
    close: () => store.close(),
  };
}

/** Every method of a part of the store returns a promise: the name is all that differs. */
function observed<Part extends object>(name: string, part: Part, observe: Observe): Part {
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(part, {
    get(target, property): unknown {
      const known = wrapped.get(property);
      if (known !== undefined) return known;
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      const call = `${name}.${String(property)}`;
      const method = (...args: unknown[]): unknown =>
        observe(call, async () => Reflect.apply(value, target, args));
      wrapped.set(property, method);
      return method;
    },
  });
}
