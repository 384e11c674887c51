import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { encodePem } from "./pemFile.ts";
import { TestServer } from "./testServer.ts";

describe("startServer() refuses", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.create();
  });
  afterAll(() => server.dispose());

  const start = async (options: Parameters<TestServer["start"]>[0]) => {
    const other = await TestServer.create();
    await other.stop();
    try {
      await other.start({
        chain: server.identity.chain,
        key: server.identity.key,
        anchors: [server.authority.ca],
        ...options,
      });
      return "started";
    } catch (error) {
      return error instanceof Error && error.name === "ServerError" && "code" in error ? error.code : error;
    } finally {
      await other.dispose();
    }
  };

  test("a port that is in use", async () => {
    expect(await start({ port: server.port })).toBe("PORT_IN_USE");
  });

  test("an address that is not this machine's", async () => {
    expect(await start({ host: "203.0.113.7" })).toBe("ADDRESS_UNAVAILABLE");
  });

  test("a key that is not the certificate's", async () => {
    const other = await server.authority.issueServer("localhost");
    expect(await start({ key: other.key })).toBe("KEY_MISMATCH");
  });

  test("the certificate of a user", async () => {
    const { chain, key } = await server.authority.issueUser("alice");
    expect(await start({ chain, key })).toBe("NOT_A_SERVER_CERTIFICATE");
  });

  test("a certificate that has expired or is not valid yet", async () => {
    const now = Date.now();
    for (const [notBeforeMs, notAfterMs] of [
      [now - 7_200_000, now - 3_600_000],
      [now + 3_600_000, now + 7_200_000],
    ] as const) {
      const { chain, key } = await server.authority.issueServer("localhost", { notBeforeMs, notAfterMs });
      expect(await start({ chain, key })).toBe("CERTIFICATE_EXPIRED");
    }
  });

  test("a certificate of another CA, and none", async () => {
    const { chain, key } = await (await createTestAuthority()).issueServer("localhost");
    expect(await start({ chain, key })).toBe("CERTIFICATE_REFUSED");
    expect(await start({ chain: [] })).toBe("CERTIFICATE_REFUSED");
  });

  test("a CRL of another CA, from the future, in pieces, or that names the server", async () => {
    const foreign = (await createTestAuthority({ name: "Another CA" })).crl();
    const sameName = (await createTestAuthority()).crl();
    const future = server.authority.crl([], { thisUpdateMs: Date.now() + 3_600_000 });
    for (const crl of [
      foreign.der,
      sameName.der,
      future.der,
      foreign.der.subarray(0, 50),
      encodePem("X509 CRL", sameName.der),
    ])
      expect(await start({ crl })).toBe("CRL_REFUSED");
    const own = server.authority.crl([{ certificate: server.identity.certificate }]);
    expect(await start({ crl: own.der })).toBe("CERTIFICATE_REFUSED");
  });

  test("nothing of a good configuration", async () => {
    expect(await start({ crl: server.authority.crl().der })).toBe("started");
  });
});
