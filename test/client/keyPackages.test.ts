import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection } from "../../src/client/connection.ts";
import { Devices } from "../../src/client/devices.ts";
import { KeyPackages, maxKeptKeyPackages } from "../../src/client/keyPackages.ts";
import { openSelf } from "../../src/client/openSelf.ts";
import { Vault } from "../../src/client/vault.ts";
import { encodeRecord, keyPackageSchema } from "../../src/client/vaultRecords.ts";
import { systemRandom as random } from "../../src/crypto/systemRandom.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "securechat-packages-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("topUp() keeps the newest private halves only, however often a server says that all are missing", async () => {
  const authority = await createTestAuthority({ nowMs: Date.now() });
  const { chain, key } = await authority.issueUser("alice");
  const self = openSelf({ chain, key, anchors: [authority.ca], now: Date.now, role: "client" });
  const vault = Vault.open({ file: join(folder, "vault.db"), key, random });
  try {
    const devices = new Devices({ vault, self, random });
    const keyPackages = new KeyPackages({ vault, devices, random, now: Date.now });
    const batch = vault.batch();
    const bytes = random(8);
    const older = { public: bytes, private: bytes, last_resort: false, not_after: Date.now() + 60_000 };
    for (let i = 0; i < maxKeptKeyPackages; i++)
      batch.write("keyPackage", String(i), encodeRecord(keyPackageSchema, older));
    vault.commit(batch);
    const connection = { request: async () => undefined } as unknown as Connection;
    for (let login = 0; login < 3; login++)
      await keyPackages.topUp(connection, { oneTime: 0, lastResort: false });
    const kept = keyPackages.list();
    // The last 21 came after it was looked what there is.
    expect(kept.length).toBe(maxKeptKeyPackages + 21);
    expect(kept.filter(({ publicPackage }) => publicPackage.length > 8)).toHaveLength(3 * 21);
  } finally {
    vault.close();
  }
});
