import { isReason } from "../pki/crl.ts";
import { revocationReasons } from "../pki/pkiError.ts";
import { publishCrl } from "./authorityCrl.ts";
import { isoTime, openAuthority, readAuthority } from "./authorityFiles.ts";
import { whoIs } from "./authorityIssue.ts";
import { revoke } from "./authorityRevocation.ts";
import { caFiles, readTarget } from "./caFlags.ts";
import { printFields } from "./certificateText.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag, timeFlag } from "./commandLine.ts";

/** `securechat ca revoke CERT` */
export async function revokeCertificate(args: Arguments, operand = ""): Promise<number> {
  const reason = args.text("reason") ?? "unspecified";
  if (!isReason(reason))
    throw usageError(`--reason must be one of ${Object.keys(revocationReasons).join(", ")}, not "${reason}"`);
  const revoked = await revoke({
    authority: readAuthority(caFiles(args)),
    target: readTarget(operand),
    reason,
    atMs: timeFlag(args, "at"),
  });
  for (const [index, record] of revoked.entries()) {
    process.stdout.write(
      index === 0 ? "[+] Certificate revoked\n" : "[+] Certificate of the same key revoked\n",
    );
    printFields([
      ["Name", whoIs(record)],
      ["Serial", record.serial],
      ["Revoked", `${isoTime(record.revoked?.at ?? 0)} (${reason})`],
    ]);
  }
  process.stdout.write('    Others learn of it from the next list: run "securechat ca crl"\n');
  return exitCodes.done;
}

/** `securechat ca crl`: signs the revocation list. */
export async function signCrl(args: Arguments): Promise<number> {
  const files = caFiles(args);
  const days = integerFlag(args, "days", { min: 1, max: 3650, fallback: 7 });
  const file = args.text("out") ?? files.crl;
  const crl = await publishCrl({ authority: await openAuthority(files, args), days, file });
  process.stdout.write("[+] Revocation list signed\n");
  printFields([
    ["List", file],
    ["Number", String(crl.number)],
    ["Revoked", `${crl.entries} ${crl.entries === 1 ? "certificate" : "certificates"}`],
    ["This update", isoTime(crl.this_update)],
    ["Next update", isoTime(crl.next_update)],
  ]);
  return exitCodes.done;
}
