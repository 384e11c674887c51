import { ChannelError } from "../channel/channelError.ts";
import type { Crl } from "../pki/crl.ts";
import type { Services } from "./services.ts";
import { TimeSlice } from "./turns.ts";

/**
 * Takes the newer lists of a file: everybody is sent them, and whoever they name is cut off.
 *
 * @returns whether there was a newer one
 * @throws {ServerError} `CRL_REFUSED`; what was in use stays
 */
export function replaceCrl(services: Services, file: Uint8Array): boolean {
  const { revocation, identity, log, now } = services;
  const newer = revocation.replace(file, now());
  for (const { number } of newer) log("INFO", `CRL number ${number} in use`);
  if (newer.length === 0) return false;
  if (revocation.isRevoked(identity.verified))
    log("ERROR", "The server's own certificate is revoked: clients refuse it; issue another and send SIGHUP");
  void announceCrls(newer, services);
  return true;
}

/** Cuts off who is revoked now and sends the others the lists. Whoever logs in meanwhile looks for itself. */
async function announceCrls(newer: readonly Crl[], { revocation, sessions }: Services): Promise<void> {
  const slice = new TimeSlice();
  for (const session of [...sessions.all()]) {
    if (revocation.isRevoked(session.member.certificate.verified))
      session.end(new ChannelError("CERTIFICATE_REVOKED", "the certificate of this client is revoked"));
    else for (const { der } of newer) session.send({ type: "crl", crl: der });
    await slice.orNextTurn();
  }
}
