import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

const issuing = "--ca-cert certs/issuing_cert.pem --ca-key certs/issuing_key.pem";

describe("ca intermediate", () => {
  test("makes an issuing CA whose certificates carry the chain, for openssl and for us", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init --intermediates --key-type rsa3072");
    await cli.succeed("ca intermediate --name 'Example Issuing CA' --key-type ed25519");
    await cli.succeed(`issue --cn alice --email alice@example.org ${issuing}`);
    const chain = cli.certificates("certs/alice_cert.pem");
    expect(chain.map(({ subjectText }) => subjectText)).toEqual(["CN=alice", "CN=Example Issuing CA"]);
    expect(cli.certificates("certs/issuing_chain.pem").map(({ subjectText }) => subjectText)).toEqual([
      "CN=Example Issuing CA",
      "CN=SecureChat Root CA",
    ]);
    const { output } = await cli.openssl(
      "verify -x509_strict -purpose sslclient -CAfile certs/ca_cert.pem -untrusted certs/issuing_cert.pem certs/alice_cert.pem",
    );
    expect(output).toContain("OK");
    const [leaf, ...intermediates] = chain;
    if (leaf === undefined) throw new Error("no leaf");
    verifyPath({
      leaf,
      intermediates,
      anchors: [cli.certificate("certs/ca_cert.pem")],
      crls: [],
      purpose: "client",
      atMs: Date.now(),
    });
    // Each CA has an index of its own.
    expect(cli.index().map(({ kind }) => kind)).toEqual(["ca", "intermediate"]);
    expect(cli.index("certs/issuing_index.jsonl").map(({ kind }) => kind)).toEqual(["ca", "user"]);
  });

  test("rejects a root that was made without --intermediates, and a third level", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const plain = await cli.fail("ca intermediate");
    expect(plain).toMatchObject({ exitCode: 1 });
    expect(plain.stderr).toContain("PROFILE_VIOLATED");
    expect(existsSync(cli.path("certs/issuing_key.pem"))).toBe(false);
    await cli.succeed("ca init --intermediates --force");
    await cli.succeed("ca intermediate");
    const third = await cli.fail(
      "ca intermediate --days 30 --cert certs/issuing_cert.pem --key certs/issuing_key.pem --name third --out certs/third",
    );
    expect(third.stderr).toContain("PROFILE_VIOLATED");
  });

  test("leaves the issuing CA's key on its machine with --request and --csr", async () => {
    using root = new CliFolder();
    using online = new CliFolder();
    await root.succeed("ca init --intermediates");
    await online.succeed("ca intermediate --request --name 'Online CA' --out certs/issuing");
    root.write("issuing_csr.pem", online.read("certs/issuing_csr.pem"));
    await root.succeed("ca intermediate --csr issuing_csr.pem --name 'Online CA' --out issuing");
    expect(existsSync(root.path("issuing_key.pem"))).toBe(false);
    online.write("certs/issuing_cert.pem", root.read("issuing_cert.pem"));
    const { stderr } = await online.run(`issue --cn alice --email alice@example.org ${issuing}`);
    expect(stderr).toContain("there is no index certs/issuing_index.jsonl");
    expect(online.certificates("certs/alice_cert.pem")).toHaveLength(2);
    expect(online.index("certs/issuing_index.jsonl").map(({ name }) => name)).toEqual(["Online CA", "alice"]);
  });

  test("is renewed by the root under the same key, and revoked by the root, not by itself", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init --intermediates");
    await cli.succeed("ca intermediate");
    const before = cli.certificate("certs/issuing_cert.pem");
    await cli.succeed("issue --renew certs/issuing_cert.pem");
    const after = cli.certificate("certs/issuing_cert.pem");
    expect(after.publicKey.spki).toEqual(before.publicKey.spki);
    expect(after.basicConstraints).toEqual({ ca: true, pathLength: 0, critical: true });
    expect(cli.certificate("certs/issuing_chain.pem").fingerprint).toBe(after.fingerprint);
    // The key is found beside the certificate.
    await cli.succeed("issue --cn alice --email alice@example.org --ca-cert certs/issuing_cert.pem");

    const own = await cli.fail("ca revoke certs/issuing_cert.pem --cert certs/issuing_cert.pem");
    expect(own).toMatchObject({ exitCode: 1 });
    await cli.succeed("ca revoke certs/issuing_cert.pem --reason cACompromise");
    await cli.succeed("ca crl");
    await cli.succeed("ca crl --cert certs/issuing_cert.pem");
    const { output } = await cli.openssl(
      "verify -crl_check_all -CRLfile certs/ca_crl.pem -CRLfile certs/issuing_crl.pem -CAfile certs/ca_cert.pem -untrusted certs/issuing_cert.pem certs/alice_cert.pem",
    );
    expect(output).toContain("error 23 at 1 depth lookup: certificate revoked");
  });
});
