import { encodeHex } from "../../src/base/hex.ts";
import { withCaIndex } from "../../src/cli/caIndex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";

// A process that does nothing but store records in an index, and names each on stdout once it is stored.
const [file = ""] = process.argv.slice(2);
for (;;) {
  const serial = encodeHex(systemRandom(16));
  await withCaIndex(file, (index) =>
    index.write([
      ...index.records,
      {
        type: "certificate",
        serial,
        fingerprint: encodeHex(systemRandom(32)),
        kind: "user",
        name: "somebody",
        email: "",
        hosts: [],
        key: encodeHex(systemRandom(32)),
        not_before: 0,
        not_after: 1,
        issued_at: 0,
        revoked: null,
      },
    ]),
  );
  process.stdout.write(`${serial}\n`);
}
