import { equalBytes } from "../base/bytes.ts";
import { visible } from "../base/visible.ts";
import { type OperatorClient, openOperatorClient } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { ClientEvent } from "../client/clientEvents.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { RunningServer } from "../server/server.ts";
import type { ServerLog } from "../server/serverLog.ts";
import { type ChatFront, chooseFront } from "./chatFront.ts";
import type { ChatInput, InputLine } from "./chatInput.ts";
import { ChatSession } from "./chatSession.ts";
import { CliError, usageError } from "./cliError.ts";
import { attempt } from "./clientFailure.ts";
import type { Arguments } from "./commandLine.ts";
import { vaultBeside } from "./connectIdentity.ts";
import { readFile } from "./files.ts";
import { operatorCommands } from "./operatorCommands.ts";
import { isForeground } from "./terminalForeground.ts";
import { keyboard } from "./terminalKeyboard.ts";

/** Whether a server has its operator at it: `if possible` is what a terminal alone asks for. */
export type OperatorWish = "required" | "if possible" | "none";

const flagsOfOperator = ["json", "vault", "transcripts", "no-history"];

/** @throws {CliError} exit code 2 */
export function operatorWish(args: Arguments): OperatorWish {
  if (args.has("operator") && args.has("no-operator"))
    throw usageError("--operator and --no-operator exclude each other");
  if (args.has("operator")) return "required";
  const isThere = process.stdin.isTTY === true && process.stdout.isTTY === true && isForeground();
  const wish = args.has("no-operator") || !isThere ? "none" : "if possible";
  const flag = flagsOfOperator.find((name) => args.has(name));
  if (flag !== undefined && wish === "none") throw usageError(`--${flag} has no meaning without --operator`);
  return wish;
}

/** What the server signs with: its chain as it is sent, leaf first, DER. */
interface Identity {
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

export interface ConsoleOptions {
  readonly args: Arguments;
  readonly anchors: readonly Certificate[];
  readonly crlFile: string | undefined;
  readonly keyFile: string;
  /** The operator wants the server to end at once. */
  readonly onInterrupt: () => void;
}

/**
 * The server's operator at a terminal or a pipe: a member's client inside of the server's process, with the screen of
 * `connect`, where the server's log lines stand among the messages.
 */
export class OperatorConsole {
  readonly #options: ConsoleOptions;
  readonly #front: ChatFront;
  readonly #isTyped: boolean;
  #session: ChatSession | undefined;
  #identity: Identity | undefined;

  constructor(options: ConsoleOptions) {
    const { args, onInterrupt } = options;
    this.#options = options;
    this.#isTyped = process.stdin.isTTY === true && !args.has("json");
    this.#front = chooseFront({
      json: args.has("json"),
      raw: false,
      prompt: "Operator (@NAME text, or 'quit'): ",
      keepsNoHistory: args.has("no-history"),
      onInterrupt,
    });
  }

  /** Shows a line of the server's log, as long as there is somewhere to show it. */
  notice(line: string): void {
    if (!this.#front.isGone()) this.#front.notice(line);
  }

  /**
   * Opens the operator's vault, attaches it to the server and takes the terminal.
   *
   * @param isRequired otherwise the server does without an operator that can't come, and says so
   * @returns whether the operator is there
   * @throws {CliError}
   */
  async open(
    server: RunningServer,
    identity: Identity,
    { log, isRequired }: { log: ServerLog; isRequired: boolean },
  ): Promise<boolean> {
    try {
      const client = await attempt(() => this.#client(server, identity));
      this.#session = new ChatSession(client, this.#front.view, {
        raw: false,
        commands: operatorCommands(() => server.online()),
        takesAddresses: true,
        waitFor: 0,
        endsWhenCutOff: false,
      });
      this.#front.open(this.#session);
      await attempt(() => client.attach());
      this.#front.caughtUp();
      return true;
    } catch (error) {
      this.close();
      this.#session = undefined;
      if (isRequired || !(error instanceof CliError)) throw error;
      log("WARNING", `No operator at this terminal: ${visible(error.message)}`);
      return false;
    }
  }

  /**
   * Resolves when the operator has ended the server; the receipts are made by then. The end of a pipe ends nothing, and
   * when the terminal goes away, the operator goes and the server stays.
   */
  async run(): Promise<void> {
    const { input } = this.#front;
    await this.#session?.run({ lines: this.#lines(input.lines), close: () => input.close() });
  }

  /** The server, whose operator goes on with every certificate that the server goes on with. */
  renewing(server: RunningServer, log: ServerLog): Pick<RunningServer, "replaceCrl" | "replaceIdentity"> {
    return {
      replaceCrl: (file) => server.replaceCrl(file),
      replaceIdentity: async (identity) => {
        await server.replaceIdentity(identity);
        await this.#renew(server, identity, log);
      },
    };
  }

  /** Gives the terminal back. What was not sent waits in the vault. */
  close(): void {
    this.#front.close();
    keyboard.release();
    this.#session?.client.close();
  }

  async *#lines(lines: ChatInput["lines"]): AsyncGenerator<InputLine> {
    yield* lines;
    if (this.#isTyped && !this.#front.isGone()) return;
    if (this.#isTyped) this.close();
    await new Promise<never>(() => {});
  }

  async #renew(server: RunningServer, next: Identity, log: ServerLog): Promise<void> {
    const current = this.#identity;
    if (this.#session === undefined || current === undefined || isSame(current, next)) return;
    if (!equalBytes(current.key.spki, next.key.spki)) {
      log(
        "WARNING",
        "The operator goes on under the earlier certificate: its vault opens with the earlier key only. Start the server again with another --vault",
      );
      return;
    }
    try {
      await this.#session.exchange(async () => {
        const client = await this.#client(server, next);
        await client.attach();
        return client;
      });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      log("ERROR", `The operator could not go on under the new certificate: ${visible(error.message)}`);
    }
  }

  async #client(server: RunningServer, identity: Identity): Promise<OperatorClient> {
    const { args, anchors, crlFile, keyFile } = this.#options;
    const client = await openOperatorClient({
      ...identity,
      anchors,
      ...(crlFile === undefined ? {} : { crl: readFile(crlFile, "revocation list") }),
      vaultFile: args.text("vault") ?? vaultBeside(keyFile),
      transcriptsFolder: args.text("transcripts") ?? "transcripts",
      history: !args.has("no-history"),
      random: systemRandom,
      now: Date.now,
      attach: () => server.attachOperator(),
      onEvent: (event) => this.#note(event),
    });
    this.#identity = identity;
    return client;
  }

  #note(event: ClientEvent): void {
    // Own doing: at the end, or when a client gives way to one under a renewed certificate.
    if (event.event === "closed" && event.code === "QUIT") return;
    if (this.#session === undefined) this.#front.view.event(event);
    else this.#session.note(event);
  }
}

function isSame(a: Identity, b: Identity): boolean {
  return equalBytes(a.chain[0] ?? new Uint8Array(0), b.chain[0] ?? new Uint8Array(0));
}
