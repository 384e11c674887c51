import { openAuthority, recordOf, validityOf } from "./authorityFiles.ts";
import { formatChain, formatChainToRoot, issueAndRecord } from "./authorityIssue.ts";
import { caFiles } from "./caFlags.ts";
import { readCaIndex, withCaIndex } from "./caIndex.ts";
import { printCertificate, printFields } from "./certificateText.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { credentialPaths } from "./issueFlags.ts";
import { makeRequest } from "./issueRequest.ts";
import { keyTypeFlag, subjectKey } from "./newKey.ts";
import { readRequest } from "./requestFile.ts";

/**
 * `securechat ca intermediate`: an issuing CA below a root that was made with `--intermediates`. With `--request` its
 * machine makes the key and a request, which `--csr` answers on the root's machine.
 */
export async function intermediate(args: Arguments): Promise<number> {
  const commonName = args.text("name") ?? "SecureChat Issuing CA";
  const profile = { kind: "intermediate", commonName } as const;
  const prefix = args.text("out") ?? "certs/issuing";
  if (args.has("request")) {
    const other = ["csr", "days", "new-key", "cert", "key"].find((flag) => args.has(flag));
    if (other !== undefined) throw usageError(`--${other} has no meaning with --request`);
    return await makeRequest(args, profile, prefix);
  }
  const paths = { ...credentialPaths(prefix), index: `${prefix}_index.jsonl` };
  const days = integerFlag(args, "days", { min: 1, max: 36_500, fallback: 1825 });
  const keyType = keyTypeFlag(args);
  const replace = args.has("force") ? { replace: true as const } : {};
  const requestFile = args.text("csr");
  const request = requestFile === undefined ? undefined : readRequest(requestFile);
  if (request === undefined && readCaIndex(paths.index).records.length > 0 && !args.has("force"))
    throw usageError(`${paths.index} exists already; use --force to begin a new one`);
  const authority = await openAuthority(caFiles(args), args);
  const validity = validityOf(authority.certificate, days);

  const key = await subjectKey(args, {
    request,
    keyType,
    path: paths.key,
    whose: "",
    alone: !authority.keyEncrypted,
    replace,
  });
  process.stdout.write("[*] Generating intermediate certificate...\n");
  const certificate = await issueAndRecord({
    authority,
    profile,
    spki: key.spki,
    ...validity,
    newKey: args.has("new-key"),
    files: (issued) => [
      ...key.files,
      { path: paths.cert, content: formatChain(issued, authority), mode: 0o644, ...replace },
      { path: paths.chain, content: formatChainToRoot(issued, authority), mode: 0o644, ...replace },
    ],
  });
  if (request === undefined)
    await withCaIndex(paths.index, (index) => index.write([recordOf(certificate, "ca")]));
  process.stdout.write("[+] Issuing CA created successfully!\n");
  printCertificate(certificate, paths.cert, request === undefined ? paths.key : undefined);
  printFields([["Chain", paths.chain]]);
  return exitCodes.done;
}
