import type { CommandSpec, Flag } from "./commandLine.ts";

/** Flags that every command takes. */
export const globalFlags: readonly Flag[] = [
  {
    name: "crypto",
    value: "provider",
    description: "native (default) or noble, the pure TypeScript reference",
  },
  { name: "version", description: "Print the version" },
];

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

const serveFlags: readonly Flag[] = [
  { name: "host", value: "address", description: "Address to listen on (default: 0.0.0.0)" },
  { name: "port", value: "port", description: "Port (default: 5000; 0 takes a free one)" },
  { name: "cert", value: "file", description: "Server certificate (default: certs/server_cert.pem)" },
  { name: "key", value: "file", description: "Server private key (default: certs/server_key.pem)" },
  { name: "ca", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  {
    name: "crl",
    value: "file",
    description: "Certificate revocation list; a newer one in its place is taken at once",
  },
  {
    name: "crl-grace",
    value: "days",
    description: "How long past its nextUpdate a list lets anybody new in (default: 7)",
  },
  { name: "crl-required", description: "Refuse everybody without a list, or past its nextUpdate" },
  {
    name: "db",
    value: "file",
    description:
      "SQLite file, or a postgresql:// URL without a password (default: DATABASE_URL, DB_HOST …, also in .env; securechat.db)",
  },
  { name: "out", value: "file", description: "backup: the copy, which must not be there yet" },
  { name: "registration", value: "mode", description: "open (default) or closed" },
  {
    name: "metrics",
    value: "host:port",
    description: "Serve /metrics (Prometheus), /healthz and /readyz there over HTTP (default: not at all)",
  },
  { name: "log-format", value: "format", description: "text (default) or json" },
  { name: "passphrase-file", value: "file", description: "Passphrase of the key" },
];

const connectFlags: readonly Flag[] = [
  { name: "as", value: "name", description: "Uses certs/NAME_cert.pem and certs/NAME_key.pem" },
  { name: "cert", value: "file", description: "Own certificate" },
  { name: "key", value: "file", description: "Own private key" },
  { name: "ca", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  { name: "crl", value: "file", description: "Certificate revocation list" },
  { name: "to", value: "user", description: "Whom to talk to" },
  { name: "register", description: "Create an account" },
  { name: "login", description: "Log in (default without a terminal)" },
  { name: "email", value: "address", description: "Default: the address in the certificate" },
  { name: "username", value: "name", description: "Default: the name in the certificate" },
  { name: "transcripts", value: "folder", description: "Evidence folders (default: transcripts)" },
  { name: "vault", value: "file", description: "Default: NAME_vault.db beside the key" },
  { name: "no-history", description: "Keep neither words nor openings" },
  {
    name: "acknowledge",
    description: "Sign for what arrives all the time, not only on posting, /receipt and quit",
  },
  { name: "json", description: "One event a line on standard output" },
  { name: "raw", description: "Every input line is text, none is a command" },
  { name: "wait-for", value: "n", description: "Stay until n messages of others came" },
  { name: "timeout", value: "seconds", description: "Give up after this time (exit code 3)" },
  {
    name: "password-file",
    value: "file",
    description: "Account password (or SECURECHAT_PASSWORD, or a prompt)",
  },
  { name: "passphrase-file", value: "file", description: "Passphrase of the key (or SECURECHAT_PASSPHRASE)" },
];

const verifyFlags: readonly Flag[] = [
  {
    name: "receipt",
    value: "file",
    description: "A receipt.json or receipt.p7s; the other files are looked for beside it",
  },
  { name: "transcript", value: "file", description: "transcript.jsonl, when it is elsewhere" },
  {
    name: "cert",
    value: "file",
    many: true,
    description: "Certificates of signers, when they are elsewhere",
  },
  { name: "disclosure", value: "file", many: true, description: "Disclosed words to check, repeatable" },
  {
    name: "ca",
    value: "file",
    description: "Your trust anchor (default: certs/ca_cert.pem); never taken from the folder",
  },
  { name: "crl", value: "file", description: "Certificate revocation list to judge signers by" },
  { name: "server", value: "name", description: "Demand that the conversation was on this server" },
  {
    name: "out",
    value: "folder",
    description: "Write the proof that the server forked the conversation, for an arbiter",
  },
  { name: "json", description: "The report as one JSON object" },
];

export const commands: readonly CommandSpec[] = [
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
  {
    name: "serve",
    positionals: "[backup | restored begin|end]",
    description: "Run a server; copy its store, or say that it was put back to an older state",
    flags: serveFlags,
    examples: [
      "serve",
      "serve --port 5000 --db /var/lib/securechat/securechat.db",
      "serve backup --out /backup/securechat.db",
      "serve restored end",
    ],
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "connect",
    positionals: "[host:port]",
    description: "Chat (default server: localhost:5000)",
    flags: connectFlags,
    examples: [
      "connect --as alice --to bob",
      "connect chat.example.org --as alice --login --to bob --json < lines.txt",
    ],
    load: async () => (await import("./connect.ts")).connect,
  },
  {
    name: "verify",
    positionals: "[folder] [other]",
    description: "Check evidence offline, or compare the folders of two members",
    flags: verifyFlags,
    examples: [
      "verify transcripts/bob-1f0c2a9b --ca ca_cert.pem",
      "verify --receipt receipt.json --disclosure words.json --ca ca_cert.pem",
      "verify from-alice from-bob --ca ca_cert.pem --out proof",
    ],
    load: async () => (await import("./verify.ts")).verify,
  },
  {
    name: "demo",
    positionals: "",
    description:
      "Show the whole of it in a temporary folder: CA, server, two people, receipts, verification, tampering",
    flags: [{ name: "keep", value: "folder", description: "Leave everything in this (new or empty) folder" }],
    examples: ["demo"],
    load: async () => (await import("./demo.ts")).demo,
  },
];
