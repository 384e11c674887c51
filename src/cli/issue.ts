import { encodeHex } from "../base/hex.ts";
import { crypto, sha256 } from "../crypto/crypto.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { isEmail, usernamePattern } from "../pki/identity.ts";
import { type CertificateProfile as AnyProfile, issueCertificate } from "../pki/issue.ts";
import { decodePrivateKey, encodePrivateKey, keyMatchesCertificate } from "../pki/keyFile.ts";
import { formatPem } from "../pki/pem.ts";
import { dayMs, keyTypeFlag, printCertificate } from "./ca.ts";
import { caIndexFile, type IssuedRecord, updateCaIndex } from "./caIndex.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { readCertificates, readPrivateKey } from "./credentialFiles.ts";
import { writeNewFiles } from "./files.ts";
import { readSecret } from "./secrets.ts";

type CertificateProfile = Exclude<AnyProfile, { kind: "intermediate" }>;

/** `securechat issue`: a new key and a certificate for it, for a person or a server. */
export async function issue(args: Arguments): Promise<number> {
  if (args.positionals.length > 0) throw usageError(`unexpected argument "${args.positionals[0]}"`);
  const profile = readProfile(args);
  const name = profile.kind === "user" ? profile.username : profile.commonName;
  const out = args.text("out") ?? `certs/${name}`;
  const files = { cert: `${out}_cert.pem`, key: `${out}_key.pem` };
  const days = integerFlag(args, "days", { min: 1, max: 36_500, fallback: 365 });
  const keyType = keyTypeFlag(args);
  const caCertFile = args.text("ca-cert") ?? "certs/ca_cert.pem";
  const caKeyFile = args.text("ca-key") ?? "certs/ca_key.pem";
  const hint = 'make one with "securechat ca init"';
  const [issuer] = readCertificates(caCertFile, "CA certificate", hint);
  const issuerKey = await readPrivateKey(caKeyFile, "CA private key", args, hint);
  if (!keyMatchesCertificate(issuerKey, issuer))
    throw usageError(`private key ${caKeyFile} does not belong to certificate ${caCertFile}`);
  const passphrase = args.has("encrypt")
    ? await readSecret({
        args,
        flag: "key-passphrase-file",
        variable: "SECURECHAT_KEY_PASSPHRASE",
        prompt: `New passphrase for ${files.key}`,
        confirm: true,
      })
    : undefined;

  process.stdout.write(`[*] Generating ${keyType} private key for ${name}...\n`);
  const pkcs8 = await crypto().generatePrivateKey(keyType);
  const { spki } = await decodePrivateKey(formatPem("PRIVATE KEY", pkcs8));
  const keyPem = await encodePrivateKey(pkcs8, {
    random: systemRandom,
    ...(passphrase === undefined ? {} : { passphrase }),
  });
  const notBeforeMs = Math.floor(Date.now() / 1000) * 1000;
  const notAfterMs = notBeforeMs + days * dayMs;
  if (notAfterMs > issuer.notAfterMs)
    throw usageError(
      `the CA expires before a certificate of ${days} days would; use a smaller --days or renew the CA`,
    );

  process.stdout.write("[*] Generating certificate...\n");
  let certificate: Certificate | undefined;
  await updateCaIndex(caIndexFile(caKeyFile), async (records) => {
    if (!args.has("new-key")) refuseLiveName(records, profile, notBeforeMs);
    const issued = decodeCertificate(
      issueCertificate({
        issuer,
        issuerKey,
        subjectSpki: spki,
        profile,
        notBeforeMs,
        notAfterMs,
        random: systemRandom,
      }),
    );
    certificate = issued;
    writeNewFiles(
      [
        { path: files.key, content: keyPem, mode: 0o600 },
        { path: files.cert, content: formatPem("CERTIFICATE", issued.der), mode: 0o644 },
      ],
      args.has("force"),
    );
    return [...records, recordOf(issued, profile)];
  });
  if (certificate === undefined) throw usageError("nothing was issued");
  process.stdout.write("[+] Certificate issued successfully!\n");
  printCertificate(certificate, files.cert, files.key);
  return exitCodes.done;
}

function readProfile(args: Arguments): CertificateProfile {
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

/** Two keys under one name look like an impostor to everybody else, so the operator has to mean it. */
function refuseLiveName(records: readonly IssuedRecord[], profile: CertificateProfile, nowMs: number): void {
  const name = profile.kind === "user" ? profile.username : profile.commonName;
  const live = records.find(
    (record) =>
      record.kind === profile.kind &&
      record.revoked === null &&
      record.not_after > nowMs &&
      (record.name === name || (profile.kind === "user" && record.email === profile.email)),
  );
  if (live === undefined) return;
  const who = live.email === "" ? live.name : `${live.name} <${live.email}>`;
  throw new CliError(
    exitCodes.refused,
    `${who} has a live certificate under another key (serial ${live.serial}, until ${new Date(live.not_after).toISOString().slice(0, 10)}); use --new-key to issue one more`,
  );
}

function recordOf(certificate: Certificate, profile: CertificateProfile): IssuedRecord {
  return {
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    kind: profile.kind,
    name: profile.kind === "user" ? profile.username : profile.commonName,
    email: profile.kind === "user" ? profile.email : "",
    key: encodeHex(sha256(certificate.publicKey.spki)),
    not_before: certificate.notBeforeMs,
    not_after: certificate.notAfterMs,
    issued_at: certificate.notBeforeMs,
    revoked: null,
  };
}
