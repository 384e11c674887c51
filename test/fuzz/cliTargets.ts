import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { linesOf } from "../../src/cli/chatInput.ts";
import { CliError } from "../../src/cli/cliError.ts";
import { integerFlag, parseArguments, timeFlag } from "../../src/cli/commandLine.ts";
import { commands, globalFlags } from "../../src/cli/commands.ts";
import { databaseOptions } from "../../src/cli/databaseOptions.ts";
import { readDotEnv } from "../../src/cli/dotEnv.ts";
import { complete } from "../../src/cli/terminalCompletion.ts";
import { type Editor, edit, emptyEditor } from "../../src/cli/terminalEditor.ts";
import { type Key, KeyDecoder } from "../../src/cli/terminalKeys.ts";
import { layOutInput } from "../../src/cli/terminalLayout.ts";
import { PasteGuard } from "../../src/cli/terminalPaste.ts";
import { span } from "../../src/cli/terminalText.ts";
import { Prng } from "./prng.ts";
import { demand, type Outcome, type Target } from "./target.ts";

/*
 * What comes in by the shell, files beside the program, the environment and the keyboard. No message about it may hold a
 * password, and nothing of it may reach the terminal as a control sequence.
 */

const decoder = new TextDecoder();
const secret = "s3cret-w0rd";

/** @returns how it ended; a refusal is one line that doesn't hold the password */
function attemptCli<T>(call: () => T): { readonly value: T } | { readonly refused: Outcome } {
  try {
    return { value: call() };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    demand(!error.message.includes(secret), `a message with the password: ${error.message}`);
    return { refused: error.message };
  }
}

/** Command lines, one argument a line. */
const commandLineTarget: Target = {
  name: "commandLine",
  form: "bytes",
  limitMs: 50,
  maxBytes: 20_000,
  iterations: 4000,
  async makeFixture() {
    const lines = commands.flatMap(({ name, flags }) => [
      [name, ...flags.flatMap((flag) => [`--${flag.name}`, ...(flag.value === undefined ? [] : ["1"])])],
      [name, "--at=2026-11-15T12:00:00Z", "--", "--port", "-"],
    ]);
    return { seeds: lines.map((line) => encodeUtf8(line.join("\n"))), parts: {} };
  },
  async open() {
    return (input) => {
      const argv = decoder.decode(input).split("\n");
      const command = commands.find(({ name }) => name === argv[0]) ?? commands[0];
      if (command === undefined) throw new Error("no commands");
      const flags = [...command.flags, ...globalFlags];
      const parsed = attemptCli(() => parseArguments(argv.slice(1), command.name, flags));
      if ("refused" in parsed) return parsed.refused;
      const { value: args } = parsed;
      for (const name of args.flags)
        demand(
          flags.some((flag) => flag.name === name),
          `the unknown flag ${name}`,
        );
      demand(args.positionals.length < argv.length, "more arguments than there were");
      const ends = args.flags.map((name) => {
        const limits = { min: 0, max: 65_535, fallback: 0 };
        const number = attemptCli(() => integerFlag(args, name, limits));
        if ("value" in number)
          demand(number.value >= 0 && number.value <= 65_535, "a number beyond its limits");
        const time = attemptCli(() => timeFlag(args, name));
        if ("value" in time) demand(Number.isFinite(time.value ?? 0), "a time that is none");
        return "value" in number ? "number" : "value" in time ? "time" : "text";
      });
      return `accepted ${[...new Set(ends)].sort().join(" ")}`;
    };
  },
};

/** A `.env` file. */
const dotEnvTarget: Target = {
  name: "dotEnv",
  form: "bytes",
  limitMs: 100,
  maxBytes: 20_000,
  iterations: 600,
  async makeFixture() {
    const texts = [
      `# comment\nDB_HOST=localhost\nexport DB_PASSWORD=${secret}\n`,
      `DB_PASSWORD='${secret} # "'\r\nDB_NAME="a\\n\\"b\\\\" # comment\r\n`,
      `\ufeffDATABASE_URL=postgresql://u:${secret}@h/d\n\n  DB_PORT = 5432  \n`,
      `DB_PASSWORD="${secret}\nDB_PASSWORD=${secret}'x\n=${secret}`,
    ];
    return { seeds: texts.map(encodeUtf8), parts: {} };
  },
  async open() {
    return (input) => {
      const folder = mkdtempSync(joinPath(tmpdir(), "securechat-env-"));
      try {
        const file = joinPath(folder, ".env");
        writeFileSync(file, input);
        const read = attemptCli(() => readDotEnv(file));
        if ("refused" in read) return read.refused.replace(folder, "");
        for (const name of read.value.keys())
          demand(/^[A-Za-z_][A-Za-z0-9_]*$/.test(name), "a name that is none");
        return `accepted ${Math.min(read.value.size, 3)}`;
      } finally {
        rmSync(folder, { recursive: true });
      }
    };
  },
};

/** `--db`, the environment and `.env`, one `NAME=value` a line; `--db=` for the flag, `.NAME=` for the file. */
const databaseTarget: Target = {
  name: "databaseOptions",
  form: "bytes",
  limitMs: 50,
  maxBytes: 20_000,
  iterations: 4000,
  async makeFixture() {
    const texts = [
      `--db=postgresql://u@h:5433/d?sslmode=require\nDB_PASSWORD=${secret}`,
      `--db=postgresql://u:${secret}@h/d`,
      "--db=chat.db",
      `DATABASE_URL=postgres://u:${secret}@[::1]:1/d?sslrootcert=%2Fca.pem`,
      `DB_HOST=db.example.org\nDB_PORT=5432\nDB_NAME=n\nDB_USER=u\nDB_PASSWORD=${secret}\nDB_SSLMODE=verify-ca`,
      `DB_HOST=/run/postgresql\n.DB_NAME=n\n.DB_USER=u\n.DB_PASSWORD=${secret}`,
      `DATABASE_URL=postgresql://u:${secret}%zz@h/d`,
      `DATABASE_URL=postgresql://u:${secret}/d`,
    ];
    return { seeds: texts.map(encodeUtf8), parts: {} };
  },
  async open() {
    return (input) => {
      const given = new Map(
        decoder
          .decode(input)
          .split("\n")
          .map((line): [string, string] => [line.split("=")[0] ?? "", line.slice(line.indexOf("=") + 1)]),
      );
      const flag = given.get("--db");
      const read = attemptCli(() =>
        databaseOptions(
          flag,
          (name) => given.get(name),
          (name) => given.get(`.${name}`),
        ),
      );
      if ("refused" in read) return read.refused;
      const { value } = read;
      if (value.kind === "sqlite") return "accepted a file";
      const { password, host, port, user, database } = value.address;
      const isSecret =
        password !== undefined &&
        ![host, String(port), user, database].some((part) => part.includes(password));
      demand(!isSecret || !value.name.includes(password), "a name with the password");
      demand(value.address.port >= 1 && value.address.port <= 65_535, "a port that is none");
      return `accepted ${value.address.sslMode}`;
    };
  },
};

const maxKeys = 500;
const maxText = 20_000;
const vocabulary = { commands: [{ name: "to", takesNames: true }], names: ["alice", "bob"] };

/** Bytes from a keyboard, or whatever is pasted into one. */
const terminalTarget: Target = {
  name: "terminalInput",
  form: "bytes",
  // A key may take time that grows with the text, so there is an end to both; a square of the text is noticed.
  limitMs: 300,
  maxBytes: 20_000,
  iterations: 800,
  async makeFixture() {
    const texts = [
      "hello wörld 👩‍👩‍👧‍👦 \u0301e\r",
      "\u001b[A\u001b[B\u001b[1;5C\u001b[3~\u001bOH\u001b\u001b[D\u001b[27;2;13~\u001b[13;2u",
      "\u001b[200~pasted\r\nlines \u001b]0;owned\u0007\u001b[2J\u001b[201~\r",
      "\u001b]52;c;AAAA\u0007\u001bP+q\u001b\\\u001b_x\u001b\\\u0012old\u0013\u0003\u0004\u0015\u0017\u0019\u001by",
      // Words by blanks and by letters, and their completion, behind what is one word, no word, or line ends only.
      ...["x", "-", " ", "\n"].map(
        (unit) => `\u001b[200~${unit.repeat(9_000)}\u001b[201~.\u001bb\u0005\u0017\u0019\t`,
      ),
      "first\u000bsecond\u0019\u001bb\u001bf\u001bd\u0014\u007f\u0008\u0001\u0005\t\u001b[Z\u001a",
    ];
    return { seeds: texts.map(encodeUtf8), parts: {} };
  },
  async open() {
    return (input) => {
      const whole = new KeyDecoder();
      const keys = [...whole.push(input), ...whole.flush()];
      const cut = new KeyDecoder();
      const prng = new Prng(input.length);
      const inPieces: Key[] = [];
      for (let at = 0; at < input.length; ) {
        const end = Math.min(input.length, at + 1 + prng.below(5));
        inPieces.push(...cut.push(input.subarray(at, end)));
        at = end;
      }
      inPieces.push(...cut.flush());
      // How much of an endless sequence is swallowed depends on its pieces.
      if (input.length <= 256)
        demand(written(inPieces) === written(keys), "other keys when they come in pieces");
      let editor: Editor = emptyEditor;
      const guard = new PasteGuard();
      for (const key of guard.judge(keys.slice(0, maxKeys), 1_000)) {
        if (editor.buffer.before.length + editor.buffer.after.length > maxText) break;
        if (key.kind === "press" && key.name === "tab") complete(editor.buffer.before, vocabulary);
        editor = edit(editor, key).editor;
      }
      for (const columns of [1, 2, 7, 80]) {
        const prompt = [span("Message (or 'quit'): ")];
        const { rows, cursor } = layOutInput({ prompt, ...editor.buffer, columns, maxRows: 24 });
        demand(rows.length >= 1 && rows.length <= 24, `${rows.length} rows`);
        demand(cursor.row >= 0 && cursor.row < rows.length && cursor.column >= 0, "a cursor outside");
        for (const { text } of rows.flat())
          demand(!/[\u0000-\u001f\u007f-\u009f]/.test(text), "a control character on the screen");
      }
      const kinds = new Set(keys.map((key) => (key.kind === "press" ? key.name : key.kind)));
      return `accepted ${[...kinds].sort().slice(0, 4).join(" ")}`;
    };
  },
};

/** Texts that come in pieces are as many keys. */
function written(keys: readonly Key[]): string {
  return keys
    .map((key) => (key.kind === "text" ? key.text : `<${key.kind === "press" ? key.name : key.text}>`))
    .join("");
}

/** Lines on a standard input that is no terminal. */
const pipedTarget: Target = {
  name: "pipedInput",
  form: "bytes",
  limitMs: 100,
  maxBytes: 300_000,
  iterations: 800,
  async makeFixture() {
    const texts = [
      "one\ntwo\r\n\nlast",
      "\ufefffirst\n\ufeffsecond\n",
      "x".repeat(262_144),
      `${"y".repeat(262_145)}\nz`,
    ];
    return { seeds: [...texts.map(encodeUtf8), Uint8Array.of(0x61, 0xff, 0x0a, 0x62)], parts: {} };
  },
  async open() {
    return async (input) => {
      const prng = new Prng(input.length);
      async function* pieces() {
        for (let at = 0; at < input.length; ) {
          const end = Math.min(input.length, at + 1 + prng.below(4_096));
          yield input.subarray(at, end);
          at = end;
        }
      }
      let lines = 0;
      let refusals = 0;
      for await (const line of linesOf(pieces())) {
        lines += 1;
        if (typeof line !== "string") refusals += 1;
        else demand(!line.includes("\n") && line.length <= 262_144, "a line that is more than one");
      }
      const feeds = input.filter((byte) => byte === 10).length;
      demand(lines === feeds || lines === feeds + 1, `${lines} lines of ${feeds} ends`);
      return refusals > 0 ? "some refused" : "accepted";
    };
  },
};

export const cliTargets: readonly Target[] = [
  commandLineTarget,
  dotEnvTarget,
  databaseTarget,
  terminalTarget,
  pipedTarget,
];
