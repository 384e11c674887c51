import type { CommandSpec, Flag } from "./commandLine.ts";

const caFlags: readonly Flag[] = [
  { name: "cert", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  {
    name: "key",
    value: "file",
    description:
      "CA private key (default: beside the CA certificate, else certs/ca_key.pem); the CA's index is beside it",
  },
  {
    name: "name",
    value: "text",
    description: 'init, intermediate: common name (default: "SecureChat Root CA", "SecureChat Issuing CA")',
  },
  {
    name: "days",
    value: "days",
    description: "init, intermediate: validity (default: 3650, 1825); crl: until the next list (default: 7)",
  },
  {
    name: "key-type",
    value: "type",
    description: "init, intermediate: p256 (default), rsa2048, rsa3072 or ed25519",
  },
  { name: "encrypt", description: "init, intermediate: protect the new key with a passphrase" },
  { name: "intermediates", description: "init: allow one level of issuing CAs below this one" },
  {
    name: "out",
    value: "path",
    description:
      "intermediate: writes PATH_cert.pem, PATH_key.pem and PATH_chain.pem (default: certs/issuing); crl: the file (default: certs/ca_crl.pem)",
  },
  {
    name: "request",
    description: "intermediate: only make a key and a request here, for --csr on the root's machine",
  },
  { name: "csr", value: "file", description: "intermediate: take the key from this request" },
  { name: "new-key", description: "intermediate: issue although the name is live under another key" },
  {
    name: "reason",
    value: "reason",
    description:
      "revoke: unspecified (default), keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold, privilegeWithdrawn, aACompromise",
  },
  {
    name: "at",
    value: "time",
    description: "revoke: since when, as 2026-11-15T12:00:00Z or 2026-11-15 (default: now)",
  },
  { name: "json", description: "list: one JSON array" },
  { name: "force", description: "init, intermediate: overwrite existing files" },
  {
    name: "passphrase-file",
    value: "file",
    description: "Passphrase of the CA key (or SECURECHAT_PASSPHRASE, or a prompt)",
  },
  {
    name: "key-passphrase-file",
    value: "file",
    description: "intermediate: passphrase of the new key (or SECURECHAT_KEY_PASSPHRASE, or a prompt)",
  },
];

const issueFlags: readonly Flag[] = [
  { name: "cn", value: "name", description: "User name, or a server's host name" },
  { name: "email", value: "address", description: "User: e-mail address (rfc822Name)" },
  { name: "server", description: "A server's certificate" },
  {
    name: "dns",
    value: "host",
    many: true,
    description: "Server: dNSName, repeatable; without --dns and --ip it is the common name",
  },
  { name: "ip", value: "address", many: true, description: "Server: iPAddress, repeatable" },
  {
    name: "out",
    value: "prefix",
    description: "Writes PREFIX_cert.pem, PREFIX_key.pem, PREFIX_csr.pem (default: certs/NAME)",
  },
  { name: "days", value: "days", description: "Validity (default: 365)" },
  { name: "key-type", value: "type", description: "p256 (default), rsa2048, rsa3072 or ed25519" },
  { name: "encrypt", description: "Protect the new key with a passphrase" },
  {
    name: "request",
    description: "Make a key, which stays here, and a request (PKCS#10) for the CA; needs no CA",
  },
  {
    name: "csr",
    value: "file",
    description: "Take the key from this request, and nothing else; writes only the certificate",
  },
  {
    name: "renew",
    value: "cert",
    description: "The identity of this certificate again, and its key unless --csr or --new-key",
  },
  {
    name: "change-passphrase",
    value: "keyfile",
    description: "Encrypt this key with another passphrase, or with its first",
  },
  { name: "new-key", description: "Issue although the name is live under another key; --renew: make a key" },
  { name: "force", description: "Overwrite existing files" },
  { name: "ca-cert", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  {
    name: "ca-key",
    value: "file",
    description:
      "CA private key (default: beside the CA certificate, else certs/ca_key.pem); the CA's index is beside it",
  },
  {
    name: "passphrase-file",
    value: "file",
    description:
      "Passphrase of the key that is read: the CA's, or KEYFILE's (or SECURECHAT_PASSPHRASE, or a prompt)",
  },
  {
    name: "key-passphrase-file",
    value: "file",
    description: "Passphrase of the key that is written (or SECURECHAT_KEY_PASSPHRASE, or a prompt)",
  },
];

/** What whoever runs a certificate authority, or wants a certificate, has to do. */
export const authorityCommands: readonly CommandSpec[] = [
  {
    name: "ca",
    positionals: "<action> [certificate]",
    description: "The certificate authority: init, intermediate, revoke, crl, list, show",
    flags: caFlags,
    examples: [
      "ca init",
      'ca init --name "Example Org CA" --encrypt --intermediates',
      'ca intermediate --name "Example Org Issuing CA" --out certs/issuing',
      "ca revoke certs/alice_cert.pem --reason keyCompromise --at 2026-11-15T12:00:00Z",
      "ca crl --days 7",
      "ca list",
      "ca show certs/alice_cert.pem",
    ],
    load: async () => (await import("./ca.ts")).ca,
  },
  {
    name: "issue",
    positionals: "",
    description: "Issue a certificate to a person or a server, or make or answer a request for one",
    flags: issueFlags,
    examples: [
      "issue --cn alice --email alice@example.org",
      "issue --server --cn localhost --dns localhost --ip 127.0.0.1 --out certs/server",
      "issue --request --cn alice --email alice@example.org",
      "issue --csr alice_csr.pem --cn alice --email alice@example.org",
      "issue --renew certs/alice_cert.pem",
      "issue --change-passphrase certs/alice_key.pem",
    ],
    load: async () => (await import("./issue.ts")).issue,
  },
];
