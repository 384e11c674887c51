import { commonNameFor } from "../pki/profile.ts";
import { openAuthority, validityOf } from "./authorityFiles.ts";
import { formatChain, issueAndRecord } from "./authorityIssue.ts";
import { printCertificate } from "./certificateText.ts";
import { exitCodes } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { credentialPaths, issuerFiles, readProfile } from "./issueFlags.ts";
import { keyTypeFlag, subjectKey } from "./newKey.ts";
import { readRequest } from "./requestFile.ts";

/** `securechat issue`: a certificate for a person or a server, with a new key, or for the key of `--csr`. */
export async function issueNew(args: Arguments): Promise<number> {
  const profile = readProfile(args);
  const name = commonNameFor(profile);
  const paths = credentialPaths(args.text("out") ?? `certs/${name}`);
  const days = integerFlag(args, "days", { min: 1, max: 36_500, fallback: 365 });
  const keyType = keyTypeFlag(args);
  const replace = args.has("force") ? { replace: true as const } : {};
  const requestFile = args.text("csr");
  const request = requestFile === undefined ? undefined : readRequest(requestFile);
  const authority = await openAuthority(issuerFiles(args), args);
  const validity = validityOf(authority.certificate, days);

  const key = await subjectKey(args, {
    request,
    keyType,
    path: paths.key,
    whose: ` for ${name}`,
    alone: !authority.keyEncrypted,
    replace,
  });
  process.stdout.write("[*] Generating certificate...\n");
  const certificate = await issueAndRecord({
    authority,
    profile,
    spki: key.spki,
    ...validity,
    newKey: args.has("new-key"),
    files: (issued) => [
      ...key.files,
      { path: paths.cert, content: formatChain(issued, authority), mode: 0o644, ...replace },
    ],
  });
  process.stdout.write("[+] Certificate issued successfully!\n");
  printCertificate(certificate, paths.cert, request === undefined ? paths.key : undefined);
  return exitCodes.done;
}
