import type { Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { CertificateRecord } from "../../src/store/accountStore.ts";
import type { AppendOutcome, LogAppend } from "../../src/store/logStore.ts";
import type { Store } from "../../src/store/store.ts";
import { certificateRecord, randomHex } from "./certificateRecord.ts";

/** Appends to logs of one sender, whose lines say what they are. */
export interface LogFixture {
  readonly sender: CertificateRecord;
  begin(): Promise<Hex>;
  /** A message with this number as its seqno. */
  message(conversation: Hex, index: number, seqno: number): LogAppend;
}

export async function logFixture(store: Store): Promise<LogFixture> {
  const sender = certificateRecord();
  await store.accounts.putCertificate(sender, 1);
  const { fingerprint } = sender;
  const message = (conversation: Hex, index: number, seqno: number): LogAppend => ({
    conversation,
    expectedSize: index,
    create: index === 0 ? { kind: "group", pair: undefined } : undefined,
    entries: [
      { at: seqno, line: lineOf(conversation, seqno), sender: fingerprint, seqno, root: systemRandom(32) },
    ],
    blobs: [],
    members: index === 0 ? [{ change: "joined", fingerprint, index }] : [],
    closes: false,
    checkpoint: {
      size: index + 1,
      root: randomHex(32),
      at: seqno,
      server: randomHex(32),
      sig: systemRandom(70),
    },
    state: undefined,
  });
  return {
    sender,
    message,
    async begin() {
      const conversation = randomHex(16);
      requireAppended(await store.log.append(message(conversation, 0, 1)));
      return conversation;
    },
  };
}

export function lineOf(conversation: Hex, seqno: number): string {
  return `{"conversation":"${conversation}","seqno":${seqno},"text":"\\\\ \\" { } é"}`;
}

function requireAppended(outcome: AppendOutcome): void {
  if (outcome.kind !== "appended") throw new Error(outcome.kind);
}
