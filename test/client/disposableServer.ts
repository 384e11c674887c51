import type { AppendOutcome } from "../../src/store/logStore.ts";
import { TestServer } from "../server/testServer.ts";
import { overriding } from "./overriding.ts";

/** A server that ends with the block that it was made in: `await using`. */
export async function disposableServer(
  ...options: Parameters<typeof TestServer.create>
): Promise<TestServer & AsyncDisposable> {
  const server = await TestServer.create(...options);
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.dispose() });
}

/** Restarts a server so that `onAppend` decides about each append to a log; it may let it happen. */
export async function watchAppends(
  server: TestServer,
  onAppend: (append: () => Promise<AppendOutcome>) => Promise<AppendOutcome>,
): Promise<void> {
  await server.stop();
  server.wrapStore = (store) =>
    overriding(store, {
      log: overriding(store.log, { append: (append) => onAppend(() => store.log.append(append)) }),
    });
  await server.start();
}
