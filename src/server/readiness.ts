import { encodeHex } from "../base/hex.ts";
import type { Store } from "../store/store.ts";
import type { OwnIdentity } from "./ownIdentity.ts";
import type { Revocation } from "./revocation.ts";
import { ServerError } from "./serverError.ts";
import type { StoreWatch } from "./storeWatch.ts";

/** A store that takes longer than this for one small read is as good as gone. */
const probeMs = 2_000;
/** An answer of the store is good for so long: whoever asks often doesn't load the database. */
const goodForMs = 1_000;

interface Watched {
  readonly store: Pick<Store, "log">;
  readonly watch: Pick<StoreWatch, "isReachable">;
  readonly identity: OwnIdentity;
  readonly revocation: Revocation;
  readonly now: () => number;
}

/** Whether the server could serve somebody who came now. */
export class Readiness {
  readonly #watched: Watched;
  #stopping = false;
  #probe: { readonly startedMs: number; readonly reachable: Promise<boolean> } | undefined;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  stop(): void {
    this.#stopping = true;
  }

  /** @returns why nobody can be served at the moment, `undefined` when they can */
  async unready(): Promise<string | undefined> {
    if (this.#stopping) return "shutting down";
    const { identity, revocation, watch, now } = this.#watched;
    const { certificate } = identity.verified;
    if (now() >= certificate.notAfterMs + 1000) return "the server's certificate has expired";
    if (revocation.isRevoked(identity.verified)) return "the server's certificate is revoked";
    try {
      revocation.requireCurrent(now());
    } catch (error) {
      if (error instanceof ServerError) return "the revocation list is overdue";
      throw error;
    }
    if (!(await this.#storeAnswers())) return "the store does not answer";
    // One whose disk is full answers all the same.
    return watch.isReachable ? undefined : "the store fails";
  }

  /** One probe at a time, however many ask. */
  #storeAnswers(): Promise<boolean> {
    const nowMs = performance.now();
    if (this.#probe === undefined || nowMs >= this.#probe.startedMs + goodForMs)
      this.#probe = { startedMs: nowMs, reachable: answersInTime(this.#watched.store) };
    return this.#probe.reachable;
  }
}

/** No conversation has this id: its 128 bits are random. */
const nobodys = encodeHex(new Uint8Array(16));

async function answersInTime(store: Pick<Store, "log">): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), probeMs);
  });
  const answer = store.log.size(nobodys).then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
