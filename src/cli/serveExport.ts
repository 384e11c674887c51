import { existsSync, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { encodeHex, type Hex, isHex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { TranscriptFolder } from "../client/transcriptFolder.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { parseCrlBundle } from "../pki/crlBundle.ts";
import { storedConversations, storedEvidence } from "../server/storedEvidence.ts";
import type { Store } from "../store/store.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { attempt } from "./clientFailure.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import { readFile } from "./files.ts";
import { withExistingStore } from "./openStore.ts";

/**
 * `securechat serve export`: lists the conversations of the store, or writes the evidence of one into a new folder, the same
 * that its members have. The server may be running.
 */
export async function exportEvidence(args: Arguments): Promise<number> {
  demandFlagsOf("serve export", ["out", "db", "ca", "crl"], args);
  const [, conversation, ...rest] = args.positionals;
  if (rest.length > 0) throw usageError(`unexpected argument "${rest[0]}"`);
  const folder = args.text("out");
  if (conversation !== undefined && !isHex(conversation, 16))
    throw usageError(
      `"${conversation}" is no conversation: 32 hex digits, as "securechat serve export" lists them`,
    );
  if ((conversation === undefined) !== (folder === undefined))
    throw usageError("name both: serve export CONVERSATION --out FOLDER; without either all are listed");
  return await withExistingStore(args, async (store) => {
    if (conversation === undefined || folder === undefined) return await list(store);
    return await attempt(() => write(store, { conversation, folder, args }));
  });
}

async function list(store: Store): Promise<number> {
  for await (const { conversation, size, names, title } of storedConversations(store)) {
    const who = names.map((name) => visible(name)).join(", ");
    const what = title === "" ? who : `${visible(title)}: ${who}`;
    process.stdout.write(`${conversation}  ${String(size).padStart(6)} entries  ${what}\n`);
  }
  return exitCodes.done;
}

async function write(
  store: Store,
  { conversation, folder: path, args }: { conversation: Hex; folder: string; args: Arguments },
): Promise<number> {
  if (existsSync(path) && readdirSync(path).length > 0)
    throw usageError(`${path} is not empty: name a new folder`);
  const anchors = readCertificates(args.text("ca") ?? "certs/ca_cert.pem", "CA certificate");
  const crlFile = args.text("crl");
  const crls = crlFile === undefined ? [] : parseCrlBundle(readFile(crlFile, "revocation list")).crls;
  const evidence = await storedEvidence(store, conversation);
  if (evidence === undefined) throw usageError(await whyMissing(store, conversation));
  const folder = TranscriptFolder.open(dirname(path), basename(path));
  try {
    for await (const lines of evidence.lines()) folder.append(lines);
    folder.sync();
    const named = (await evidence.certificates()).map(decodeCertificate);
    const all = new Map([...named, ...anchors].map((one) => [one.fingerprint, one]));
    folder.writeCertificates([...all.values()].map(({ der }) => der));
    folder.writeCrls(crls.filter(isOf(named)).map(({ der }) => der));
    folder.writeCheckpoints([evidence.checkpoint]);
    let older: number | undefined;
    for (const { size, statement, signedData } of evidence.receipts) {
      folder.writeReceipt({ statement, signedData }, older);
      older = size;
    }
  } finally {
    folder.close();
  }
  const receipts = evidence.receipts.length;
  process.stdout.write(
    `${visible(path)}: ${evidence.size} entries, ${receipts} ${receipts === 1 ? "receipt" : "receipts"}\n`,
  );
  return exitCodes.done;
}

async function whyMissing({ log }: Store, conversation: Hex): Promise<string> {
  const expired = await log.expired(conversation);
  if (expired === undefined) return `there is no conversation ${conversation} in this store`;
  const { size, root, expiredAtMs } = expired;
  const when = new Date(expiredAtMs).toISOString();
  return `conversation ${conversation} has expired: its ${size} entries (root ${root}) were deleted at ${when}; its members' folders are the evidence`;
}

/** A list of a CA that nothing here comes from would be one that nobody can judge. */
function isOf(certificates: readonly Certificate[]): (list: { readonly issuer: Uint8Array }) => boolean {
  const issuers = new Set(certificates.map(({ issuer }) => encodeHex(issuer)));
  return ({ issuer }) => issuers.has(encodeHex(issuer));
}
