import type { ClientState } from "ts-mls/clientState.js";
import { type CreateCommitOptions, createCommit } from "ts-mls/createCommit.js";
import type { CiphersuiteImpl } from "ts-mls/crypto/ciphersuite.js";
import { signGroupInfo } from "ts-mls/groupInfo.js";
import { encodeMlsMessage } from "ts-mls/message.js";
import { emptyPskIndex } from "ts-mls/pskIndex.js";
import { encodeRatchetTree, type RatchetTree } from "ts-mls/ratchetTree.js";
import { treeHashRoot } from "ts-mls/treeHash.js";
import { ciphersuite } from "../../src/group/ciphersuite.ts";
import { decodeState } from "../../src/group/groupState.ts";
import { clientConfig } from "../../src/group/judge.ts";
import { decodeGroupInfo } from "../../src/group/mlsMessage.ts";
import { finishCommit, type PendingCommit } from "../../src/group/pendingCommit.ts";
import { type Member, random } from "./testGroup.ts";

/*
 * What a member makes that does not keep to the rules: it has valid keys and signs what it likes, with the library and
 * without the checks of src/group.
 */

export function openState(member: Member): ClientState {
  return decodeState(member.bytes, (tree) => clientConfig(() => undefined, tree), member.device);
}

/** A commit with whatever the library is willing to make. */
export async function forgeCommit(
  member: Member,
  options: CreateCommitOptions,
  change: {
    state?: (state: ClientState) => ClientState;
    suite?: (suite: CiphersuiteImpl) => CiphersuiteImpl;
  } = {},
): Promise<Uint8Array> {
  const { state: changeState = (state) => state, suite: changeSuite = (suite) => suite } = change;
  const { commit } = await createCommit(
    {
      state: changeState(openState(member)),
      cipherSuite: changeSuite(ciphersuite(random)),
      pskIndex: { ...emptyPskIndex, findPsk: () => new Uint8Array(32) },
    },
    { wireAsPublicMessage: true, ...options },
  );
  return encodeMlsMessage(commit);
}

/** The GroupInfo with another tree or external_pub, correctly hashed and signed by `member`, who is its signer. */
export async function forgeGroupInfo(
  bytes: Uint8Array,
  member: Member,
  change: (tree: RatchetTree) => RatchetTree,
  externalKey?: Uint8Array,
): Promise<Uint8Array> {
  const { groupInfo, tree } = decodeGroupInfo(bytes);
  const forged = change(tree);
  const suite = ciphersuite(random);
  const [externalPub] = groupInfo.extensions;
  if (externalPub === undefined) throw new Error("no external_pub");
  const tbs = {
    ...groupInfo,
    groupContext: { ...groupInfo.groupContext, treeHash: await treeHashRoot(forged, suite.hash) },
    extensions: [
      externalKey === undefined ? externalPub : { ...externalPub, extensionData: externalKey },
      { extensionType: "ratchet_tree", extensionData: encodeRatchetTree(forged) } as const,
    ],
  };
  return encodeMlsMessage({
    version: "mls10",
    wireformat: "mls_group_info",
    groupInfo: await signGroupInfo(tbs, member.device.seed, suite.signature),
  });
}

/** A fresh path whose secrets are sealed for the first `good` recipients only: the others get bytes that nobody can open. */
export async function spoilPath(member: Member, good: number): Promise<PendingCommit> {
  const suite = ciphersuite(random);
  let sealed = 0;
  const state = openState(member);
  const { newState, commit, welcome } = await createCommit(
    {
      state,
      cipherSuite: {
        ...suite,
        hpke: {
          ...suite.hpke,
          seal: async (...parts) => {
            const made = await suite.hpke.seal(...parts);
            return sealed++ < good ? made : { ...made, ct: random(made.ct.length) };
          },
        },
      },
      pskIndex: emptyPskIndex,
    },
    { wireAsPublicMessage: true, ratchetTreeExtension: false },
  );
  if (commit.wireformat !== "mls_public_message") throw new Error("the commit is not public");
  return finishCommit(state, { newState, publicMessage: commit.publicMessage, welcome }, random);
}
