import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import type { AlertCode } from "../../src/wire/handshakeMessages.ts";
import { patienceMs } from "../scenario/world.ts";
import type { Identity } from "../server/rawClient.ts";
import { badCertificates, badHosts, byTheCa, forged, newKey, profileOf } from "./badIdentities.ts";
import { HostilePeers, keptFiles, keptRows } from "./hostilePeers.ts";
import { type Encounter, HostileServer } from "./hostileServer.ts";

/*
 * The first heading of the original's security tests, test_security_bad_cert.py, under its five names, and more. Every certificate
 * is tried on a running `serve` by a client that has it, and on a running `connect` by a server that has it.
 */

setDefaultTimeout(patienceMs);

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["victim"]);
});
afterAll(() => peers?.dispose());

describe("test_security_bad_cert: serve refuses a client's certificate", () => {
  test.each(badCertificates)("$name", async ({ make, alert, reason }) => {
    const before = peers.kept();
    const refused = await peers.refusedHandshake(await make("client", peers.authority));
    expect(refused.alert).toBe(alert);
    expect(refused.log).toMatch(reason);
    expect(peers.kept()).toEqual(before);
  });

  test("somebody else's, without its key", async () => {
    const alice = await peers.person("carol");
    await peers.register(alice);
    const before = peers.kept();
    const refused = await peers.refusedHandshake({ chain: alice.chain, key: await newKey() });
    expect(refused.alert).toBe("decrypt_error");
    expect(refused.log).toMatch(/signature/);
    expect(peers.kept()).toEqual(before);
  });

  test("one without an email", async () => {
    const nobody = await forged("client", {
      ...byTheCa(peers.authority),
      extensions: profileOf.client.slice(0, 2),
    });
    const before = peers.kept();
    const refused = await peers.refusedHandshake(nobody);
    expect(refused.alert).toBe("bad_certificate");
    expect(refused.log).toMatch(/not exactly one e-mail address/);
    expect(peers.kept()).toEqual(before);
  });

  test("test_cn_mismatch_rejected: a good one, for an account of another CN or another SAN", async () => {
    const owner = await peers.person("owner");
    const { password, email } = owner;
    await peers.register(owner);
    const thief = await peers.person("thief");
    const client = await peers.dial(thief);
    const before = peers.kept();
    const tried = [
      { type: "login", email, password } as const,
      { type: "register", email: thief.email, username: "owner2", password } as const,
      { type: "register", email: "owner2@example.org", username: "thief", password } as const,
      { type: "register", email, username: "owner", password } as const,
    ];
    for (const request of tried) expect(await client.refusalCode(request)).toBe("IDENTITY_MISMATCH");
    expect(peers.kept()).toEqual(before);
    // Nothing of it counts against the owner.
    expect(await (await peers.dial(owner)).request({ type: "login", email, password })).toMatchObject({
      type: "authenticated",
    });
  });

  test("test_valid_cert_accepted: of a user of the CA, and the account is the certificate's", async () => {
    const dave = await peers.person("dave");
    await peers.register(dave);
    expect(peers.kept()["table users"]?.filter((row) => row.includes('"dave@example.org"'))).toHaveLength(1);
  });
});

describe("test_security_bad_cert: connect refuses a server's certificate", () => {
  const kept = () => ({
    ...keptFiles(peers.world.path("victim")),
    ...keptRows(peers.world.path("victim/certs/victim_vault.db")),
    names: readdirSync(peers.world.path("victim"), { recursive: true }).map(String).sort(),
  });

  /** A client that knows its password and has words to say is led to a hostile server. */
  async function led(identity: Identity) {
    using server = new HostileServer(identity, peers.authority.ca);
    const done = await peers.chat("victim", server.port, ["--login", "--to", "bob"], "words\n");
    return { done, encounters: await server.encounters() };
  }

  const told = (alert: AlertCode): Encounter => ({ kind: "refused", alert, frames: 2 });

  beforeAll(async () => {
    // The client's files are there before: whatever comes later must leave them as they are.
    expect((await peers.chat("victim", peers.port, ["--register"])).exitCode).toBe(0);
  });

  test.each([...badCertificates, ...badHosts])("$name", async ({ make, alert, reason }) => {
    const before = kept();
    const { done, encounters } = await led(await make("server", peers.authority));
    // It has sent its hello and the alert: neither its certificate nor its password.
    expect(encounters).toEqual([told(alert)]);
    expect(done.exitCode).toBe(1);
    expect(done.stderr).toMatch(
      /^securechat: the server's certificate is refused: (?!the server)[^\n]+ \(SERVER_CERTIFICATE\)\n$/,
    );
    expect(done.stderr).toMatch(reason);
    expect(kept()).toEqual(before);
  });

  test("somebody else's, without its key", async () => {
    const before = kept();
    const { certificate } = peers.identity;
    const { done, encounters } = await led({ chain: [certificate.der], key: await newKey() });
    expect(encounters).toEqual([told("decrypt_error")]);
    expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("(HANDSHAKE_FAILED)\n")]);
    expect(kept()).toEqual(before);
  });

  test("test_valid_cert_accepted: with the server's key the client says who it is", async () => {
    const { certificate, key } = peers.identity;
    const { encounters } = await led({ chain: [certificate.der], key });
    expect(encounters[0]?.kind).toBe("authenticated");
  });
});
