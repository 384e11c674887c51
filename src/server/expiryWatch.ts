import { visible } from "../base/visible.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { OwnIdentity } from "./ownIdentity.ts";
import type { Revocation } from "./revocation.ts";
import type { ServerLog } from "./serverLog.ts";

const dayMs = 86_400_000;
/** How long before its end a certificate is warned about. */
export const expiryWarningMs = 30 * dayMs;

interface Watched {
  readonly identity: OwnIdentity;
  readonly revocation: Revocation;
  readonly anchors: readonly Certificate[];
  readonly log: ServerLog;
}

/** Tells the operator at the start, and then once a day, what has to be renewed. */
export class ExpiryWatch {
  readonly #watched: Watched;
  /** When each thing was last told of; what was replaced is another thing. */
  readonly #toldMs = new Map<string, number>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** Called now and then. */
  look(nowMs: number): void {
    const { identity, revocation, anchors } = this.#watched;
    const [own, ...above] = identity.verified.chain;
    if (own !== undefined)
      this.#certificate(own, nowMs, `the server certificate of ${visible(own.subjectText)}`, renewOwn);
    const authorities = new Map([...above, ...anchors].map((one) => [one.fingerprint, one]));
    for (const authority of authorities.values())
      this.#certificate(authority, nowMs, `the CA certificate of ${visible(authority.subjectText)}`, renewCa);

    const due = revocation.nextDue;
    if (due === undefined || nowMs <= due.nextUpdateMs) return;
    const until = new Date(due.nextUpdateMs + revocation.graceMs).toISOString();
    const over = nowMs > due.nextUpdateMs + revocation.graceMs;
    const consequence = over ? "nobody new is let in" : `after ${until} nobody new is let in`;
    this.#tell(
      `crl ${due.issuer} ${due.nextUpdateMs} ${over}`,
      nowMs,
      `The CRL was due for renewal at ${new Date(due.nextUpdateMs).toISOString()} (${revocation.policy.source}, of ${visible(due.issuer)}): ${consequence}; renew it with "securechat ca crl"`,
    );
  }

  #certificate({ fingerprint, notAfterMs }: Certificate, nowMs: number, what: string, remedy: string): void {
    if (nowMs <= notAfterMs - expiryWarningMs) return;
    // The last second is whole (RFC 5280 §4.1.2.5).
    const over = nowMs >= notAfterMs + 1000;
    const at = new Date(notAfterMs).toISOString();
    const days = Math.floor((notAfterMs - nowMs) / dayMs);
    const text = over ? `${what} has expired at ${at}` : `${what} expires in ${days} days, at ${at}`;
    this.#tell(`certificate ${fingerprint} ${over}`, nowMs, `${capitalised(text)}; ${remedy}`);
  }

  #tell(thing: string, nowMs: number, message: string): void {
    const told = this.#toldMs.get(thing);
    if (told !== undefined && nowMs < told + dayMs) return;
    this.#toldMs.set(thing, nowMs);
    this.#watched.log("WARNING", message);
  }
}

const renewOwn = 'renew it with "securechat issue --renew" and send the server SIGHUP';
const renewCa = "what hangs on it ends with it";

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
