import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { CertificateRecord } from "../../src/store/accountStore.ts";

export function randomHex(bytes: number): Hex {
  return encodeHex(systemRandom(bytes));
}

export function certificateRecord(over: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    fingerprint: randomHex(32),
    person: randomHex(32),
    role: "user",
    issuerSerial: randomHex(24),
    chain: [systemRandom(300), systemRandom(500)],
    ...over,
  };
}
