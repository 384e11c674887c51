import { growingDelays, openClient } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { ClientEvent } from "../client/clientEvents.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { AccountPassword } from "./accountPassword.ts";
import { chatCommands } from "./chatCommands.ts";
import { chooseFront } from "./chatFront.ts";
import { ChatSession } from "./chatSession.ts";
import { JsonView } from "./chatView.ts";
import { CliError, type ExitCode, exitCodes, usageError } from "./cliError.ts";
import { attempt, exitCodeOf } from "./clientFailure.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { ownFiles, ownPerson, vaultBeside } from "./connectIdentity.ts";
import { askForLogin } from "./connectLogin.ts";
import { readCertificates, readCredential } from "./credentialFiles.ts";
import { checkExpiry } from "./expiry.ts";
import { readFile } from "./files.ts";
import { type HostPort, parseHostPort } from "./hostPort.ts";
import { endingSignals, keyboard } from "./terminalKeyboard.ts";

/** With `--acknowledge`: long enough that a lively conversation is not doubled, short enough that nobody waits for it. */
const acknowledgeEveryMs = 3_000;

/** Whoever answers at once needs no other connection. */
const hesitationMs = 500;

/** `securechat connect`: logs in or registers, then chats until the end of input. */
export async function connect(args: Arguments): Promise<number> {
  let isTold = !args.has("json");
  // Whoever reads the events must not have to read standard error too.
  const tell = (error: unknown): void => {
    if (isTold || !(error instanceof CliError)) return;
    isTold = true;
    new JsonView().event(asEvent(error));
  };
  try {
    return await openAndChat(args, tell);
  } catch (error) {
    tell(error);
    throw error;
  }
}

/** @param tell of what ends it, before `closed` is told */
async function openAndChat(args: Arguments, tell: (error: unknown) => void): Promise<number> {
  const isTerminal = process.stdin.isTTY === true && !args.has("json");
  const { first, others } = parseAddresses(args.positionals);
  const files = await ownFiles(args, isTerminal);
  const credential = await readCredential({ ...files, who: "own" }, args);
  const person = ownPerson(credential, files.cert, args);
  const caFile = args.text("ca") ?? "certs/ca_cert.pem";
  const anchors = readCertificates(caFile, "CA certificate");
  checkExpiry({ own: credential.chain, anchors }, { cert: files.cert, ca: caFile }, Date.now());
  const crlFile = args.text("crl");
  const waitFor = integerFlag(args, "wait-for", { min: 0, max: 1_000_000, fallback: 0 });
  const timeoutS = integerFlag(args, "timeout", { min: 1, max: 1_000_000, fallback: 0 });
  if (args.has("register") && args.has("login"))
    throw usageError("--register and --login exclude each other");
  const onlyOne = ["register", "change-password", "renew-from"].filter((flag) => args.has(flag));
  if (onlyOne.length > 1) throw usageError(`--${onlyOne.join(" and --")} exclude each other`);
  const renewFrom = args.text("renew-from");
  const from =
    renewFrom === undefined
      ? undefined
      : await readCredential(
          { cert: `${renewFrom}_cert.pem`, key: `${renewFrom}_key.pem`, who: "old" },
          args,
        );

  const interrupt = Promise.withResolvers<never>();
  interrupt.promise.catch(() => {});
  const stop = () => interrupt.reject(new CliError(exitCodes.interrupted, "interrupted"));
  const front = chooseFront({
    json: args.has("json"),
    raw: args.has("raw"),
    prompt: args.has("raw") ? "Message (Ctrl-D ends): " : "Message (or 'quit'): ",
    keepsNoHistory: args.has("no-history"),
    onInterrupt: stop,
  });
  let onEvent = (event: ClientEvent) => front.view.event(event);
  /** Questions are being answered, for which no server waits long. */
  let isAsking = false;
  const passwords = new AccountPassword(args);
  const client = await attempt(() =>
    openClient({
      ...first,
      alternatives: others,
      chain: credential.chain.map(({ der }) => der),
      key: credential.key,
      anchors,
      ...(crlFile === undefined ? {} : { crl: readFile(crlFile, "revocation list") }),
      vaultFile: args.text("vault") ?? vaultBeside(files.key),
      transcriptsFolder: args.text("transcripts") ?? "transcripts",
      history: !args.has("no-history"),
      ...(args.has("acknowledge") ? { acknowledgeEveryMs } : {}),
      random: systemRandom,
      now: Date.now,
      reconnect: growingDelays(systemRandom),
      password: () => passwords.again(),
      onEvent: (event) => {
        const isOfWaiting = event.event === "progress" || (event.event === "closed" && event.code !== "QUIT");
        if (!(isAsking && isOfWaiting)) onEvent(event);
      },
    }),
  );
  /** The connection is made again when that took its time, so that the answers are not lost on one that is about to end. */
  const ask = async <T>(questions: () => Promise<T>): Promise<T> => {
    isAsking = true;
    const askedMs = performance.now();
    try {
      const answers = await questions();
      await attempt(() => client.connect(performance.now() - askedMs > hesitationMs));
      return answers;
    } finally {
      isAsking = false;
    }
  };
  const session = new ChatSession(client, front.view, {
    raw: args.has("raw"),
    commands: chatCommands,
    takesAddresses: false,
    waitFor,
    endsWhenCutOff: !isTerminal,
  });
  onEvent = (event) => session.note(event);
  const chat = async (): Promise<ExitCode> => {
    await attempt(() => client.connect());
    const loginInput = { person, passwords, from: from && { certificate: from.chain[0], key: from.key } };
    const login = await ask(() => askForLogin(client, loginInput, args, isTerminal));
    for (const signal of endingSignals) process.on(signal, stop);
    front.open(session);
    await attempt(() =>
      login.run(async (questions) => {
        front.pause();
        try {
          return await ask(questions);
        } finally {
          front.open(session);
        }
      }),
    );
    front.caughtUp();
    const to = args.text("to");
    const { operator } = client;
    if (to !== undefined) await attempt(() => session.open(to));
    // Nobody has asked for the operator: when it can't be reached, what comes in is shown all the same.
    else if (operator !== undefined) await session.tryOpen(operator.name);
    const outcome = await attempt(() => session.run(front.input));
    if (outcome.cutOff !== undefined) return exitCodeOf[outcome.cutOff] ?? exitCodes.refused;
    if (!outcome.allSent) return exitCodes.refused;
    return outcome.allCountersigned ? exitCodes.done : exitCodes.incomplete;
  };
  try {
    return await withinTimeout(timeoutS, () => Promise.race([chat(), interrupt.promise]));
  } catch (error) {
    tell(error);
    throw error;
  } finally {
    front.close();
    keyboard.release();
    for (const signal of endingSignals) process.off(signal, stop);
    client.close();
  }
}

/** Several addresses, separated by commas, are nodes of one server. @throws {CliError} exit code 2 */
function parseAddresses([list = "localhost:5000", ...rest]: readonly string[]): {
  first: HostPort;
  others: readonly HostPort[];
} {
  if (rest.length > 0) throw usageError(`unexpected argument "${rest[0]}"`);
  const [first = "", ...others] = list.split(",");
  return { first: parseAddress(first), others: others.map(parseAddress) };
}

function parseAddress(text: string): HostPort {
  const address = parseHostPort(text, 5000);
  if (address === undefined || address.port === 0)
    throw usageError(`"${text}" is no address: HOST, HOST:PORT or [IPv6]:PORT`);
  return address;
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

const codeOfExit: Readonly<Record<ExitCode, string>> = {
  [exitCodes.done]: "DONE",
  [exitCodes.refused]: "REFUSED",
  [exitCodes.usage]: "USAGE",
  [exitCodes.incomplete]: "TIMEOUT",
  [exitCodes.network]: "NETWORK",
  [exitCodes.interrupted]: "INTERRUPTED",
};

function asEvent(error: CliError): ClientEvent {
  const { cause, message, exitCode } = error;
  if (cause instanceof ClientError)
    return { event: "error", code: cause.refusal ?? cause.code, message: cause.message };
  return { event: "error", code: codeOfExit[exitCode], message };
}
