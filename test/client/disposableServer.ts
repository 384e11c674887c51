import { TestServer } from "../server/testServer.ts";

/** A server that ends with the block that it was made in: `await using`. */
export async function disposableServer(): Promise<TestServer & AsyncDisposable> {
  const server = await TestServer.create();
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.dispose() });
}
