import { encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { formatPem } from "../pki/pem.ts";
import type { CrlRecord } from "../store/crlStore.ts";
import { describeError } from "./describeError.ts";
import type { ListInUse } from "./revocation.ts";
import { ServerError } from "./serverError.ts";
import type { Services } from "./services.ts";

const retryMs = 1_000;

type SharedServices = Pick<Services, "store" | "revocation" | "log">;

/**
 * Revocation lists that servers on one store pass on to each other, so that one that was renewed at one of them holds at all.
 * Each list is judged like one from a file: nobody can pass on what the CA has not signed, or take a newer one back.
 */
export class SharedCrls {
  readonly #services: SharedServices;
  readonly #take: (file: Uint8Array) => void;
  #busy: Promise<void> = Promise.resolve();
  #retry: Timer | undefined;
  #stopped = false;

  /** @param take uses the lists of a file @throws {ServerError} from `take`: `CRL_REFUSED` */
  constructor(services: SharedServices, take: (file: Uint8Array) => void) {
    this.#services = services;
    this.#take = take;
  }

  /** Passes on what is in use here, then takes what is newer. @throws {StoreError} */
  async exchange(): Promise<void> {
    const { store, revocation, log } = this.#services;
    if (store.crls === undefined) return;
    for (const list of revocation.lists) await store.crls.offer(recordOf(list));
    for (const { authority, number, file } of await store.crls.all()) {
      const used = revocation.lists.find((one) => one.authority === authority);
      if (used !== undefined && numberOf(used) >= number) continue;
      try {
        this.#take(file);
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        log("WARNING", `A revocation list in the database is not taken: ${error.message}`);
      }
    }
  }

  /** As `exchange`, later and until it succeeds. */
  exchangeSoon(): void {
    this.#busy = this.#busy.then(async () => {
      try {
        if (!this.#stopped) await this.exchange();
      } catch (error) {
        this.#services.log("WARNING", `Revocation lists were not exchanged: ${describeError(error)}`);
        clearTimeout(this.#retry);
        if (!this.#stopped) this.#retry = setTimeout(() => this.exchangeSoon(), retryMs);
      }
    });
  }

  /** Resolves when nothing is being exchanged any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#busy;
  }
}

function recordOf(list: ListInUse): CrlRecord {
  const { authority, crl, issuer } = list;
  const file = encodeUtf8(formatPem("X509 CRL", crl.der) + formatPem("CERTIFICATE", issuer.der));
  return { authority, number: numberOf(list), file };
}

/** 20 bytes (RFC 5280 §5.2.3), so that the order of the texts is that of the numbers. */
function numberOf({ crl }: ListInUse): Hex {
  return encodeHex(Uint8Array.fromHex(crl.number.toString(16).padStart(40, "0")));
}
