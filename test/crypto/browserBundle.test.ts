import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { native } from "../../src/crypto/native.ts";

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "securechat-bundle-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a page would do with the reference, in a process in which nothing has registered RSA operations. */
const page = `
import { crypto, sha256 } from ${JSON.stringify(resolve(import.meta.dir, "../../src/crypto/crypto.ts"))};
const code = async (operation) => { try { await operation(); return "done"; } catch (error) { return error.code; } };
const { pkcs8, spki, signature, message } = JSON.parse(process.argv[2]);
const bytes = (text) => Uint8Array.fromHex(text);
const own = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
console.log(JSON.stringify({
  name: crypto().name,
  hash: sha256(new Uint8Array(0)).toHex(),
  p256: crypto().importPublicKey(own.spki).verify(own.scheme, bytes(message), own.sign(bytes(message))),
  rsaVerify: crypto().importPublicKey(bytes(spki)).verify("rsa-pkcs1-sha256", bytes(message), bytes(signature)),
  rsaImport: await code(() => crypto().importPrivateKey(bytes(pkcs8))),
  rsaMalformed: await code(() => crypto().importPrivateKey(bytes(pkcs8.slice(2)))),
  rsa2048: await code(() => crypto().generatePrivateKey("rsa2048")),
  rsa3072: await code(() => crypto().generatePrivateKey("rsa3072")),
}));
`;

test("crypto.ts bundles for a browser without a module of the runtime, and lacks RSA private keys only", async () => {
  const entry = join(folder, "page.ts");
  writeFileSync(entry, page);
  const fromRuntime: string[] = [];
  const built = await Bun.build({
    entrypoints: [entry],
    target: "browser",
    plugins: [
      {
        name: "no modules of the runtime",
        setup(build) {
          build.onResolve({ filter: /^(node:|bun|crypto$|fs$|util$|buffer$)/ }, ({ path }) => {
            fromRuntime.push(path);
            return undefined;
          });
        },
      },
    ],
  });
  expect(fromRuntime).toEqual([]);
  const [output] = built.outputs;
  const text = (await output?.text()) ?? "";
  expect(text).not.toMatch(/\bBuffer\b|\brequire\(|node:/);
  const bundle = join(folder, "page.js");
  writeFileSync(bundle, text);

  const pkcs8 = await native.generatePrivateKey("rsa2048");
  const key = native.importPrivateKey(pkcs8);
  const message = Uint8Array.of(1, 2, 3);
  const input = { pkcs8, spki: key.spki, signature: key.sign(message), message };
  const asHex = Object.fromEntries(Object.entries(input).map(([name, bytes]) => [name, bytes.toHex()]));
  const run = Bun.spawnSync([process.execPath, bundle, JSON.stringify(asHex)], { cwd: folder });
  expect(run.stderr.toString()).toBe("");
  expect(JSON.parse(run.stdout.toString())).toEqual({
    name: "noble",
    hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    p256: true,
    rsaVerify: true,
    rsaImport: "UNAVAILABLE",
    rsaMalformed: "MALFORMED_KEY",
    rsa2048: "UNAVAILABLE",
    rsa3072: "UNAVAILABLE",
  });
});
