import type { Hex } from "../base/hex.ts";
import type { GroupMember } from "../group/conversationGroup.ts";
import { standingTime, verifyDeviceIdentity } from "../group/device.ts";
import { GroupError } from "../group/groupError.ts";
import { PkiError } from "../pki/pkiError.ts";
import { Refusal } from "./refusal.ts";
import type { Services } from "./services.ts";

/**
 * Whether every leaf of a group's tree is a device that its certificate's key has vouched for: nobody is put into a group by
 * others with a key that is not theirs. Clients go by the same rule and have no part in a group that breaks it, so a log that
 * had taken it in would be of no use to any of its members.
 *
 * @param isNew whether the entry brought this certificate or device in; what was there before may have expired since
 * @param at when the entry was received, ms
 * @throws {Refusal} `BAD_BODY`
 */
export function checkDevices(
  { certificates }: Pick<Services, "certificates">,
  members: readonly GroupMember[],
  { isNew, at }: { isNew: (fingerprint: Hex) => boolean; at: number },
): void {
  for (const { identity } of members) {
    const { chain, fingerprint } = identity;
    try {
      const atMs = isNew(fingerprint) ? at : standingTime(identity, at);
      verifyDeviceIdentity(identity, certificates.verify(chain, atMs), atMs);
    } catch (cause) {
      if (!(cause instanceof GroupError || cause instanceof PkiError)) throw cause;
      const message = `the group has a device of the certificate ${fingerprint} that is none: ${cause.message}`;
      throw new Refusal("BAD_BODY", message, { cause });
    }
  }
}
