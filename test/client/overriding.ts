/** @returns an object that does what `over` says, and everything else as `target` */
export function overriding<T extends object>(target: T, over: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const source: object = Object.hasOwn(over, name) ? over : target;
      const value: unknown = Reflect.get(source, name, source);
      return typeof value === "function" ? value.bind(source) : value;
    },
  });
}
