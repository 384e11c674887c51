import { isEmail, usernamePattern } from "../pki/identity.ts";
import type { CertificateProfile } from "../pki/issue.ts";
import { type AuthorityFiles, existingAuthorityFiles } from "./authorityFiles.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";

/** The authority that `issue` works with: `--ca-cert` and `--ca-key`. */
export function issuerFiles(args: Arguments): AuthorityFiles {
  return existingAuthorityFiles(args.text("ca-cert"), args.text("ca-key"));
}

/** Where the certificate, key, request and (of an issuing CA) chain with this prefix are. */
export function credentialPaths(prefix: string) {
  return {
    cert: `${prefix}_cert.pem`,
    key: `${prefix}_key.pem`,
    csr: `${prefix}_csr.pem`,
    chain: `${prefix}_chain.pem`,
  };
}

/** Whom a certificate is for, as the operator says. @throws {CliError} exit code 2 */
export function readProfile(args: Arguments): Exclude<CertificateProfile, { kind: "intermediate" }> {
  const cn = args.text("cn");
  if (cn === undefined) throw usageError("--cn NAME is needed");
  const email = args.text("email");
  if (args.has("server")) {
    if (email !== undefined)
      throw usageError("--email belongs to a person's certificate, not to a --server's");
    const dnsNames = args.all("dns");
    const ipAddresses = args.all("ip");
    const isAddress = /^[0-9.]+$/.test(cn) || cn.includes(":");
    // Without names of its own the common name is the one name: a host, or an address.
    if (dnsNames.length === 0 && ipAddresses.length === 0)
      return {
        kind: "server",
        commonName: cn,
        dnsNames: isAddress ? [] : [cn],
        ipAddresses: isAddress ? [cn] : [],
      };
    return { kind: "server", commonName: cn, dnsNames, ipAddresses };
  }
  if (args.all("dns").length > 0 || args.all("ip").length > 0)
    throw usageError("--dns and --ip need --server");
  if (!usernamePattern.test(cn))
    throw usageError(`"${cn}" is no user name: 1 to 32 of a-z 0-9 . _ - and a letter or digit first`);
  if (email === undefined) throw usageError("--email ADDRESS (or --server) is needed");
  if (!isEmail(email)) throw usageError(`"${email}" is no e-mail address`);
  return { kind: "user", username: cn, email };
}
