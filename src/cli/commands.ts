import { authorityCommands } from "./authorityCommands.ts";
import type { CommandSpec, Flag } from "./commandLine.ts";
import { limitFlags } from "./limitFlags.ts";
import { operatorFlags } from "./operatorFlags.ts";

// Beyond 300 lines: one table, of every command with its flags.

/** Flags that every command takes. */
export const globalFlags: readonly Flag[] = [
  {
    name: "crypto",
    value: "provider",
    description: "native (default) or noble, the pure TypeScript reference",
  },
  { name: "version", description: "Print the version" },
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
  {
    name: "registration",
    value: "mode",
    description: 'open (default) or closed: accounts are made by "serve users add" alone',
  },
  {
    name: "retention",
    value: "days",
    description:
      "Delete conversations without an entry for so many days, for good: export before (default: none ever)",
  },
  {
    name: "workers",
    value: "n",
    description: "Run n server processes on one port (Linux, PostgreSQL); one that ends is replaced",
  },
  {
    name: "reuse-port",
    description: "Share the port with other servers of this user (Linux spreads connections; PostgreSQL)",
  },
  {
    name: "metrics",
    value: "host:port",
    description:
      "Serve /metrics (Prometheus), /healthz and /readyz there over HTTP (default: not at all); worker k on port + k - 1",
  },
  { name: "log-format", value: "format", description: "text (default) or json" },
  ...operatorFlags,
  { name: "out", value: "path", description: "export: the new folder to write; backup: the new file" },
  { name: "passphrase-file", value: "file", description: "Passphrase of the key" },
  ...limitFlags,
  { name: "email", value: "address", description: "users add: the address in the person's certificate" },
  {
    name: "allow-new-key",
    description: "users reset: the one-time password may bring a certificate with another key",
  },
];

const connectFlags: readonly Flag[] = [
  { name: "as", value: "name", description: "Uses certs/NAME_cert.pem and certs/NAME_key.pem" },
  { name: "cert", value: "file", description: "Own certificate" },
  { name: "key", value: "file", description: "Own private key" },
  { name: "ca", value: "file", description: "CA certificate (default: certs/ca_cert.pem)" },
  { name: "crl", value: "file", description: "Certificate revocation list" },
  { name: "to", value: "user", description: "Whom to talk to (default: the server's operator)" },
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
  {
    name: "renew-from",
    value: "prefix",
    description: "Log in with a new key: PREFIX_cert.pem, PREFIX_key.pem are the account's and sign for it",
  },
  { name: "change-password", description: "Log in and choose another password" },
  {
    name: "new-password-file",
    value: "file",
    description: "The other password (or SECURECHAT_NEW_PASSWORD, or a prompt)",
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
  ...authorityCommands,
  {
    name: "serve",
    positionals: "[users|export|backup|restored] [action|conversation] [username]",
    description:
      "Run a server, look after its accounts (users list, add, disable, enable, reset), export a conversation's evidence, copy its store (backup), or say that it was put back to an older state (restored begin, end)",
    flags: serveFlags,
    examples: [
      "serve",
      "serve --port 5000 --db /var/lib/securechat/securechat.db --no-operator",
      "serve --workers 4 --db postgresql://securechat@localhost/securechat",
      "serve users list --json",
      "serve users add alice --email alice@example.org",
      "serve users disable alice",
      "serve users reset alice --allow-new-key",
      "serve export 1f0c2a9b5d7e4c3f8a6b1d2e3f405162 --out evidence",
      "serve backup --out /backup/securechat.db",
      "serve restored end",
    ],
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "connect",
    positionals: "[host:port,…]",
    description: "Chat (default server: localhost:5000); several addresses are nodes of one server",
    flags: connectFlags,
    examples: [
      "connect --as alice --to bob",
      "connect chat1.example.org,chat2.example.org:5001 --as alice --to bob",
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
