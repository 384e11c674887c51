import { encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, isHex } from "../base/hex.ts";
import { labels } from "../crypto/labels.ts";
import { type Checkpoint, checkpointBytes } from "../log/checkpoint.ts";
import { assembleSignedData } from "../pki/cms/signedData.ts";
import { formatPem } from "../pki/pem.ts";
import { encodeJsonFile } from "./evidenceFile.ts";
import type { Fork } from "./findFork.ts";
import { type ForkFile, forkSchema, type ProofFiles } from "./forkFile.ts";
import { forkReadme } from "./forkReadme.ts";
import type { ServerStatement } from "./serverStatement.ts";

/**
 * Writes the proof so that it stands alone: what the server signed byte for byte, its signatures, its certificates. Plain
 * OpenSSL verifies them, and `verifyForkProof` does.
 *
 * @param server the name in the conversation's `create`
 */
export function encodeForkProof({ conversation, first, second, link }: Fork, server: string): ProofFiles {
  const file: ForkFile = {
    type: "fork",
    version: 2,
    conversation,
    server,
    link: link === undefined ? null : { root: link.root, path: link.path.map(encodeHex) },
  };
  return new Map([
    ["fork.json", encodeJsonFile(forkSchema, file)],
    ...statementFiles("first", first),
    ...statementFiles("second", second),
    ["README.txt", encodeUtf8(forkReadme(file, first, second))],
  ]);
}

function statementFiles(name: string, statement: ServerStatement): [string, Uint8Array][] {
  // The anchor stays out: an arbiter brings their own.
  const chain = statement.server.chain.slice(0, -1);
  const certificates = encodeUtf8(chain.map(({ der }) => formatPem("CERTIFICATE", der)).join(""));
  switch (statement.kind) {
    case "checkpoint":
      return [
        [`${name}.txt`, checkpointBytes(statement.checkpoint)],
        [`${name}.sig`, statement.checkpoint.sig],
        [`${name}.pem`, certificates],
      ];
    case "receipt": {
      // The members' signatures say nothing about the server, so they are left out.
      const signer = { ...statement.signer, counterSignatures: [], timeStampTokens: [] };
      return [
        [`${name}.json`, statement.statement],
        [`${name}.p7s`, assembleSignedData([signer], chain)],
        [`${name}.pem`, certificates],
      ];
    }
  }
}

const checkpointText = new RegExp(
  `^${labels.checkpoint}\\n([0-9a-f]{64})\\n([0-9a-f]{32})\\n([1-9][0-9]{0,15})\\n([0-9a-f]{64})\\n(0|[1-9][0-9]{0,15})\\n$`,
);

/** @returns the checkpoint that this signed text is of, or `undefined` when it is none */
export function parseCheckpointText(signed: string, sig: Uint8Array): Checkpoint | undefined {
  const [, server = "", conversation = "", size = "", root = "", at = ""] = checkpointText.exec(signed) ?? [];
  if (!isHex(server, 32) || !isHex(conversation, 16) || !isHex(root, 32)) return undefined;
  const numbers = { size: Number(size), at: Number(at) };
  if (!Number.isSafeInteger(numbers.size) || !Number.isSafeInteger(numbers.at)) return undefined;
  return { conversation, root, server, ...numbers, sig };
}
