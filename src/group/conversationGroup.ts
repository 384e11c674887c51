/**
 * The group of one conversation: what the floors above use of MLS (RFC 9420). Every call takes and returns bytes and
 * keeps nothing; states, devices and private packages are secret bytes for the vault.
 */
export { applyCommit, type CommitSummary, inspectCommit } from "./applyCommit.ts";
export { createGroup } from "./createGroup.ts";
export { exportChains } from "./exportChains.ts";
export { compareGroupInfo, type GroupInfoSummary, inspectGroupInfo, verifyGroupInfoOf } from "./groupInfo.ts";
export { inspectState, type StateSummary } from "./groupState.ts";
export type { GroupMember } from "./groupTree.ts";
export { inspectWelcome, joinGroup } from "./joinGroup.ts";
export type { JudgeDevice } from "./judge.ts";
export { addMembers, removeMembers, updatePath } from "./memberCommit.ts";
export type { PendingCommit } from "./pendingCommit.ts";
export { maxGroupBlobBytesFor } from "./profile.ts";
export { rejoinGroup } from "./rejoinGroup.ts";
