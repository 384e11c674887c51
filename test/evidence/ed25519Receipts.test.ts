import { beforeAll, describe, expect, test } from "bun:test";
import type { EvidenceFile, ReceiptFiles } from "../../src/evidence/evidenceInput.ts";
import type { Report } from "../../src/evidence/report.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { mergeSignedData } from "../../src/pki/cms/mergeSignedData.ts";
import { splitSignedData } from "../../src/pki/cms/splitSignedData.ts";
import { Conversation, roster, serverName } from "../log/conversation.ts";
import { certificatesOf, Organisation } from "../log/organisation.ts";
import { type Files, folderOf, inputOf, type MadeEvidence } from "./madeEvidence.ts";

/** Bob's key is Ed25519, those of alice and of the server are not. */
let made: MadeEvidence;
let p7s: Uint8Array;
let ed25519: Uint8Array;

beforeAll(async () => {
  const organisation = await Organisation.create();
  const [alice, bob, server] = await Promise.all([
    organisation.user("alice"),
    organisation.user("bob", { keyType: "ed25519" }),
    organisation.server(serverName),
  ]);
  const conversation = new Conversation(certificatesOf(organisation));
  conversation.post(conversation.create(alice, server, { roster: roster(alice.row(), bob.row()) }));
  conversation.post(conversation.message(alice));
  conversation.post(conversation.acknowledge(bob));
  const { "disclosure.json": _, ...files } = await folderOf({
    organisation,
    conversation,
    alice,
    bob,
    server,
  });
  made = { organisation, conversation, alice, bob, server, files };
  const parts = splitSignedData(whole());
  p7s = parts.p7s ?? new Uint8Array(0);
  ed25519 = parts.ed25519 ?? new Uint8Array(0);
});

function whole(): Uint8Array {
  return made.files["receipt.p7s"] ?? new Uint8Array(0);
}

const file = (name: string, bytes: Uint8Array | undefined): EvidenceFile | undefined =>
  bytes === undefined ? undefined : { name, bytes };

function judge(
  signatures: { p7s?: Uint8Array; ed25519?: Uint8Array },
  files: Files = made.files,
): Promise<Report> {
  const receipt: ReceiptFiles = {
    statement: { name: "receipt.json", bytes: files["receipt.json"] ?? new Uint8Array(0) },
    signedData: file("receipt.p7s", signatures.p7s),
    ed25519: file("receipt.ed25519.p7s", signatures.ed25519),
  };
  return verifyEvidence(inputOf(files, [made.organisation.ca], { receipts: [receipt] }));
}

const signers = ({ receipts }: Report) =>
  receipts.flatMap((receipt) => receipt.signers.map(({ name }) => name)).sort();
const grave = ({ findings }: Report) =>
  findings.filter(({ level }) => level !== "note").map(({ code, file: name }) => `${code} ${name}`);

describe("the two signature files of one receipt", () => {
  test("are parts of one SignedData, byte for byte", () => {
    expect(mergeSignedData(p7s, ed25519)).toEqual(whole());
    expect(mergeSignedData(ed25519, p7s)).toEqual(whole());
    expect(splitSignedData(p7s)).toEqual({ p7s, ed25519: undefined });
    expect(splitSignedData(ed25519)).toEqual({ p7s: undefined, ed25519 });
  });

  test("count together", async () => {
    const report = await judge({ p7s, ed25519 });
    expect([report.verdict, grave(report)]).toEqual(["valid", []]);
    expect(signers(report)).toEqual(["alice", "bob", serverName]);
    expect(
      report.members.map(({ username, receiptSize, countersignedAt }) => [
        username,
        receiptSize,
        countersignedAt !== null,
      ]),
    ).toEqual([
      ["alice", 3, true],
      ["bob", 3, true],
    ]);
  });

  test("are each enough to be read, and only both missing is said", async () => {
    expect(signers(await judge({ p7s }))).toEqual(["alice", serverName]);
    const alone = await judge({ ed25519 });
    expect([alone.verdict, grave(alone)]).toEqual(["incomplete", ["NO_SERVER_SIGNATURE receipt.json"]]);
    expect(grave(await judge({}))).toContain("SIGNED_DATA_MISSING receipt.json");
  });

  test("hold no signer whose key belongs in the other", async () => {
    const together = await judge({ p7s: whole() });
    expect([together.verdict, grave(together)]).toEqual(["invalid", ["SIGNED_DATA_REFUSED receipt.p7s"]]);
    expect(signers(together)).toEqual(["alice", serverName]);
    const swapped = await judge({ p7s: ed25519, ed25519: p7s });
    expect(swapped.verdict).toBe("invalid");
    expect(signers(swapped)).toEqual([]);
  });

  test("are refused when a byte of the Ed25519 file is changed", async () => {
    for (let at = 0; at < ed25519.length; at += 7) {
      const changed = ed25519.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect([at, (await judge({ p7s, ed25519: changed })).verdict]).toEqual([at, "invalid"]);
    }
  });
});
