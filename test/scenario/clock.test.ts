import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { formatPem } from "../../src/pki/pem.ts";
import { createTestAuthority, type Issued } from "../pki/testAuthority.ts";
import { startServerHere } from "./serverHere.ts";
import { eventsOf, type JsonEvent, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const minuteMs = 60_000;

/** The server's clock goes back in here, and what it has counted must not keep anybody waiting for that. */
const limits = { receiptSignatures: { capacity: 1_000_000, refillMs: 1 } };
const startServer = (aheadMs: number) =>
  startServerHere(world, undefined, { now: () => Date.now() + aheadMs, limits });

/** Certificates that are an hour old, so that they hold by both clocks. */
async function issueEarlier(): Promise<void> {
  const authority = await createTestAuthority();
  const write = (folder: string, file: string, label: string, der: Uint8Array) =>
    writeFileSync(world.path(folder, "certs", file), formatPem(label, der));
  const hand = (name: string, { certificate, pkcs8 }: Issued) => {
    write(name, `${name}_cert.pem`, "CERTIFICATE", certificate.der);
    write(name, `${name}_key.pem`, "PRIVATE KEY", pkcs8);
  };
  hand("server", await authority.issueServer(["localhost", "127.0.0.1"]));
  for (const name of ["alice", "bob"]) hand(name, await authority.issueUser(name));
  for (const folder of ["org", "server", "alice", "bob"])
    write(folder, "ca_cert.pem", "CERTIFICATE", authority.ca.der);
}

let world: World;
beforeAll(async () => {
  world = await World.create();
  await issueEarlier();
  const server = await startServer(0);
  try {
    expect((await world.chat("bob", server.port, ["--register"])).exitCode).toBe(0);
    const first = await world.chat("alice", server.port, ["--register", "--to", "bob"], { input: "first\n" });
    expect(first.exitCode).toBe(0);
  } finally {
    await server.stop();
  }
});
afterAll(() => world?.dispose());

/** How often a client has been told that what it signed was refused for the sake of its clock. */
function refusals({ output }: { readonly output: string }): number {
  return output.split('"event":"error","code":"CLOCK"').length - 1;
}

/** However long the login takes. */
const message = (direction: string) =>
  new RegExp(
    `the clock here is [56] min [0-9]{1,2} s ${direction} the server's \\(\\S+Z here, \\S+Z there\\), so nothing that is signed here is accepted: set it right and connect again; what is typed is kept and sent then`,
  );

test("whose clock is 6 minutes behind the server's is told so, and what was typed is sent once it is right", async () => {
  const lines = ["typed at the wrong time", "and another line, after it was told"];
  const what = message("behind");
  const off = await startServer(6 * minuteMs);
  try {
    const alice = await world.join("alice", off.port, { register: false, to: "bob" });
    const isWarning = ({ event, code }: JsonEvent) => event === "warning" && code === "CLOCK";
    const isRefusal = ({ event, code }: JsonEvent) => event === "error" && code === "CLOCK";
    expect((await alice.waitForEvent("the warning", isWarning)).message).toMatch(what);
    let told = 0;
    for (const line of lines) {
      alice.type(line);
      await alice.waitForEvent("the refusal", (event) => isRefusal(event) && refusals(alice) > told);
      told = refusals(alice);
    }
    alice.endInput();
    expect(await alice.exited).toBe(1);
    const events = eventsOf(alice.output);
    expect(events.findIndex(isWarning)).toBeLessThan(
      events.findIndex(({ event }) => event === "authenticated"),
    );
    for (const { message } of events.filter(isRefusal)) expect(message).toMatch(what);
    expect(events.filter(({ event }) => event === "sent")).toEqual([]);
  } finally {
    await off.stop();
  }

  const right = await startServer(0);
  try {
    const later = await world.chat("alice", right.port, ["--login", "--json"]);
    const sent = eventsOf(later.stdout).filter(({ event }) => event === "sent");
    expect(sent.map(({ text }) => text)).toEqual(lines);
    expect(later.exitCode).toBe(0);
    const bob = await world.chat("bob", right.port, ["--login", "--json", "--wait-for", "2"]);
    const texts = eventsOf(bob.stdout).filter(({ event }) => event === "message");
    expect(texts.map(({ text }) => text).slice(-2)).toEqual(lines);
  } finally {
    await right.stop();
  }
});

test("whose clock is 6 minutes ahead of the server's can begin no conversation, and is told why", async () => {
  const right = await startServer(0);
  expect((await world.chat("bob", right.port, ["--login"], { input: "/to alice\n/leave\n" })).exitCode).toBe(
    0,
  );
  await right.stop();
  const off = await startServer(-6 * minuteMs);
  try {
    const done = await world.chat("alice", off.port, ["--login", "--to", "bob"], { input: "words\n" });
    expect(done.stderr).toMatch(new RegExp(`^! ${message("ahead of").source}$`, "m"));
    expect(done.stderr).toMatch(new RegExp(`^securechat: ${message("ahead of").source} \\(CLOCK\\)$`, "m"));
    expect(done.stderr).not.toContain("(CLOCK) (CLOCK)");
    expect(done.exitCode).toBe(1);
  } finally {
    await off.stop();
  }
});
