import { expect, test } from "bun:test";
import { dialServer } from "../../src/client/channelLink.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";

test("dialServer() gives a server up that takes the connection and never answers, and closes it", async () => {
  const closed = Promise.withResolvers<void>();
  let heard = 0;
  using listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(_, chunk) {
        heard += chunk.length;
      },
      close: () => closed.resolve(),
    },
  });
  const steps: string[] = [];
  const dialed = dialServer({
    ...{ host: "127.0.0.1", port: listener.port, chain: [], random: systemRandom },
    key: crypto().importPrivateKey(await crypto().generatePrivateKey("p256")),
    ...{ connectMs: 30_000, handshakeMs: 200 },
    verifyServer: () => {
      throw new Error("no server");
    },
    onStep: (step) => steps.push(step),
  });
  expect(await dialed.catch((error: unknown) => error)).toMatchObject({
    code: "TIMEOUT",
    message: `no answer from 127.0.0.1:${listener.port} in 0.2 s`,
  });
  await closed.promise;
  expect(steps).toEqual(["connect"]);
  expect(heard).toBeGreaterThan(1_000);
});
