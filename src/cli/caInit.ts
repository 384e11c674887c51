import { systemRandom } from "../crypto/systemRandom.ts";
import { decodeCertificate } from "../pki/certificate.ts";
import { createRootCertificate } from "../pki/issue.ts";
import { formatPem } from "../pki/pem.ts";
import { authorityFiles, dayMs, nowSeconds, recordOf } from "./authorityFiles.ts";
import { withCaIndex } from "./caIndex.ts";
import { printCertificate } from "./certificateText.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { stageFiles } from "./files.ts";
import { keyTypeFlag, makeKey } from "./newKey.ts";
import { readSecret } from "./secrets.ts";

/** `securechat ca init`: a new root. */
export async function init(args: Arguments): Promise<number> {
  const files = authorityFiles(args.text("cert"), args.text("key"));
  const keyType = keyTypeFlag(args);
  const days = integerFlag(args, "days", { min: 1, max: 36_500, fallback: 3650 });
  const passphrase = args.has("encrypt")
    ? await readSecret({
        args,
        flag: "passphrase-file",
        variable: "SECURECHAT_PASSPHRASE",
        prompt: "New passphrase for the CA key",
        confirm: true,
      })
    : undefined;
  const replace = args.has("force") ? { replace: true as const } : {};

  process.stdout.write(`[*] Generating ${keyType} private key...\n`);
  const { pkcs8, pem } = await makeKey(keyType, passphrase);
  process.stdout.write("[*] Generating self-signed root certificate...\n");
  const notBeforeMs = nowSeconds();
  const certificate = decodeCertificate(
    createRootCertificate({
      name: args.text("name") ?? "SecureChat Root CA",
      keyPkcs8: pkcs8,
      notBeforeMs,
      notAfterMs: notBeforeMs + days * dayMs,
      random: systemRandom,
      intermediates: args.has("intermediates"),
    }),
  );
  await withCaIndex(files.index, (index) => {
    using staged = stageFiles([
      { path: files.key, content: pem, mode: 0o600, ...replace },
      { path: files.cert, content: formatPem("CERTIFICATE", certificate.der), mode: 0o644, ...replace },
    ]);
    if (index.records.length > 0 && !args.has("force"))
      throw usageError(
        `${index.file} exists already: it is the index of another CA; use --force to begin a new one`,
      );
    // What another key issued is not this CA's business.
    index.write([recordOf(certificate, "ca")]);
    staged.publish();
  });
  process.stdout.write("[+] Root CA created successfully!\n");
  printCertificate(certificate, files.cert, files.key);
  return exitCodes.done;
}
