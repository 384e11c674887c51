import { openAuthority, validityOf } from "./authorityFiles.ts";
import { formatChain, formatChainToRoot, issueAndRecord } from "./authorityIssue.ts";
import { printCertificate, printFields } from "./certificateText.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import type { NewFile } from "./files.ts";
import { issuerFiles } from "./issueFlags.ts";
import { keyTypeFlag, makeKey, newPassphrase } from "./newKey.ts";
import { demandIssued, profileOf, renewalPlaces } from "./renewal.ts";
import { readRequest } from "./requestFile.ts";

/**
 * `securechat issue --renew CERT`: the same identity for longer. The key is the certificate's own, which needs no
 * private key here; with `--csr` it is the request's, with `--new-key` alone a new one. Without `--out` the new files
 * take the place of the old, which stay beside them: what was signed or sealed with the old key needs it still.
 */
export async function renew(args: Arguments): Promise<number> {
  const file = args.text("renew") ?? "";
  const requestFile = args.text("csr");
  const makesKey = args.has("new-key") && requestFile === undefined;
  if (!makesKey && ["key-type", "encrypt", "key-passphrase-file"].some((flag) => args.has(flag)))
    throw usageError("a renewal keeps the key; --key-type and --encrypt need --new-key");
  const keyType = keyTypeFlag(args);
  const [old] = readCertificates(file, "certificate");
  const request = requestFile === undefined ? undefined : readRequest(requestFile);
  const authority = await openAuthority(issuerFiles(args), args);
  const { kind } = demandIssued(old, authority);
  if (kind === "intermediate" && args.has("new-key"))
    throw usageError(
      'an issuing CA with another key is another CA: make it with "ca intermediate --new-key"',
    );
  const days = integerFlag(args, "days", {
    min: 1,
    max: 36_500,
    fallback: kind === "intermediate" ? 1825 : 365,
  });
  const places = renewalPlaces(args, file, old, makesKey);

  let spki = request?.publicKey.spki ?? old.publicKey.spki;
  const keyFiles: NewFile[] = [];
  if (makesKey) {
    const passphrase = await newPassphrase(args, places.key.path, !authority.keyEncrypted);
    process.stdout.write(`[*] Generating ${keyType} private key...\n`);
    const { key, pem } = await makeKey(keyType, passphrase);
    spki = key.spki;
    keyFiles.push({ ...places.key, content: pem, mode: 0o600 });
  }
  process.stdout.write("[*] Generating certificate...\n");
  const certificate = await issueAndRecord({
    authority,
    profile: profileOf(old, kind),
    spki,
    ...validityOf(authority.certificate, days),
    newKey: args.has("new-key"),
    renews: old,
    files: (issued) => [
      ...keyFiles,
      { ...places.cert, content: formatChain(issued, authority), mode: 0o644 },
      ...(kind === "intermediate"
        ? [{ ...places.chain, content: formatChainToRoot(issued, authority), mode: 0o644 }]
        : []),
    ],
  });
  process.stdout.write("[+] Certificate renewed\n");
  printCertificate(certificate, places.cert.path, makesKey ? places.key.path : undefined);
  if (typeof places.cert.replace === "string") printFields([["Before", places.cert.replace]]);
  return exitCodes.done;
}
