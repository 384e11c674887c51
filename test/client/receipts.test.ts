import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseDisclosure } from "../../src/evidence/disclosure.ts";
import { parseStatement } from "../../src/evidence/receiptStatement.ts";
import { parseCheckpoint } from "../../src/log/checkpoint.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { opensslFolder } from "../pki/openssl.ts";
import { TestServer } from "../server/testServer.ts";
import { disposableServer } from "./disposableServer.ts";
import { overriding } from "./overriding.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

async function conversationOf(test: string, on = server) {
  const alice = new Party(on, await on.newPerson(`${test}.a`));
  const bob = new Party(on, await on.newPerson(`${test}.b`));
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "first");
  await bob.client.openDirect(alice.person.username);
  await bob.until(() => bob.texts.length === 1);
  await bob.client.send(conversation, "second");
  await alice.until(() => alice.texts.length === 1);
  return { alice, bob, conversation };
}

test("quit() leaves a receipt that OpenSSL verifies, signed by the member and the server", async () => {
  const { alice, bob, conversation } = await conversationOf("quit");
  await using party = alice;
  await using _ = bob;
  const folder = party.folderOf(conversation);
  await party.quit();
  const statement = parseStatement(readFileSync(join(folder, "receipt.json")));
  expect(statement).toMatchObject({ conversation, size: 4 });
  const sha256 = new Bun.CryptoHasher("sha256")
    .update(readFileSync(join(folder, "transcript.jsonl")))
    .digest("hex");
  expect<string>(statement.transcript_sha256).toBe(sha256);
  expect(party.of("receipt")).toMatchObject([
    { conversation, folder, size: 4, root: statement.root, countersigned: true },
  ]);
  const { signers } = decodeSignedData(readFileSync(join(folder, "receipt.p7s")));
  const own = signers.find((signer) => signer.fingerprint === party.person.certificate.fingerprint);
  expect(own?.counterSignatures.map(({ fingerprint }) => fingerprint)).toEqual([
    server.identity.certificate.fingerprint,
  ]);
  using openssl = opensslFolder();
  openssl.write("ca.pem", formatPem("CERTIFICATE", server.authority.ca.der));
  const verified = openssl.run(
    ...["cms", "-verify", "-binary", "-inform", "DER", "-CAfile", "ca.pem"],
    ...["-in", join(folder, "receipt.p7s"), "-content", join(folder, "receipt.json"), "-out", "content"],
  );
  expect(verified.output).toContain("successful");
  expect(verified.ok).toBe(true);
  expect(readFileSync(join(folder, "certificates.pem"), "utf8").match(/BEGIN CERTIFICATE/g)).toHaveLength(4);
  const [line = ""] = readFileSync(join(folder, "checkpoints.jsonl"), "utf8").split("\n");
  expect(parseCheckpoint(line)).toMatchObject({ conversation, size: 4, root: statement.root });
});

test("receipt() takes over the signatures of others as they come, and keeps older receipts", async () => {
  const { alice, bob, conversation } = await conversationOf("merge");
  await using party = alice;
  await using other = bob;
  const folder = party.folderOf(conversation);
  const receipts = () => party.of("receipt").map(({ size, signers }) => `${size}: ${signers.length}`);
  await party.client.receipt(conversation);
  await other.client.receipt(conversation);
  await party.until(() => receipts().length === 2);
  expect(receipts()).toEqual(["4: 2", "4: 3"]);
  for (const name of ["receipt.json", "receipt.p7s"])
    expect(readFileSync(join(folder, name))).toEqual(readFileSync(join(other.folderOf(conversation), name)));
  await other.client.send(conversation, "third");
  await party.until(() => party.texts.length === 2);
  const older = readFileSync(join(folder, "receipt.p7s"));
  expect(await party.client.receipt(conversation)).toMatchObject({ size: 6 });
  expect(readFileSync(join(folder, "receipt-4.p7s"))).toEqual(older);
  expect(existsSync(join(folder, "receipt-4.json"))).toBe(true);
});

test("receipt() posts an acknowledge once, and none when nothing new has come", async () => {
  const { alice, bob, conversation } = await conversationOf("again");
  await using party = alice;
  await using _ = bob;
  const first = await party.client.receipt(conversation);
  const second = await party.client.receipt(conversation);
  expect(second.size).toBe(first.size);
});

test("quit() says that a receipt is not countersigned, and the next connection makes up for it", async () => {
  await using failing = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("late", failing);
  await using party = alice;
  await using _ = bob;
  const folder = party.folderOf(conversation);
  await failing.stop();
  failing.wrapStore = (store) =>
    overriding(store, {
      receipts: overriding(store.receipts, { save: () => Promise.reject(new Error("no space")) }),
    });
  await failing.start();
  await expect(party.quit()).rejects.toMatchObject({ code: "NOT_COUNTERSIGNED" });
  await party.login();
  await expect(party.quit()).rejects.toMatchObject({ code: "NOT_COUNTERSIGNED" });
  expect(decodeSignedData(readFileSync(join(folder, "receipt.p7s"))).signers).toHaveLength(1);
  await failing.stop();
  failing.wrapStore = (store) => store;
  await failing.start();
  await party.login();
  expect(party.of("receipt")).toMatchObject([{ countersigned: true, size: 4 }]);
  expect(decodeSignedData(readFileSync(join(folder, "receipt.p7s"))).signers).toHaveLength(2);
});

test("a receipt that was altered on the disk is replaced by a good one", async () => {
  const { alice, bob, conversation } = await conversationOf("altered");
  await using party = alice;
  await using _ = bob;
  await party.client.receipt(conversation);
  const file = join(party.folderOf(conversation), "receipt.p7s");
  const bytes = readFileSync(file);
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await party.client.receipt(conversation);
  expect(decodeSignedData(readFileSync(file)).signers).toHaveLength(2);
  expect(readFileSync(file)).not.toEqual(bytes);
});

test("disclose() writes openings that fit the signed commitments, and those only that were asked for", async () => {
  const { alice, bob, conversation } = await conversationOf("disclose");
  await using party = alice;
  await using _ = bob;
  const { file, indexes } = await party.client.disclose(conversation, [{ from: 2, to: 2 }]);
  expect(indexes).toEqual([2]);
  expect(parseDisclosure(readFileSync(file)).entries.map(({ plaintext }) => plaintext)).toEqual(["second"]);
  const all = await party.client.disclose(conversation, "all");
  expect(all.indexes).toEqual([1, 2]);
  await expect(party.client.disclose(conversation, [{ from: 0, to: 0 }])).rejects.toMatchObject({
    code: "BAD_RANGE",
  });
});
