import { memberOf } from "../log/memberIdentity.ts";
import type { OfferedOperator } from "../wire/operatorMessages.ts";
import type { Services } from "./services.ts";

/**
 * The server's operator, if members can reach it: it has left key packages under the certificate in use, here or on another
 * node. Whether it is attached now doesn't matter, entries wait for it as for everybody.
 */
export async function offeredOperator({
  store,
  identity,
  now,
  offersOperator,
}: Pick<Services, "store" | "identity" | "now" | "offersOperator">): Promise<OfferedOperator | undefined> {
  if (!offersOperator) return undefined;
  const { certificate } = identity.verified;
  const { fingerprint } = certificate;
  if (!(await store.keyPackages.canTake(fingerprint, now()))) return undefined;
  return { name: memberOf(certificate).username, fingerprint };
}
