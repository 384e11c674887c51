import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import type { Schema } from "../../src/base/schema.ts";
import { ClientError } from "../../src/client/clientError.ts";
import { collections, Vault } from "../../src/client/vault.ts";
import {
  chainSchema,
  conversationSchema,
  decodeChains,
  decodeOpening,
  decodeRecord,
  encodeChains,
  encodeOpening,
  encodeRecord,
  keyPackageSchema,
  memberSchema,
  outgoingSchema,
  pendingSchema,
  personSchema,
  replacedSchema,
} from "../../src/client/vaultRecords.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { partOf } from "./fixture.ts";
import { attemptSync, demand, type Outcome, type Target } from "./target.ts";

const refusals = [ClientError];
const files = ["", "-wal", "-shm", "-journal"];

/** Runs `use` with the path of a vault file that holds `content`. */
function withFile<T>(content: Uint8Array | undefined, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "securechat-vault-"));
  try {
    const file = join(folder, "vault.db");
    if (content !== undefined) writeFileSync(file, content);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The vault's file, which whoever has the disk can change: pages, schema and values. */
const vaultFileTarget: Target = {
  name: "vaultFile",
  form: "bytes",
  limitMs: 250,
  maxBytes: 200_000,
  iterations: 60,
  async makeFixture() {
    const pkcs8 = await crypto().generatePrivateKey("p256");
    const key = crypto().importPrivateKey(pkcs8);
    const seeds = [0, 1, 12].map((rows) =>
      withFile(undefined, (file) => {
        const vault = Vault.open({ file, key, random: systemRandom });
        const batch = vault.batch();
        for (const collection of collections)
          for (let i = 0; i < rows; i++) batch.write(collection, `key/${i}`, systemRandom(i * 20));
        vault.commit(batch);
        vault.close();
        demand(
          files.slice(1).every((suffix) => !existsSync(`${file}${suffix}`)),
          "a closed vault is one file",
        );
        return new Uint8Array(readFileSync(file));
      }),
    );
    return { seeds, parts: { pkcs8 } };
  },
  async open(fixture) {
    const key = crypto().importPrivateKey(partOf(fixture, "pkcs8"));
    return (input) =>
      withFile(input, (file) => {
        const opened = attemptSync(refusals, () => Vault.open({ file, key, random: systemRandom }));
        if ("refused" in opened) return opened.refused;
        const vault = opened.value;
        const ends: Outcome[] = [];
        const step = (use: () => void) => {
          const result = attemptSync(refusals, use);
          ends.push("refused" in result ? result.refused : "good");
        };
        for (const collection of collections) step(() => vault.list(collection));
        step(() => vault.read("device", "key/0"));
        step(() => {
          const batch = vault.batch();
          batch.write("device", "key/new", Uint8Array.of(1));
          batch.remove("group", "key/0");
          vault.commit(batch);
        });
        step(() => vault.close());
        return ends.every((end) => end === "good") ? "accepted" : [...new Set(ends)].join(" | ");
      });
  },
};

const hash = encodeHex(new Uint8Array(32).fill(0xab));
const bytes = new Uint8Array(40).fill(0xef);
const checkpoint = { size: 3, root: hash, at: 1_700_000_000_000, server: hash, sig: bytes };

/** One reader for each kind of value, and an honest value of it. @returns the bytes that the writer makes of what was read */
function reader<T>(name: string, schema: Schema<T>, value: T) {
  return {
    seed: encodeRecord(schema, value),
    rewrite: (input: Uint8Array) => encodeRecord(schema, decodeRecord(schema, input, name)),
  };
}

const readers = [
  reader("key package", keyPackageSchema, { public: bytes, private: bytes, last_resort: true, not_after: 5 }),
  reader("person", personSchema, {
    certificates: [{ fingerprint: hash, first_seen: 1, devices: [hash, hash] }],
  }),
  reader("chain", chainSchema, [bytes, bytes]),
  reader("conversation", conversationSchema, {
    ...{ folder: "bob-12345678", kind: "direct", name: "bob", closed: false, size: 3, root: hash },
    ...{
      disputed: [1],
      unprocessable: [],
      checkpoint,
      contradiction: null,
      receipt_size: 0,
      receipt_complete: false,
    },
  }),
  reader("member", memberSchema, { device: hash, epoch: 1, path_at: 1, path_messages: 0, path_due: false }),
  reader("replacement", replacedSchema, { at: 5 }),
  reader("pending", pendingSchema, {
    ...{
      action: "create",
      device: hash,
      epoch: 1,
      commit: bytes,
      welcome: null,
      group: bytes,
      next_state: bytes,
    },
  }),
  reader("outgoing", outgoingSchema, {
    ...{ kind: "message", content: encodeUtf8("hello"), opening: new Uint8Array(32), seqno: 1, line: "{}" },
  }),
];

/** Values of the vault once they are unsealed: each input as every kind. */
const vaultValueTarget: Target = {
  name: "vaultValue",
  form: "json",
  limitMs: 100,
  maxBytes: 200_000,
  iterations: 3000,
  async makeFixture() {
    const chains = encodeChains(new Map([[hash, new Uint8Array(32).fill(1)]]));
    return {
      seeds: [...readers.map(({ seed }) => seed), chains, encodeOpening(new Uint8Array(32), bytes)],
      parts: {},
    };
  },
  async open() {
    return (input) => {
      const ends = readers.map(({ rewrite }) => {
        const result = attemptSync(refusals, () => rewrite(input));
        if ("refused" in result) return result.refused.split(" < ")[1] ?? result.refused;
        demand(equalBytes(result.value, input), "a value with two texts");
        return "good";
      });
      const chains = attemptSync(refusals, () => encodeChains(decodeChains(input)));
      if ("value" in chains) demand(equalBytes(chains.value, input), "chains with two encodings");
      const opening = attemptSync(refusals, () => decodeOpening(input));
      if ("value" in opening)
        demand(
          equalBytes(encodeOpening(opening.value.opening, opening.value.plaintext), input),
          "an opening with two encodings",
        );
      return [...new Set(ends)].join(" | ");
    };
  },
};

export const vaultTargets: readonly Target[] = [vaultFileTarget, vaultValueTarget];
