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
  { name: "key", value: "file", description: "CA private key (default: certs/ca_key.pem)" },
  { name: "name", value: "text", description: 'init: common name (default: "SecureChat Root CA")' },
  { name: "days", value: "days", description: "init: validity (default: 3650)" },
  { name: "key-type", value: "type", description: "init: p256 (default), rsa2048, rsa3072 or ed25519" },
  { name: "encrypt", description: "init: protect the key with a passphrase" },
  { name: "intermediates", description: "init: allow one level of issuing CAs below this one" },
  { name: "force", description: "init: overwrite existing files" },
  {
    name: "passphrase-file",
    value: "file",
    description: "Passphrase of the key (or SECURECHAT_PASSPHRASE, or a prompt)",
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
    description: "Writes PREFIX_cert.pem and PREFIX_key.pem (default: certs/NAME)",
  },
  { name: "days", value: "days", description: "Validity (default: 365)" },
  { name: "key-type", value: "type", description: "p256 (default), rsa2048, rsa3072 or ed25519" },
  { name: "encrypt", description: "Protect the new key with a passphrase" },
  { name: "new-key", description: "Issue although the name is live under another key" },
  { name: "force", description: "Overwrite existing files" },
  { name: "ca-cert", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  { name: "ca-key", value: "file", description: "CA private key (default: certs/ca_key.pem)" },
  { name: "passphrase-file", value: "file", description: "Passphrase of the CA key" },
  { name: "key-passphrase-file", value: "file", description: "With --encrypt: passphrase of the new key" },
];

const serveFlags: readonly Flag[] = [
  { name: "host", value: "address", description: "Address to listen on (default: 0.0.0.0)" },
  { name: "port", value: "port", description: "Port (default: 5000; 0 takes a free one)" },
  { name: "cert", value: "file", description: "Server certificate (default: certs/server_cert.pem)" },
  { name: "key", value: "file", description: "Server private key (default: certs/server_key.pem)" },
  { name: "ca", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  { name: "crl", value: "file", description: "Certificate revocation list" },
  { name: "db", value: "file", description: "Database file (default: securechat.db)" },
  { name: "registration", value: "mode", description: "open (default) or closed" },
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
  { name: "server", value: "name", description: "Demand that this server countersigned" },
  { name: "json", description: "The report as one JSON object" },
];

export const commands: readonly CommandSpec[] = [
  {
    name: "ca",
    positionals: "<action>",
    description: "The certificate authority: init, show",
    flags: caFlags,
    examples: ["ca init", 'ca init --name "Example Org CA" --encrypt', "ca show"],
    load: async () => (await import("./ca.ts")).ca,
  },
  {
    name: "issue",
    positionals: "",
    description: "Issue a certificate to a person or a server",
    flags: issueFlags,
    examples: [
      "issue --cn alice --email alice@example.org",
      "issue --server --cn localhost --dns localhost --ip 127.0.0.1 --out certs/server",
    ],
    load: async () => (await import("./issue.ts")).issue,
  },
  {
    name: "serve",
    positionals: "",
    description: "Run a server",
    flags: serveFlags,
    examples: ["serve", "serve --port 5000 --db /var/lib/securechat/securechat.db"],
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
    positionals: "[folder]",
    description: "Check a transcript, its receipts and disclosed words offline",
    flags: verifyFlags,
    examples: [
      "verify transcripts/bob-1f0c2a9b --ca ca_cert.pem",
      "verify --receipt receipt.json --disclosure words.json --ca ca_cert.pem",
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
