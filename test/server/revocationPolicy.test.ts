import { afterEach, describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { ExpiryWatch } from "../../src/server/expiryWatch.ts";
import { OwnIdentity } from "../../src/server/ownIdentity.ts";
import { type CrlPolicy, Revocation } from "../../src/server/revocation.ts";
import type { ServerOptions } from "../../src/server/server.ts";
import { serverIdentity } from "../../src/server/serverIdentity.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { RawClient } from "./rawClient.ts";
import { TestServer } from "./testServer.ts";

const hour = 3_600_000;
const day = 24 * hour;

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

async function testServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const server = await TestServer.create();
  servers.push(server);
  if (Object.keys(options).length > 0) {
    await server.stop();
    await server.start(options);
  }
  return server;
}

const policy = (over: Partial<CrlPolicy> = {}): CrlPolicy => ({
  graceMs: 7 * day,
  required: false,
  source: "lists/org_crl.pem",
  ...over,
});

/** @returns how starting again ended, and the message */
async function restart(server: TestServer, options: Partial<ServerOptions>): Promise<string> {
  await server.stop();
  try {
    await server.start(options);
    return "started";
  } catch (error) {
    return error instanceof Error && "code" in error
      ? `${String(error.code)}: ${error.message}`
      : String(error);
  }
}

describe("a CRL past its nextUpdate", () => {
  test("lets a server start and people in while the grace lasts, and is warned about once a day", async () => {
    const server = await testServer();
    const alice = await server.person("alice");
    await server.register(alice);
    const { der } = server.authority.crl([], {
      thisUpdateMs: Date.now() - 8 * day,
      nextUpdateMs: Date.now() - 7 * day + hour,
    });
    server.lines.length = 0;
    expect(await restart(server, { crl: der, crlPolicy: policy() })).toBe("started");
    expect(server.log).toMatch(
      /\[WARNING\] The CRL was due for renewal at \S+ \(lists\/org_crl\.pem, of .*nobody new is let in/,
    );
    expect(server.log.match(/was due for renewal/g)).toHaveLength(1);
    expect((await server.login(alice)).alert).toBeUndefined();
  });

  test("refuses a start after the grace, with the file to renew in the message", async () => {
    const server = await testServer();
    const late = { thisUpdateMs: Date.now() - 9 * day, nextUpdateMs: Date.now() - 7 * day - hour };
    const { der } = server.authority.crl([], late);
    expect(await restart(server, { crl: der, crlPolicy: policy() })).toMatch(
      /^CRL_EXPIRED: lists\/org_crl\.pem .*grace of 7 days.*securechat ca crl/,
    );
    expect(await restart(server, { crl: der, crlPolicy: policy({ graceMs: 8 * day }) })).toBe("started");
    expect(await restart(server, { crl: der, crlPolicy: policy({ graceMs: 0 }) })).toStartWith("CRL_EXPIRED");
  });

  test("refuses new sessions after the grace, leaves old ones alone, and lets people in again with a newer list", async () => {
    const server = await testServer();
    server.freezeClock();
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    await server.register(bob);
    const { der } = server.authority.crl([], { nextUpdateMs: Date.now() + hour });
    expect(await restart(server, { crl: der, crlPolicy: policy() })).toBe("started");
    const aliceClient = await server.register(alice);

    server.skewMs = 7 * day + 2 * hour;
    await expect(server.dial(bob)).rejects.toMatchObject({ code: "PEER_ALERT", alert: "internal_error" });
    expect(server.log).toMatch(/lists\/org_crl\.pem .*nobody new is let in/);
    expect((await aliceClient.request({ type: "ping" })).type).toBe("pong");

    const newer = server.authority.crl([], {
      number: 2n,
      thisUpdateMs: Date.now() + 7 * day,
      nextUpdateMs: Date.now() + 14 * day,
    });
    expect(server.running.replaceCrl(newer.der)).toBe(true);
    expect((await server.login(bob)).alert).toBeUndefined();
  });

  test("is told of again on the next day, and not in between", async () => {
    const server = await testServer();
    const anchors = [server.authority.ca];
    const start = Date.now();
    const revocation = new Revocation({ anchors });
    revocation.replace(server.authority.crl([], { nextUpdateMs: start + hour + 1000 }).der, start);
    const identity = new OwnIdentity(
      serverIdentity({ ...server.identity, anchors, now: () => start }, revocation),
    );
    const told: string[] = [];
    const watch = new ExpiryWatch({ identity, revocation, anchors, log: (_, line) => told.push(line) });
    const at = (ms: number) => {
      watch.look(start + ms);
      return told.splice(0).length;
    };
    expect([0, hour, 2 * hour, 3 * hour, day, day + 2 * hour, day + 3 * hour].map(at)).toEqual([
      0, 0, 1, 0, 0, 1, 0,
    ]);
    // 30 days before its end the server's own certificate comes on top.
    expect(at(340 * day)).toBe(2);
    expect(at(340 * day + hour)).toBe(0);
  });
});

describe("--crl-required", () => {
  test("refuses a start without a list and past nextUpdate, whatever the grace", async () => {
    const server = await testServer();
    const required = { crlPolicy: policy({ required: true }) };
    expect(await restart(server, required)).toMatch(/^CRL_REQUIRED: .*--crl/);
    const late = server.authority.crl([], {
      thisUpdateMs: Date.now() - 2 * hour,
      nextUpdateMs: Date.now() - hour,
    });
    expect(await restart(server, { ...required, crl: late.der })).toStartWith(
      "CRL_EXPIRED: lists/org_crl.pem",
    );
    expect(await restart(server, { ...required, crl: server.authority.crl().der })).toBe("started");
  });

  test("refuses new sessions from nextUpdate on", async () => {
    const server = await testServer();
    server.freezeClock();
    const { der } = server.authority.crl([], { nextUpdateMs: Date.now() + hour });
    await restart(server, { crl: der, crlPolicy: policy({ required: true }) });
    await server.register(await server.person("alice"));
    server.skewMs = hour + 2000;
    await expect(server.dial(await server.person("bob"))).rejects.toMatchObject({ alert: "internal_error" });
  });

  test("refuses a client whose issuing CA has no list", async () => {
    const root = await createTestAuthority({ intermediates: true });
    const issuing = await root.issueIntermediate("Issuing CA");
    const server = await testServer();
    const identity = await root.issueServer(["localhost", "127.0.0.1"]);
    const options = {
      chain: identity.chain,
      key: identity.key,
      anchors: [root.ca],
      crlPolicy: policy({ required: true }),
    };
    const own = await issuing.issueUser("alice");
    const rootList = formatPem("X509 CRL", root.crl().der);
    const both = `${rootList}${formatPem("CERTIFICATE", issuing.ca.der)}${formatPem("X509 CRL", issuing.crl().der)}`;
    const dial = () => RawClient.connect(server.port, own, { ca: root.ca });
    expect(await restart(server, { ...options, crl: new TextEncoder().encode(rootList) })).toBe("started");
    await expect(dial()).rejects.toMatchObject({ alert: "internal_error" });
    expect(await restart(server, { ...options, crl: new TextEncoder().encode(both) })).toBe("started");
    (await dial()).close();
  });
});

describe("replaceCrl()", () => {
  test("takes a newer list only: an older, a changed and a broken one leave the one in use", async () => {
    const server = await testServer();
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    const bobClient = await server.register(bob);
    const first = server.authority.crl([{ certificate: alice.certificate }], { number: 5n });
    expect(server.running.replaceCrl(first.der)).toBe(true);
    expect(encodeHex((await bobClient.push("crl")).crl)).toBe(encodeHex(first.der));
    expect(server.running.replaceCrl(first.der)).toBe(false);
    const bad: [string, Uint8Array][] = [
      ["older", server.authority.crl([], { number: 4n }).der],
      ["number 5 is in use with another content", server.authority.crl([], { number: 5n }).der],
      ["DER", first.der.subarray(0, first.der.length - 1)],
      ["not signed", (await createTestAuthority()).crl([], { number: 6n }).der],
      ["not one of a CA", (await createTestAuthority({ name: "Another" })).crl([], { number: 6n }).der],
      ["no block", new TextEncoder().encode("nothing here")],
      ['a block "PRIVATE KEY"', new TextEncoder().encode(formatPem("PRIVATE KEY", first.der))],
    ];
    for (const [message, file] of bad) expect(() => server.running.replaceCrl(file)).toThrow(message);
    await expect(server.dial(alice)).rejects.toMatchObject({ alert: "certificate_revoked" });
    expect(bobClient.pendingPushes).toBe(0);
  });

  test("ends the sessions of a revoked issuing CA, and of what an issuing CA revoked", async () => {
    const root = await createTestAuthority({ intermediates: true });
    const [east, west] = [await root.issueIntermediate("East CA"), await root.issueIntermediate("West CA")];
    const identity = await east.issueServer(["localhost", "127.0.0.1"]);
    const server = await testServer();
    await restart(server, { chain: identity.chain, key: identity.key, anchors: [root.ca] });
    const enter = async (name: string, authority: typeof east) => {
      const issued = await authority.issueUser(name);
      const client = await RawClient.connect(server.port, issued, { ca: root.ca });
      const account = { email: `${name}@example.org`, username: name, password: `password of ${name}` };
      await client.expect("authenticated", { type: "register", ...account });
      return { issued, client };
    };
    const [alice, bob, carol] = [
      await enter("alice", east),
      await enter("bob", west),
      await enter("carol", east),
    ];

    // The server's own issuing CA needs no certificate beside its list; the other one does.
    server.running.replaceCrl(east.crl([{ certificate: alice.issued.certificate }]).der);
    expect(await alice.client.ended).toBe("certificate_revoked");
    expect(() => server.running.replaceCrl(west.crl().der)).toThrow(
      "put that CA's certificate into the same file",
    );
    server.running.replaceCrl(root.crl([{ certificate: west.ca }]).der);
    expect(await bob.client.ended).toBe("certificate_revoked");
    expect((await carol.client.request({ type: "ping" })).type).toBe("pong");
    expect([await carol.client.push("crl"), await carol.client.push("crl")]).toHaveLength(2);
    carol.client.close();
  });
});
