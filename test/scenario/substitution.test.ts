import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { createDevice, type Device } from "../../src/group/device.ts";
import type { RunningServer } from "../../src/server/server.ts";
import type { KeyPackageStore } from "../../src/store/keyPackageStore.ts";
import { overriding } from "../client/overriding.ts";
import { newKeyPackage } from "../server/testServer.ts";
import { type Credential, readCredential, startServerHere } from "./serverHere.ts";
import { eventsOf, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const day = 86_400_000;

function deviceOf({ certificate, key }: Credential, expiresMs = certificate.notAfterMs): Device {
  return createDevice({ chain: [certificate.der], key, seed32: systemRandom(32), expiresMs });
}

/** The server speaks the protocol and has a good certificate; the key packages that it hands out are of its own choice. */
describe("a client that is handed a key package by a malicious server", () => {
  let world: World;
  let server: RunningServer;
  let bob: Credential;
  let mallory: Credential;
  let namesake: Credential;
  /** What the server hands out for bob; `undefined`: what bob has published. */
  let substitute: Uint8Array | undefined;
  let handedOut = 0;

  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol", "mallory"]);
    await world.succeed("org", ["ca", "init", "--cert", "other/ca_cert.pem", "--key", "other/ca_key.pem"]);
    const otherCa = ["--ca-cert", "other/ca_cert.pem", "--ca-key", "other/ca_key.pem"];
    await world.succeed("org", [
      "issue",
      "--cn",
      "bob",
      "--email",
      "bob@example.org",
      "--out",
      "other/bob",
      ...otherCa,
    ]);
    bob = await readCredential(world.path("bob/certs/bob"));
    mallory = await readCredential(world.path("mallory/certs/mallory"));
    namesake = await readCredential(world.path("org/other/bob"));

    server = await startServerHere(world, (store) => {
      const take: KeyPackageStore["take"] = async (...request) => {
        handedOut += 1;
        const published = await store.keyPackages.take(...request);
        return substitute === undefined ? published : { package: substitute, lastResort: false };
      };
      return overriding(store, { keyPackages: overriding(store.keyPackages, { take }) });
    });
    expect((await world.chat("bob", server.port, ["--register"])).exitCode).toBe(0);
  });

  afterAll(async () => {
    await server?.stop();
    await world?.dispose();
  });

  const registered = new Set<string>();
  /** Somebody writes to bob, who is away. */
  async function write(from: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const enter = registered.has(from) ? "--login" : "--register";
    registered.add(from);
    handedOut = 0;
    return await world.chat(from, server.port, [enter, "--to", "bob", "--json"], { input: "for bob only\n" });
  }

  function entries(): number {
    using database = new Database(world.path("server/securechat.db"), { readonly: true });
    return database.query<{ count: number }, []>("SELECT count(*) AS count FROM entries").get()?.count ?? -1;
  }

  const substitutes: [what: string, message: RegExp, make: () => Promise<Uint8Array>][] = [
    [
      "another leaf key under bob's certificate, with mallory's signature for it",
      /bob is refused: the certificate's key did not sign this device key/,
      async () => {
        const device = deviceOf(mallory, bob.certificate.notAfterMs);
        const { der, fingerprint } = bob.certificate;
        const identity = { ...device.identity, chain: [der], fingerprint };
        return (await newKeyPackage({ ...device, identity })).publicPackage;
      },
    ],
    [
      "a package of bob's that has expired",
      /out of date/,
      async () => {
        const lifetime = { notBeforeMs: Date.now() - 2 * day, notAfterMs: Date.now() - day };
        return (await newKeyPackage(deviceOf(bob), lifetime)).publicPackage;
      },
    ],
    [
      "a package of bob's whose lifetime has not begun",
      /out of date/,
      async () => {
        const lifetime = { notBeforeMs: Date.now() + day, notAfterMs: Date.now() + 2 * day };
        return (await newKeyPackage(deviceOf(bob), lifetime)).publicPackage;
      },
    ],
    [
      "a package of bob's whose device key has expired",
      /bob is refused: the device key has expired/,
      async () => (await newKeyPackage(deviceOf(bob, Date.now() - day))).publicPackage,
    ],
    [
      "a package of another CA's user who is called bob too, with the same email",
      /bob is refused: CN=bob is not signed by the key of CN=SecureChat Root CA/,
      async () => (await newKeyPackage(deviceOf(namesake))).publicPackage,
    ],
    [
      "mallory's own package, good in itself, under bob's name",
      /certificate of mallory for bob/,
      async () => (await newKeyPackage(deviceOf(mallory))).publicPackage,
    ],
    [
      "a package of bob's with one byte changed",
      /bob is refused: key package is not signed by its device key/,
      async () => {
        const bytes = (await newKeyPackage(deviceOf(bob))).publicPackage.slice();
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes;
      },
    ],
  ];

  test.each(substitutes)("refuses %s, and posts nothing", async (_what, message, make) => {
    substitute = await make();
    const before = entries();
    const done = await write("alice");
    expect(handedOut).toBe(1);
    expect(done.stderr).toMatch(message);
    expect(done.stderr).toMatch(/^securechat: [^\n]+ \(CERTIFICATE_REFUSED\)\n$/);
    expect(done.exitCode).toBe(1);
    expect(eventsOf(done.stdout).filter(({ event }) => event === "sent" || event === "membership")).toEqual(
      [],
    );
    expect(entries()).toBe(before);
  });

  test("takes what bob has published, and what was typed reaches the log", async () => {
    substitute = undefined;
    const before = entries();
    const done = await write("carol");
    expect(handedOut).toBe(1);
    expect(eventsOf(done.stdout).filter(({ event }) => event === "sent")).toMatchObject([
      { text: "for bob only" },
    ]);
    expect(done.exitCode).toBe(0);
    expect(entries()).toBe(before + 2);
  });
});
