import type { Store } from "../store/store.ts";
import type { ServerMeter } from "./serverMeter.ts";
import { timed } from "./timed.ts";

/** @returns the store, with the time and the outcome of every call told to the meter */
export function measuredStore(store: Store, meter: ServerMeter): Store {
  return {
    accounts: measured("accounts", store.accounts, meter),
    keyPackages: measured("keyPackages", store.keyPackages, meter),
    blobs: measured("blobs", store.blobs, meter),
    log: measured("log", store.log, meter),
    receipts: measured("receipts", store.receipts, meter),
    restoration: measured("restoration", store.restoration, meter),
    ...(store.changes === undefined ? {} : { changes: store.changes }),
    sweep: (request) =>
      timed(
        () => store.sweep(request),
        (outcome, seconds) => meter.stored("sweep", outcome, seconds),
      ),
    close: () => store.close(),
  };
}

/** Every method of a part of the store returns a promise: the name is all that differs. */
function measured<Part extends object>(name: string, part: Part, meter: ServerMeter): Part {
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(part, {
    get(target, property): unknown {
      const known = wrapped.get(property);
      if (known !== undefined) return known;
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      const call = `${name}.${String(property)}`;
      const method = (...args: unknown[]): unknown =>
        timed(
          () => Reflect.apply(value, target, args),
          (outcome, seconds) => meter.stored(call, outcome, seconds),
        );
      wrapped.set(property, method);
      return method;
    },
  });
}
