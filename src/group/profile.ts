import type { Capabilities } from "ts-mls/capabilities.js";
import type { CiphersuiteName } from "ts-mls/crypto/ciphersuite.js";
import { maxRosterRows } from "../log/roster.ts";

/** X-Wing, AES-256-GCM, SHA-512, Ed25519; 0x0053 on the wire, a number of this protocol (no IANA assignment). */
export const suiteName: CiphersuiteName = "MLS_256_XWING_AES256GCM_SHA512_Ed25519";

/** Extension type `last_resort` of a key package, without content (draft-ietf-mls-extensions). */
export const lastResortExtension = 0x000a;

/** Every leaf has exactly these: there is nothing to negotiate, so there is nothing to downgrade. */
export const leafCapabilities: Capabilities = {
  versions: ["mls10"],
  ciphersuites: [suiteName],
  extensions: [lastResortExtension],
  proposals: [],
  credentials: ["basic"],
};

/** Most leaves of a tree, blank ones counted: new leaves go into blank places first. A power of two. */
export const maxLeaves = maxRosterRows;
export const maxTreeNodes = 2 * maxLeaves - 1;
/** Nodes on the way from a leaf of the largest tree to its root, the leaf not counted. */
export const maxPathNodes = 8;
/** Adds and removes of one commit. */
export const maxProposals = maxLeaves;

/** Bytes of a commit, welcome or GroupInfo, inclusive; a group of 256 with chains of three certificates fits in. */
export const maxGroupBlobBytes = 2 * 1024 * 1024;

/**
 * Reading hostile bytes takes up to a second for each MiB, so whoever knows how large the roster is, before and after,
 * bounds the blobs by it: a leaf with four certificates of the largest size has less than 24 KiB.
 *
 * @param members the larger of both rosters
 * @returns bytes of a commit, welcome or GroupInfo, inclusive
 */
export function maxGroupBlobBytesFor(members: number): number {
  return Math.min(maxGroupBlobBytes, 64 * 1024 + members * 24 * 1024);
}

/** At most leaf, intermediates and root. */
export const maxChainCertificates = 4;
export const maxCertificateBytes = 4096;
export const maxDeviceSignatureBytes = 1024;

/** A conversation's id, which is the group id. */
export const conversationBytes = 16;
export const fingerprintBytes = 32;
/** Ed25519 public keys and seeds (RFC 8032 §5.1.5). */
export const deviceKeyBytes = 32;
export const deviceSeedBytes = 32;
/** X-Wing public keys: ML-KEM-768 encapsulation key || X25519 public key. */
export const hpkePublicKeyBytes = 1216;
/** X-Wing private keys: the seed that both halves come from. */
export const hpkeSeedBytes = 32;
/** SHA-512 output: tags, hashes and secrets of the key schedule. */
export const hashBytes = 64;
