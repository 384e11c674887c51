import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { runToEnd, selfCommand } from "./childProcess.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { DemoOrganisation, demoScript } from "./demoOrganisation.ts";

/** `securechat demo`: the whole of it, in separate processes over loopback, told to somebody who sees it first. */
export async function demo(args: Arguments): Promise<number> {
  if (args.positionals.length > 0) throw usageError('demo takes no arguments; see "securechat demo --help"');
  const root = demoFolder(args.text("keep"));
  const started = performance.now();
  say(
    `SecureChat demo. Every command below runs as a process of its own, in a folder of its own under ${root}\n`,
  );

  say("\n1. An organisation founds a CA and issues three certificates: a server's, alice's and bob's.\n");
  say("2. The server starts: it stores and forwards, and can't read. alice and bob register and talk.\n");
  // Somebody else makes a CA with the same names at the same time; what it is for is told in step 6.
  const impostor = new DemoOrganisation(join(root, "impostor"), () => {});
  const forgery = impostor.found().then(() => impostor.talk());
  forgery.catch(() => {}); // awaited below; an earlier failure of the other one is what gets reported
  const organisation = new DemoOrganisation(root, (folder, line) => say(`   ${folder}$ ${line}\n`));
  await organisation.found();
  const talk = await organisation.talk();
  for (const { from, text } of demoScript) say(`      ${from.padEnd(5)} > ${text}\n`);

  say("\n3. What each side holds now.\n");
  check(
    "both transcripts are the same file, byte for byte",
    sameFile(talk.alice, talk.bob, "transcript.jsonl"),
  );
  check(
    "the words are nowhere in the server's folder or log",
    !serverKnowsWords(organisation.folder("server"), talk.serverLog),
  );
  check(`alice's receipt is signed by her and countersigned by the server: ${files(talk.alice)}`, true);

  say(
    "\n4. An auditor gets alice's evidence folder, one sentence that she disclosed, and the CA certificate; no key, no server.\n",
  );
  const auditor = join(root, "auditor");
  mkdirSync(auditor);
  cpSync(talk.alice, join(auditor, "evidence"), { recursive: true });
  cpSync(talk.disclosure, join(auditor, "disclosed.json"));
  cpSync(join(organisation.folder("org"), "certs/ca_cert.pem"), join(auditor, "ca_cert.pem"));
  const genuine = await verify(auditor, ["evidence", "--disclosure", "disclosed.json"]);
  say(genuine.stdout.replace(/^/gm, "      ").trimEnd());
  say("\n");
  check("the evidence is valid, and it was bob who said that sentence", genuine.exitCode === exitCodes.done);
  await checkWithOpenssl(auditor);

  say("\n5. One byte of the transcript is changed in a copy.\n");
  cpSync(join(auditor, "evidence"), join(auditor, "tampered"), { recursive: true });
  changeOneByte(join(auditor, "tampered/transcript.jsonl"));
  const tampered = await verify(auditor, ["tampered"]);
  say(findings(tampered.stdout));
  check("the tampered copy is refused", tampered.exitCode === exitCodes.refused);

  say(
    "\n6. Somebody with a CA of their own made the same people say the same words, complete with receipts.\n",
  );
  cpSync((await forgery).alice, join(auditor, "forged"), { recursive: true });
  const forged = await verify(auditor, ["forged"]);
  say(findings(forged.stdout));
  check("the forged folder is refused: it hangs on another CA", forged.exitCode === exitCodes.refused);

  say(
    `\nDone in ${((performance.now() - started) / 1000).toFixed(1)} s. The evidence is in ${join(auditor, "evidence")}; try:\n`,
  );
  say(
    `   cd ${auditor} && ${selfCommand().join(" ")} verify evidence --disclosure disclosed.json --ca ca_cert.pem\n`,
  );
  return exitCodes.done;
}

function demoFolder(keep: string | undefined): string {
  if (keep === undefined) return mkdtempSync(join(tmpdir(), "securechat-demo-"));
  const folder = resolve(keep);
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length > 0) throw usageError(`${folder} is not empty`);
  return folder;
}

function verify(auditor: string, args: readonly string[]) {
  return runToEnd([...selfCommand(), "verify", ...args, "--ca", "ca_cert.pem"], { folder: auditor });
}

function say(text: string): void {
  process.stdout.write(text);
}

function check(what: string, holds: boolean): void {
  say(`   ${holds ? "✓" : "✗"} ${what}\n`);
  if (!holds) throw new CliError(exitCodes.refused, `the demonstration failed: ${what}`);
}

function files(folder: string): string {
  return readdirSync(folder).sort().join(", ");
}

function findings(report: string): string {
  return report
    .split("\n")
    .filter((line) => /^Verdict:|^ {2}FALSE/.test(line))
    .map((line) => `      ${line.length > 160 ? `${line.slice(0, 159)}…` : line}\n`)
    .join("");
}

function sameFile(a: string, b: string, name: string): boolean {
  return readFileSync(join(a, name)).equals(readFileSync(join(b, name)));
}

function serverKnowsWords(folder: string, log: string): boolean {
  const stored = readdirSync(folder)
    .filter((name) => name.startsWith("securechat.db"))
    .map((name) => readFileSync(join(folder, name)).toString("latin1"));
  if (stored.length === 0) throw new CliError(exitCodes.refused, "the server's database was not found");
  return [...stored, log].some((text) => demoScript.some((line) => text.includes(line.text)));
}

/** In the signed time of the last entry, which nobody would see by eye. */
function changeOneByte(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.lastIndexOf('"ts":') + 5 + 12;
  bytes[at] = bytes[at] === 0x30 ? 0x31 : 0x30;
  writeFileSync(file, bytes);
}

/** The same receipt, judged by a program that has nothing to do with this one. */
async function checkWithOpenssl(auditor: string): Promise<void> {
  const command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "evidence/receipt.p7s"];
  command.push("-content", "evidence/receipt.json", "-CAfile", "ca_cert.pem", "-out", "/dev/null");
  if (Bun.which("openssl") === null) return say("   - openssl is not on this machine, so it was not asked\n");
  say(`   ${basename(auditor)}$ ${command.join(" ")}\n`);
  const done = await runToEnd(command, { folder: auditor });
  check("OpenSSL accepts the receipt too", done.exitCode === 0);
}
