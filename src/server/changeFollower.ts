import type { Hex } from "../base/hex.ts";
import type { Change, ChangeListener } from "../store/changeFeed.ts";
import type { AccountWatch } from "./accountWatch.ts";
import { describeError } from "./describeError.ts";
import type { Relay } from "./relay.ts";
import type { Restoration } from "./restoration.ts";
import type { Services } from "./services.ts";
import type { SharedCrls } from "./sharedCrls.ts";
import { tellDeliveryMark } from "./takeDeliveryMarks.ts";

const conversationsPerQuery = 256;
const retryMs = 1_000;

type FollowerServices = Pick<Services, "store" | "sessions" | "deliveryMarks" | "log"> & {
  readonly relay: Relay;
  readonly restoration: Restoration;
  readonly accountWatch: AccountWatch;
  /** `undefined`: this server goes by no list. */
  readonly sharedCrls: SharedCrls | undefined;
};

/** Passes on what other servers on the same store have changed. */
export class ChangeFollower implements ChangeListener {
  readonly #services: FollowerServices;
  #catchingUp = false;
  #mustCatchUp = false;
  #stopped = false;

  constructor(services: FollowerServices) {
    this.#services = services;
  }

  changed(change: Change): void {
    const { relay, restoration, accountWatch, sharedCrls } = this.#services;
    switch (change.kind) {
      case "log":
        void relay.follow(change);
        break;
      case "receipt":
        relay.followReceipt(change.conversation, change.size);
        break;
      case "account":
        accountWatch.changed(change.account);
        break;
      case "delivered":
        // A mark that gets lost is made good by the next one.
        void tellDeliveryMark(change, this.#services).catch(() => undefined);
        break;
      case "crl":
        sharedCrls?.exchangeSoon();
        break;
      case "restoring":
        restoration.changed();
        break;
    }
  }

  missed(): void {
    const { relay, restoration, accountWatch, sharedCrls, log } = this.#services;
    log("WARNING", "The connection on which the database tells of other servers was lost: catching up");
    restoration.changed();
    relay.forgetReaders();
    accountWatch.checkAll();
    sharedCrls?.exchangeSoon();
    this.#mustCatchUp = true;
    if (!this.#catchingUp) void this.#catchUp();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** One log after the other: the database has just come back, and everybody wants something of it. */
  async #catchUp(): Promise<void> {
    const { sessions, log } = this.#services;
    this.#catchingUp = true;
    while (this.#mustCatchUp && !this.#stopped) {
      this.#mustCatchUp = false;
      try {
        const seen = new Set<Hex>();
        for (const person of [...sessions.persons()]) await this.#catchUpFor(person, seen);
      } catch (error) {
        log("WARNING", `Not caught up with other servers yet: ${describeError(error)}`);
        this.#mustCatchUp = true;
        await Bun.sleep(retryMs);
      }
    }
    this.#catchingUp = false;
  }

  /** @param seen conversations that were seen to already */
  async #catchUpFor(person: Hex, seen: Set<Hex>): Promise<void> {
    const { store, relay } = this.#services;
    for (let after: Hex | undefined; !this.#stopped; ) {
      const found = await store.log.conversationsOf({ person, after, limit: conversationsPerQuery });
      for (const { conversation, size } of found) {
        if (seen.has(conversation)) continue;
        seen.add(conversation);
        await relay.follow({ kind: "log", conversation, from: size - 1, size, members: true });
      }
      if (found.length < conversationsPerQuery) return;
      after = found.at(-1)?.conversation;
    }
  }
}
