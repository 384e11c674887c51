import type { ClientState } from "ts-mls/clientState.js";
import { createCommit, createGroupInfoWithExternalPubAndRatchetTree } from "ts-mls/createCommit.js";
import { encodeMlsMessage } from "ts-mls/message.js";
import type { Proposal } from "ts-mls/proposal.js";
import { emptyPskIndex } from "ts-mls/pskIndex.js";
import type { PublicMessage } from "ts-mls/publicMessage.js";
import type { Welcome } from "ts-mls/welcome.js";
import { ciphersuite } from "./ciphersuite.ts";
import { GroupError, guard } from "./groupError.ts";
import { encodeNewState } from "./groupState.ts";
import { checkTree, type GroupMember } from "./groupTree.ts";
import type { Random } from "./hpke.ts";
import { maxGroupBlobBytes } from "./profile.ts";

/**
 * A commit that was made and not posted. Store it before posting: an own commit can't be applied from its bytes. When the
 * log has an entry with the hash of `commit`, `nextState` takes the place of the state that it was made from, and only
 * then is that one wiped. When another commit of the epoch was accepted, throw this away, apply the other one and make
 * the change again.
 */
export interface PendingCommit {
  /** MLSMessage, a PublicMessage. */
  readonly commit: Uint8Array;
  /** MLSMessage, a Welcome without the ratchet tree, for all who were added; else `null`. */
  readonly welcome: Uint8Array | null;
  /** MLSMessage, the GroupInfo of the new epoch with external_pub and ratchet_tree. */
  readonly groupInfo: Uint8Array;
  /** Secret. */
  readonly nextState: Uint8Array;
  /** The epoch that the commit opens. */
  readonly epoch: number;
  /** From the leftmost leaf to the rightmost, as the tree is after the commit. */
  readonly roster: readonly GroupMember[];
}

/** Commits to `proposals`; none of them is a fresh path. The state itself stays as it is. @throws {GroupError} */
export async function makeCommit(
  state: ClientState,
  proposals: readonly Proposal[],
  random: Random,
): Promise<PendingCommit> {
  const suite = ciphersuite(random);
  return guard("commit", async () => {
    const { newState, commit, welcome } = await createCommit(
      { state, cipherSuite: suite, pskIndex: emptyPskIndex },
      { wireAsPublicMessage: true, extraProposals: [...proposals], ratchetTreeExtension: false },
    );
    if (commit.wireformat !== "mls_public_message") throw new TypeError("the commit is not public");
    return finishCommit(state, { newState, publicMessage: commit.publicMessage, welcome }, random);
  });
}

/** Checks what was made as everybody who receives it will, and encodes it. @throws {GroupError} */
export async function finishCommit(
  previous: Pick<ClientState, "ratchetTree">,
  {
    newState,
    publicMessage,
    welcome,
  }: { newState: ClientState; publicMessage: PublicMessage; welcome: Welcome | undefined },
  random: Random,
): Promise<PendingCommit> {
  const roster = checkTree(newState.ratchetTree, previous.ratchetTree);
  const suite = ciphersuite(random);
  const groupInfo = await createGroupInfoWithExternalPubAndRatchetTree(newState, [], suite);
  const blobs = {
    commit: encodeMlsMessage({ version: "mls10", wireformat: "mls_public_message", publicMessage }),
    welcome:
      welcome === undefined
        ? null
        : encodeMlsMessage({ version: "mls10", wireformat: "mls_welcome", welcome }),
    groupInfo: encodeMlsMessage({ version: "mls10", wireformat: "mls_group_info", groupInfo }),
  };
  for (const blob of [blobs.commit, blobs.welcome, blobs.groupInfo])
    if (blob !== null && blob.length > maxGroupBlobBytes)
      throw new GroupError("TOO_LARGE", `the group is too large for blobs of ${maxGroupBlobBytes} bytes`);
  return {
    ...blobs,
    nextState: await encodeNewState(newState),
    epoch: Number(newState.groupContext.epoch),
    roster,
  };
}
