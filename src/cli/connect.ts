import { dirname, join } from "node:path";
import { type Client, openClient } from "../client/client.ts";
import { ClientError, type ClientErrorCode } from "../client/clientError.ts";
import type { ClientEvent } from "../client/clientEvents.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { personOf } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type ChatInput, pipedInput, terminalInput } from "./chatInput.ts";
import { ChatSession } from "./chatSession.ts";
import { type ChatView, JsonView, TextView } from "./chatView.ts";
import { CliError, type ExitCode, exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { type Credential, readCertificates, readCredential } from "./credentialFiles.ts";
import { readFile } from "./files.ts";
import { promptLine } from "./prompt.ts";
import { readSecret } from "./secrets.ts";

/** `securechat connect`: logs in or registers, then chats until the end of input. */
export async function connect(args: Arguments): Promise<number> {
  const isTerminal = process.stdin.isTTY === true && !args.has("json");
  const address = parseAddress(args.positionals);
  const files = await ownFiles(args, isTerminal);
  const credential = await readCredential({ ...files, who: "own" }, args);
  const person = ownPerson(credential, files.cert, args);
  const anchors = readCertificates(args.text("ca") ?? "certs/ca_cert.pem", "CA certificate");
  const crlFile = args.text("crl");
  const waitFor = integerFlag(args, "wait-for", { min: 0, max: 1_000_000, fallback: 0 });
  const timeoutS = integerFlag(args, "timeout", { min: 1, max: 1_000_000, fallback: 0 });
  if (args.has("register") && args.has("login"))
    throw usageError("--register and --login exclude each other");

  let input: ChatInput | undefined;
  const write = (stream: "out" | "err", line: string) => {
    if (input !== undefined) input.write(stream, line);
    else (stream === "out" ? process.stdout : process.stderr).write(`${line}\n`);
  };
  const color = process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  const view: ChatView = args.has("json") ? new JsonView() : new TextView({ color, write });
  let onEvent = (event: ClientEvent) => view.event(event);
  const client = await attempt(() =>
    openClient({
      ...address,
      chain: credential.chain.map(({ der }) => der),
      key: credential.key,
      anchors,
      ...(crlFile === undefined ? {} : { crl: readFile(crlFile, "revocation list") }),
      vaultFile: args.text("vault") ?? vaultBeside(files.key),
      transcriptsFolder: args.text("transcripts") ?? "transcripts",
      history: !args.has("no-history"),
      random: systemRandom,
      now: Date.now,
      onEvent: (event) => onEvent(event),
    }),
  );
  const session = new ChatSession(client, view, { raw: args.has("raw"), waitFor });
  onEvent = (event) => session.note(event);
  try {
    return await withinTimeout(timeoutS, async () => {
      await attempt(() => client.connect());
      await authenticate(client, person, args, isTerminal);
      const to = args.text("to");
      if (to !== undefined) await attempt(() => session.open(to));
      const interrupt = new Promise<never>((_, reject) => {
        const stop = () => reject(new CliError(exitCodes.interrupted, "interrupted"));
        process.once("SIGINT", stop);
        process.once("SIGTERM", stop);
        input = isTerminal ? terminalInput(stop) : pipedInput();
      });
      interrupt.catch(() => {});
      if (input === undefined) throw new Error("no input");
      const outcome = await Promise.race([attempt(() => session.run(input ?? pipedInput())), interrupt]);
      if (!outcome.allSent) return exitCodes.refused;
      return outcome.allCountersigned ? exitCodes.done : exitCodes.incomplete;
    });
  } finally {
    input?.close();
    await client.close();
  }
}

function parseAddress([address = "localhost:5000", ...rest]: readonly string[]): {
  host: string;
  port: number;
} {
  if (rest.length > 0) throw usageError(`unexpected argument "${rest[0]}"`);
  const match = /^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(?::([1-9][0-9]{0,4}))?$/.exec(address);
  const port = Number(match?.[2] ?? "5000");
  if (match?.[1] === undefined || port > 65_535)
    throw usageError(`"${address}" is no address: HOST, HOST:PORT or [IPv6]:PORT`);
  return { host: match[1].replace(/^\[|\]$/g, ""), port };
}

async function ownFiles(args: Arguments, isTerminal: boolean): Promise<{ cert: string; key: string }> {
  const name = args.text("as");
  const cert = args.text("cert");
  const key = args.text("key");
  if (name !== undefined) {
    if (cert !== undefined || key !== undefined)
      throw usageError("--as stands for --cert and --key, use one or the other");
    return { cert: `certs/${name}_cert.pem`, key: `certs/${name}_key.pem` };
  }
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (!isTerminal) throw usageError("name your certificate: --as NAME, or --cert FILE and --key FILE");
  const certificate =
    cert ??
    (await promptLine("Certificate path (default: certs/client_cert.pem): ", "certs/client_cert.pem"));
  const likely = certificate.replace(/_cert\.pem$/, "_key.pem");
  const fallback = likely === certificate ? "certs/client_key.pem" : likely;
  return { cert: certificate, key: key ?? (await promptLine(`Key path (default: ${fallback}): `, fallback)) };
}

/** The certificate says who somebody is; flags that say otherwise are a mistake that the server would refuse. */
function ownPerson(
  { chain }: Credential,
  file: string,
  args: Arguments,
): { username: string; email: string } {
  try {
    const person = personOf(chain[0]);
    const username = args.text("username") ?? person.username;
    const email = args.text("email") ?? person.email;
    if (username !== person.username || email !== person.email)
      throw usageError(
        `certificate ${file} is that of ${person.username} <${person.email}>, not of ${username} <${email}>`,
      );
    return { username, email };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    throw usageError(`certificate ${file}: ${error.message}`, error);
  }
}

function vaultBeside(keyFile: string): string {
  const name = keyFile.replace(/^.*[\\/]/, "").replace(/(?:_key)?\.pem$/, "");
  return join(dirname(keyFile), `${name}_vault.db`);
}

async function authenticate(
  client: Client,
  person: { username: string; email: string },
  args: Arguments,
  isTerminal: boolean,
): Promise<void> {
  let register = args.has("register");
  let { email, username } = person;
  if (isTerminal && !register && !args.has("login")) {
    const answer = (await promptLine("Register or Login? (r/l): ", "l")).toLowerCase();
    if (!/^(r|register|l|login)$/.test(answer)) throw usageError('answer "r" to register or "l" to log in');
    register = answer.startsWith("r");
    email = args.text("email") ?? (await promptLine(`Email (default: ${email}): `, email));
    if (register)
      username = args.text("username") ?? (await promptLine(`Username (default: ${username}): `, username));
  }
  const password = await readSecret({
    args,
    flag: "password-file",
    variable: "SECURECHAT_PASSWORD",
    prompt: "Password",
  });
  await attempt(() =>
    register ? client.register({ email, username, password }) : client.login({ email, password }),
  );
}

/** @throws {CliError} exit code 3 when `run` takes longer */
async function withinTimeout(seconds: number, run: () => Promise<number>): Promise<number> {
  if (seconds === 0) return await run();
  let timer: Timer | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new CliError(exitCodes.incomplete, `not done after ${seconds} s (--timeout)`)),
      seconds * 1000,
    );
  });
  try {
    return await Promise.race([run(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

const exitCodeOf: Partial<Record<ClientErrorCode, ExitCode>> = {
  CONNECT_FAILED: exitCodes.network,
  CONNECTION_LOST: exitCodes.network,
  NOT_CONNECTED: exitCodes.network,
  TIMEOUT: exitCodes.network,
  VAULT_IN_USE: exitCodes.usage,
  VAULT_UNUSABLE: exitCodes.usage,
  VAULT_WRONG_KEY: exitCodes.usage,
  TRANSCRIPT_UNUSABLE: exitCodes.usage,
  NOT_COUNTERSIGNED: exitCodes.incomplete,
};

async function attempt<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const code = error.refusal ?? error.code;
    throw new CliError(exitCodeOf[error.code] ?? exitCodes.refused, `${error.message} (${code})`, {
      cause: error,
    });
  }
}
