import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";

const perRequest = 64;

/**
 * Fetches the chains of certificates that are not known yet, or not with a chain that stands at `atMs`. The server chooses what it answers: only leaves that were asked
 * for are taken, and nothing is concluded from having them.
 *
 * @throws {ClientError} `SERVER_MISBEHAVED` when an answer has none of those that are missing; what `request` throws
 */
export async function learnCertificates(
  { vault, directory, connection }: Pick<ConversationContext, "vault" | "directory" | "connection">,
  fingerprints: readonly Hex[],
  atMs: number,
): Promise<void> {
  const unknown = directory.unknown(fingerprints, atMs);
  for (let from = 0; from < unknown.length; from += perRequest) {
    const wanted = new Set(unknown.slice(from, from + perRequest));
    // An answer holds what fits: the rest is asked for again, as long as something comes.
    while (wanted.size > 0) {
      const asked = [...wanted];
      const batch = vault.batch();
      const { chains } = await connection().request({ type: "fetch_certificates", fingerprints: asked });
      for (const chain of chains) {
        const [leaf] = chain;
        if (leaf !== undefined && wanted.delete(encodeHex(sha256(leaf)))) directory.learn(chain, batch, atMs);
      }
      vault.commit(batch);
      if (wanted.size < asked.length) continue;
      // Whether a chain that is known will do is for the log to say.
      if (asked.every((fingerprint) => directory.certificates(fingerprint).length > 0)) break;
      throw new ClientError("SERVER_MISBEHAVED", `the server did not send the certificate ${asked[0]}`);
    }
  }
}
