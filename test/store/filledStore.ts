import type { Hex } from "../../src/base/hex.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { logFixture } from "./logFixture.ts";

/** Whose rows they are. */
export interface Filled {
  readonly conversation: Hex;
  readonly sender: { readonly fingerprint: Hex; readonly person: Hex };
}

/** A row in every table that clients bring about. */
export async function fillStore(store: Store): Promise<Filled> {
  const log = await logFixture(store);
  const { sender } = log;
  const conversation = await log.begin();
  for (const index of [1, 2]) await store.log.append(log.message(conversation, index, index + 1));
  const account = { email: "a@example.org", username: "a", passwordHash: "x", certificate: sender, nowMs: 1 };
  await store.accounts.create(account);
  const { fingerprint, person } = sender;
  const bytes = Uint8Array.of(1, 2, 3);
  await store.blobs.putPiece({
    ...{ uploader: person, sha256: fingerprint, size: 3, offset: 0, data: bytes, quotaBytes: 100, nowMs: 1 },
  });
  const record = { digest: fingerprint, package: bytes, expiresAtMs: 1_000 };
  const packages = { oneTime: [record], lastResort: undefined, maxOneTime: 10 };
  await store.keyPackages.publish({ fingerprint, device: fingerprint, ...packages, nowMs: 1 });
  await store.receipts.save({ conversation, size: 1, statement: bytes, signedData: bytes, version: 1 }, 1);
  return { conversation, sender };
}

/** @returns how each read ended: `read`, the code of the refusal, or what must never come out of a store */
export function readEverything(
  { accounts, blobs, log, receipts, keyPackages }: Store,
  { conversation, sender }: Filled,
) {
  const { fingerprint, person } = sender;
  const reads: readonly (() => Promise<unknown>)[] = [
    () => accounts.byEmail("a@example.org"),
    () => accounts.byUsername("a"),
    () => accounts.certificates([fingerprint]),
    () => accounts.certificatesVisibleTo(person, [fingerprint]),
    () => blobs.upload(person, fingerprint),
    () => blobs.ownBlob(person, fingerprint),
    () => log.entries({ conversation, from: 0, limit: 10, maxBytes: 10_000 }),
    () => log.entryBySeqno(conversation, fingerprint, 2),
    () => log.roots(conversation, [1, 2, 3]),
    () => log.size(conversation),
    () => log.checkpoint(conversation),
    () => log.state(conversation, 3),
    () => log.visibleSize(conversation, person),
    () => log.members(conversation),
    () => log.conversationsOf({ person, after: undefined, limit: 10 }),
    () => receipts.receipt(conversation, 1),
    () => keyPackages.count(fingerprint, 1),
  ];
  return Promise.all(
    reads.map((read) =>
      read().then(
        () => "read",
        (error: unknown) => (error instanceof StoreError ? error.code : `${error}`),
      ),
    ),
  );
}
