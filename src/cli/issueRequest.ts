import { createCertificateRequest } from "../pki/csr.ts";
import type { CertificateProfile } from "../pki/issue.ts";
import { formatPem } from "../pki/pem.ts";
import { keyDigest } from "./authorityFiles.ts";
import { printFields } from "./certificateText.ts";
import { exitCodes } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { writeNewFiles } from "./files.ts";
import { credentialPaths, readProfile } from "./issueFlags.ts";
import { keyTypeFlag, makeKey, newPassphrase } from "./newKey.ts";

/** `securechat issue --request`: a key that stays here, and a request that goes to the CA. */
export async function request(args: Arguments): Promise<number> {
  const profile = readProfile(args);
  return await makeRequest(
    args,
    profile,
    args.text("out") ?? `certs/${profile.kind === "user" ? profile.username : profile.commonName}`,
  );
}

/** Makes PREFIX_key.pem and PREFIX_csr.pem. */
export async function makeRequest(
  args: Arguments,
  profile: CertificateProfile,
  prefix: string,
): Promise<number> {
  const paths = credentialPaths(prefix);
  const replace = args.has("force") ? { replace: true as const } : {};
  const keyType = keyTypeFlag(args);
  const passphrase = await newPassphrase(args, paths.key, true);
  process.stdout.write(`[*] Generating ${keyType} private key...\n`);
  const { key, pem } = await makeKey(keyType, passphrase);
  const csr = createCertificateRequest(key, profile);
  writeNewFiles([
    { path: paths.key, content: pem, mode: 0o600, ...replace },
    { path: paths.csr, content: formatPem("CERTIFICATE REQUEST", csr), mode: 0o644, ...replace },
  ]);
  process.stdout.write("[+] Certificate request made: send it to the CA, keep the key\n");
  printFields([
    ["Request", paths.csr],
    ["Private key", paths.key],
    ["Key", `${keyType} sha256:${keyDigest(key)}`],
  ]);
  return exitCodes.done;
}
