import type { LogStore } from "../../src/store/logStore.ts";
import type { Store } from "../../src/store/store.ts";

/** The same store, with some of what its log does done otherwise. */
export function withLog(store: Store, over: Partial<LogStore>): Store {
  const log = new Proxy(store.log, {
    get(target, name) {
      if (Object.hasOwn(over, name)) return Reflect.get(over, name);
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...store, log };
}
