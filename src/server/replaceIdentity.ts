import type { ServerIdentity } from "./ownIdentity.ts";
import { certificateRecord } from "./person.ts";
import { ServerError } from "./serverError.ts";
import { serverIdentity } from "./serverIdentity.ts";
import type { Services } from "./services.ts";

/**
 * Goes on with another certificate of the same names, once the store knows it.
 *
 * @throws {ServerError} as at the start; what was in use stays
 */
export async function replaceIdentity(
  services: Services,
  { chain, key }: Pick<ServerIdentity, "chain" | "key">,
): Promise<void> {
  const { identity, revocation, anchors, now, log } = services;
  const next = serverIdentity({ chain, key, anchors, now }, revocation);
  identity.requireSameNames(next);
  await storeIdentity(services, next);
  identity.replace(next);
  log("INFO", `Certificate ${next.verified.certificate.fingerprint} in use`);
}

/** @throws {ServerError} `CERTIFICATE_REFUSED` */
export async function storeIdentity({ store, now }: Services, { verified }: ServerIdentity): Promise<void> {
  const stored = await store.accounts.putCertificate(certificateRecord(verified, "server"), now());
  if (stored !== "stored")
    throw new ServerError(
      "CERTIFICATE_REFUSED",
      "the store knows another certificate with this issuer and serial number, issue a new one",
    );
}
