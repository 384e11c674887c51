import type { ForkFile } from "./forkFile.ts";
import type { ServerStatement } from "./serverStatement.ts";

/** For an arbiter who has never heard of this program. Everything in it comes from what was verified. @returns text with LF */
export function forkReadme(
  { conversation, server, link }: ForkFile,
  first: ServerStatement,
  second: ServerStatement,
): string {
  const lines = [
    `The chat server ${server} signed both of these statements about the conversation`,
    `${conversation}. No one log can make both true: it showed one past to some`,
    "members and another past to others.",
    "",
    ...describe("first", first),
    ...describe("second", second),
    "",
    ...(link === null
      ? ["Both are about the same number of entries, and their roots differ."]
      : [
          `The second log begins with ${first.size} entries whose root is`,
          `${link.root}, which is not the root in "first".`,
          'That this root is part of the second one is shown by "link" in fork.json, a consistency',
          "proof of RFC 9162, section 2.1.4. Securechat checks it, and so does any program for such proofs.",
        ]),
    "",
    "To check the signatures, have OpenSSL and the organisation's CA certificate from a source that you",
    "trust (ca_cert.pem), and run:",
    "",
    ...commands("first", first),
    ...commands("second", second),
    "",
    "or everything at once:",
    "",
    "  securechat verify . --ca ca_cert.pem",
    "",
    "What it does not show: which of the two logs is the true one, and who at the server did it. Whoever",
    "held the server's key can have made either statement.",
  ];
  return `${lines.join("\n")}\n`;
}

function describe(name: string, { kind, size, root, at, server }: ServerStatement): string[] {
  return [
    `${name}: a ${kind} over ${size} entries, signed ${new Date(at).toISOString()} by the server's clock`,
    `  root         ${root}`,
    `  certificate  sha256:${server.certificate.fingerprint}`,
  ];
}

function commands(name: string, { kind, at, server }: ServerStatement): string[] {
  const seconds = Math.floor(at / 1000);
  const path = `  openssl verify -attime ${seconds} -CAfile ca_cert.pem -untrusted ${name}.pem ${name}.pem`;
  const isEd25519 = server.certificate.publicKey.type === "ed25519";
  if (kind === "receipt")
    return isEd25519
      ? [path, `  (OpenSSL 3.0 can't check the Ed25519 signature in ${name}.p7s; securechat does)`]
      : [
          path,
          `  openssl cms -verify -binary -inform DER -in ${name}.p7s -content ${name}.json -attime ${seconds} \\`,
          "    -CAfile ca_cert.pem -out /dev/null",
        ];
  const key = `  openssl x509 -in ${name}.pem -noout -pubkey > ${name}.key`;
  return isEd25519
    ? [
        path,
        key,
        `  openssl pkeyutl -verify -rawin -pubin -inkey ${name}.key -in ${name}.txt -sigfile ${name}.sig`,
      ]
    : [path, key, `  openssl dgst -sha256 -verify ${name}.key -signature ${name}.sig ${name}.txt`];
}
