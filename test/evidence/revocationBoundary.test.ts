import { beforeAll, describe, expect, test } from "bun:test";
import type { Report } from "../../src/evidence/report.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import type { Certificate } from "../../src/pki/certificate.ts";
import { Conversation, roster, serverName } from "../log/conversation.ts";
import { certificatesOf, Organisation, startMs } from "../log/organisation.ts";
import { createTestAuthority, type TestAuthority } from "../pki/testAuthority.ts";
import { folderOf, inputOf, type MadeEvidence } from "./madeEvidence.ts";

let authority: TestAuthority;
let made: MadeEvidence;
/** When bob's last entry and the checkpoint are, and the receipt's signatures and their counter signatures. */
let times: { last: number; signed: number; countersigned: number };

beforeAll(async () => {
  authority = await createTestAuthority({ nowMs: startMs });
  const organisation = new Organisation(authority);
  const [alice, bob, server] = await Promise.all([
    organisation.user("alice"),
    organisation.user("bob"),
    organisation.server(serverName),
  ]);
  const conversation = new Conversation(certificatesOf(organisation));
  conversation.post(conversation.create(alice, server, { roster: roster(alice.row(), bob.row()) }));
  conversation.post(conversation.message(alice));
  // Lists know whole seconds: the last entry is on one.
  conversation.now = Math.ceil(conversation.now / 1000) * 1000;
  conversation.post(conversation.acknowledge(bob));
  const { "disclosure.json": _, ...files } = await folderOf({
    organisation,
    conversation,
    alice,
    bob,
    server,
  });
  made = { organisation, conversation, alice, bob, server, files };
  const last = conversation.state.lastAt;
  times = { last, signed: last, countersigned: last + 1000 };
});

/** The verdict of somebody whose list says that this certificate is revoked since then. */
function judge(certificate: Certificate, atMs: number): Promise<Report> {
  const crl = authority.crl([{ certificate, atMs }], { thisUpdateMs: startMs + 3_600_000 });
  return verifyEvidence(inputOf(made.files, [authority.ca], { crls: [crl] }));
}

const grave = ({ findings }: Report) =>
  findings.filter(({ level }) => level !== "note").map(({ code, where }) => `${code} ${where}`);

test("the last entry is on a whole second, so that boundaries are met exactly", () => {
  expect(times.last % 1000).toBe(0);
});

describe("a member who is revoked", () => {
  test("at the very second of an entry had no right to it", async () => {
    expect(grave(await judge(made.bob.certificate, times.last))).toContain("SIGNER_REVOKED line 3");
  });

  test("one second after its last entry has signed it in time; the counter signature then is too late", async () => {
    const report = await judge(made.bob.certificate, times.countersigned);
    expect(grave(report)).toEqual(["SIGNED_DATA_REFUSED signer bob"]);
  });

  test("one second after the counter signature has signed all of it in time", async () => {
    const report = await judge(made.bob.certificate, times.countersigned + 1000);
    expect([report.verdict, grave(report)]).toEqual(["valid", []]);
    expect(report.receipts[0]?.signers.map(({ name }) => name).sort()).toEqual(["alice", "bob", serverName]);
  });
});

describe("a server that is revoked", () => {
  test("at the very second of a checkpoint had no right to it", async () => {
    const codes = grave(await judge(made.server.certificate, times.last));
    expect(codes).toContain("CHECKPOINT_REFUSED line 1");
  });

  test("one second after the checkpoint had no right to what it countersigned then", async () => {
    const codes = grave(await judge(made.server.certificate, times.countersigned));
    expect(codes).not.toContain("CHECKPOINT_REFUSED line 1");
    expect(codes).toContain("SIGNED_DATA_REFUSED signer alice");
    expect(codes).toContain("SIGNED_DATA_REFUSED signer bob");
  });

  test("after everything leaves it valid, with a note that the date of its own signature is its word", async () => {
    const report = await judge(made.server.certificate, times.countersigned + 1000);
    expect([report.verdict, grave(report)]).toEqual(["valid", []]);
    expect(report.findings.map(({ code }) => code)).toContain("SIGNER_REVOKED");
  });
});
