import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parsePem } from "../../src/pki/pem.ts";
import { TcpProxy } from "./tcpProxy.ts";
import { isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const same = "the same words, twice, and nobody may see that";
const answer = "an answer from bob with an emoji 🙂 and ümläuts";

describe("two people talk through the executable", () => {
  let world: World;
  let proxy: TcpProxy;
  let evidence: { alice: string; bob: string };
  let serverOutput: string;
  const exitCodes: Record<string, number> = {};

  beforeAll(async () => {
    world = await World.create();
    const { server, port } = await world.startServer();
    proxy = new TcpProxy(port);
    const bob = await world.join("bob", proxy.port);
    const alice = await world.join("alice", proxy.port, { to: "bob" });
    alice.type(same);
    alice.type(same);
    await bob.waitForEvent("alice's second message", (event) => isMessage(same)(event) && event.seqno === 3);
    bob.type("/to alice");
    bob.type(answer);
    await alice.waitForEvent("bob's answer", isMessage(answer));
    // The last words were bob's: alice acknowledges them as she ends, and he still gets that.
    const a = await quit(alice);
    const b = await quit(bob);
    evidence = { alice: world.path("alice", a.folder), bob: world.path("bob", b.folder) };
    exitCodes.alice = a.exitCode;
    exitCodes.bob = b.exitCode;
    server.stop();
    exitCodes.server = await server.exited;
    serverOutput = server.output;
  });

  afterAll(async () => {
    proxy.stop();
    await world.dispose();
  });

  test("everybody ends with exit code 0", () => {
    expect(exitCodes).toEqual({ alice: 0, bob: 0, server: 0 });
  });

  test("both transcripts are the same file", () => {
    const transcripts = [evidence.alice, evidence.bob].map((folder) =>
      readFileSync(join(folder, "transcript.jsonl")),
    );
    const [alice, bob] = transcripts;
    expect(alice?.toString("utf8").split("\n").length).toBeGreaterThan(4);
    expect(alice?.equals(bob ?? Buffer.alloc(0))).toBe(true);
  });

  test("the words stand nowhere on the wire, in the database or in the server's log", () => {
    const places = [proxy.captured, Buffer.from(serverOutput)];
    for (const name of readdirSync(world.path("server")))
      if (name.startsWith("securechat.db")) places.push(readFileSync(world.path("server", name)));
    expect(places.length).toBeGreaterThan(2);
    for (const words of [same, answer])
      for (const form of [
        words,
        Buffer.from(words).toString("base64").slice(0, 24),
        Buffer.from(words).toString("hex"),
      ])
        for (const place of places) expect(place.includes(form)).toBe(false);
  });

  test("no client certificate is on the wire in clear", () => {
    for (const name of ["alice", "bob"]) {
      const pem = readFileSync(world.path(name, "certs", `${name}_cert.pem`), "utf8");
      const [der] = parsePem(pem, "CERTIFICATE");
      expect(der).toBeDefined();
      const body = Buffer.from(der ?? []);
      for (const form of [body, Buffer.from(body.toString("base64")), Buffer.from(`${name}@example.org`)])
        expect(proxy.captured.includes(form.subarray(0, 60))).toBe(false);
    }
  });

  test("equal messages have unequal ciphertexts and commitments", () => {
    const entries = readFileSync(join(evidence.alice, "transcript.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string; ct: string; commitment: string })
      .filter(({ kind }) => kind === "message");
    expect(entries).toHaveLength(3);
    expect(new Set(entries.map(({ ct }) => ct)).size).toBe(3);
    expect(new Set(entries.map(({ commitment }) => commitment)).size).toBe(3);
  });

  test("vault, keys and evidence are for their owner only", () => {
    for (const file of ["certs/alice_key.pem", "certs/alice_vault.db"])
      expect(statSync(world.path("alice", file)).mode & 0o077).toBe(0);
    expect(statSync(evidence.alice).mode & 0o077).toBe(0);
    expect(statSync(world.path("server", "securechat.db")).mode & 0o077).toBe(0);
  });

  test("verify calls both folders valid, without server and network", async () => {
    for (const folder of [evidence.alice, evidence.bob]) {
      const done = await world.run("org", ["verify", folder, "--json"]);
      const report = JSON.parse(done.stdout);
      expect(report.findings.filter(({ level }: { level: string }) => level !== "note")).toEqual([]);
      expect([report.verdict, done.exitCode]).toEqual(["valid", 0]);
    }
  });

  test("openssl accepts the receipts with the CA certificate alone", () => {
    for (const folder of [evidence.alice, evidence.bob]) {
      const child = Bun.spawnSync([
        "openssl",
        ..."cms -verify -binary -inform DER -out /dev/null".split(" "),
        ...["-in", join(folder, "receipt.p7s"), "-content", join(folder, "receipt.json")],
        ...["-CAfile", world.path("org/certs/ca_cert.pem")],
      ]);
      expect(child.stderr.toString()).toContain("Verification successful");
    }
  });

  test("openssl verifies an entry's signature over bytes that a shell rebuilds", () => {
    const script = `
      set -eu
      line=$(sed -n 2p transcript.jsonl)
      field() { printf '%s' "$line" | sed -E "s/.*\\"$1\\":\\"?([^\\",}]*)\\"?.*/\\1/"; }
      sha256() { openssl dgst -sha256 -r | cut -d' ' -f1; }
      digest=$(field ct | openssl base64 -d -A | sha256)
      printf 'securechat/2 entry\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n%s\\n' \\
        "$(field conversation)" "$(field sender)" "$(field seqno)" "$(field ts)" "$(field kind)" \\
        "$(field size)" "$(field root)" "$(field epoch)" "$(field commitment)" "$digest" > "$TMP/signed"
      field sig | openssl base64 -d -A > "$TMP/sig"
      openssl x509 -in "$CERT" -noout -pubkey > "$TMP/pub"
      openssl dgst -sha256 -verify "$TMP/pub" -signature "$TMP/sig" "$TMP/signed"
    `;
    const child = Bun.spawnSync(["sh", "-c", script], {
      cwd: evidence.alice,
      env: { ...process.env, TMP: world.root, CERT: world.path("alice/certs/alice_cert.pem") },
    });
    expect(child.stderr.toString()).toBe("");
    expect(child.stdout.toString()).toContain("Verified OK");
  });
});
