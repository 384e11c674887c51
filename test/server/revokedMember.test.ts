import { afterEach, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeMembershipBody } from "../../src/log/bodies.ts";
import { rosterOf, TestConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

const post = (line: string) => ({ type: "post", line }) as const;

/** A group of three whose third member, who has said nothing, was revoked while the server was down. */
async function revokedWhileDown() {
  const server = await TestServer.create();
  servers.push(server);
  const people = await Promise.all(["alice", "bob", "carol"].map((name) => server.person(name)));
  const [alice, bob, carol] = people;
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error("nobody");
  const aliceClient = await server.register(alice);
  await server.register(bob);
  await server.register(carol);
  const conversation = new TestConversation(server, ...people);
  const line = await conversation.create(aliceClient, alice, [bob, carol], { kind: "group", title: "team" });
  await conversation.post(aliceClient, line);
  await server.stop();
  await server.start({ crl: server.authority.crl([{ certificate: carol.certificate }]).der });
  return { server, alice, bob, carol, conversation };
}

test("a message waits for the removal of who was revoked before the server was started", async () => {
  const { server, alice, conversation } = await revokedWhileDown();
  const client = await server.login(alice);
  expect(await client.refusalCode(post(conversation.message(alice)))).toBe("REKEY_NEEDED");
});

test("who is no admin may take out whom the CRL named before the server was started", async () => {
  const { server, alice, bob, conversation } = await revokedWhileDown();
  const client = await server.login(bob);
  const missing = encodeHex(systemRandom(32));
  const ct = encodeMembershipBody({
    action: "remove",
    admins: [],
    roster: rosterOf(alice, bob),
    crl: "1",
    commit: missing,
    welcome: null,
    group: missing,
  });
  // Only the blobs are missing.
  expect(await client.refusalCode(post(conversation.line(bob, "membership", { ct })))).toBe("BAD_BLOB");
});
