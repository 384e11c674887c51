import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { encodeDisclosure } from "../../src/evidence/disclosure.ts";
import type { EvidenceInput } from "../../src/evidence/evidenceInput.ts";
import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import { formatCheckpoint, signCheckpoint } from "../../src/log/checkpoint.ts";
import { formatTranscriptLine, verifyTranscript } from "../../src/log/transcript.ts";
import type { Certificate } from "../../src/pki/certificate.ts";
import { countersign } from "../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../src/pki/cms/mergeSignedData.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { Conversation, opening, roster, serverName } from "../log/conversation.ts";
import { certificatesOf, type Device, Organisation } from "../log/organisation.ts";

/** The files of an evidence folder, by name, as bytes that a test can change. */
export type Files = Record<string, Uint8Array>;

export interface MadeEvidence {
  readonly organisation: Organisation;
  readonly conversation: Conversation;
  readonly alice: Device;
  readonly bob: Device;
  readonly server: Device;
  readonly files: Files;
}

/** What the messages in these conversations say. */
export const words = "hello";

/**
 * A conversation between alice and bob with a checkpoint, a receipt that both and the server signed, and one disclosed
 * message: the folder that an honest client leaves.
 */
export async function makeEvidence(given?: Organisation): Promise<MadeEvidence> {
  const organisation = given ?? (await Organisation.create());
  const [alice, bob, server] = await Promise.all([
    organisation.user("alice"),
    organisation.user("bob"),
    organisation.server(serverName),
  ]);
  const conversation = new Conversation(certificatesOf(organisation));
  conversation.post(conversation.create(alice, server, { roster: roster(alice.row(), bob.row()) }));
  conversation.post(conversation.message(alice));
  conversation.post(conversation.message(bob));
  conversation.post(conversation.message(alice));
  conversation.post(conversation.acknowledge(bob));
  const files = await folderOf({ organisation, conversation, alice, bob, server });
  return { organisation, conversation, alice, bob, server, files };
}

/** Writes the folder of a conversation as it stands. */
export async function folderOf(made: Omit<MadeEvidence, "files">): Promise<Files> {
  const { organisation, conversation, alice, bob, server } = made;
  const { state } = conversation;
  const lines = conversation.lines.map(formatTranscriptLine);
  const verified = await verifyTranscript(lines, { certificateAt: certificatesOf(organisation) });
  const statement = buildStatement(verified);
  const signingTimeMs = Math.ceil(state.lastAt / 1000) * 1000;
  const sign = ({ certificate, key }: Device) =>
    signDetached({ content: statement, certificate, key, includeCertificates: [], signingTimeMs });
  const stamp = (signedData: Uint8Array, device: Device) =>
    countersign(signedData, device.fingerprint, {
      certificate: server.certificate,
      key: server.key,
      signingTimeMs: signingTimeMs + 1000,
    });
  const receipt = [stamp(sign(alice), alice), stamp(sign(bob), bob), sign(server)].reduce(mergeSignedData);
  const checkpoint = signCheckpoint(
    {
      conversation: conversation.id,
      size: state.size,
      root: state.root,
      at: state.lastAt,
      server: server.fingerprint,
    },
    server.key,
  );
  return {
    "transcript.jsonl": encodeUtf8(lines.map((line) => `${line}\n`).join("")),
    "certificates.pem": pem(alice.certificate, bob.certificate, server.certificate, organisation.ca),
    "checkpoints.jsonl": encodeUtf8(`${formatCheckpoint(checkpoint)}\n`),
    "receipt.json": statement,
    "receipt.p7s": receipt,
    "disclosure.json": encodeDisclosure({
      conversation: conversation.id,
      entries: [{ index: 1, opening: encodeHex(opening), plaintext: words }],
    }),
  };
}

export function pem(...certificates: readonly Certificate[]): Uint8Array {
  return encodeUtf8(certificates.map(({ der }) => formatPem("CERTIFICATE", der)).join(""));
}

/** What the verifier gets of such a folder. */
export function inputOf(
  files: Files,
  anchors: readonly Certificate[],
  more: Partial<EvidenceInput> = {},
): EvidenceInput {
  const file = (name: string) => {
    const bytes = files[name];
    return bytes === undefined ? undefined : { name, bytes };
  };
  const [certificates, statement, disclosure] = ["certificates.pem", "receipt.json", "disclosure.json"].map(
    file,
  );
  return {
    transcript: {
      name: "transcript.jsonl",
      chunks: chunksOf(files["transcript.jsonl"] ?? new Uint8Array(0)),
    },
    certificates: certificates === undefined ? [] : [certificates],
    crl: file("crl.pem"),
    checkpoints: file("checkpoints.jsonl"),
    receipts: statement === undefined ? [] : [{ statement, signedData: file("receipt.p7s") }],
    disclosures: disclosure === undefined ? [] : [disclosure],
    strayFiles: [],
    anchors,
    crls: [],
    server: undefined,
    ...more,
  };
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  // An odd size, so that lines are cut anywhere.
  for (let start = 0; start < bytes.length; start += 611) yield bytes.subarray(start, start + 611);
}
