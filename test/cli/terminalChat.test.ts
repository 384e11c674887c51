import { describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { type ChatSource, TerminalChat } from "../../src/cli/terminalChat.ts";
import type { TerminalOwner } from "../../src/cli/terminalDevice.ts";
import type { UnsentMessage } from "../../src/cli/terminalFrame.ts";
import { KeyDecoder } from "../../src/cli/terminalKeys.ts";
import { paintWith } from "../../src/cli/terminalTheme.ts";
import type { ClientEvent } from "../../src/client/clientEvents.ts";
import { TerminalModel } from "./terminalModel.ts";

const conversation = encodeHex(new Uint8Array(16));
const status = "alice to bob · connected · bob has signed for 5 of 7 entries";
const prompt = "Message (or 'quit'): ";

function message(text: string, at = Date.now()): ClientEvent {
  const who = { to: "bob", from: "bob", email: "bob@example.org" };
  return { event: "message", conversation, ...who, seqno: 1, index: 1, at, text };
}

const loggedIn = {
  event: "authenticated",
  username: "alice",
  email: "alice@example.org",
  registered: false,
} as const;

/** The display on a model of a terminal instead of a device; keys are handed over as a device does. */
function start(options: { keepsNoHistory?: boolean; rows?: number } = {}) {
  const { keepsNoHistory = false, rows = 24 } = options;
  const model = new TerminalModel(80, rows);
  const decoder = new KeyDecoder();
  let owner: TerminalOwner | undefined;
  const device = {
    columns: 80,
    rows,
    isAway: false,
    write: (text: string) => model.feed(text.replace(/(?<!\r)\n/g, "\r\n")),
    open: (to: TerminalOwner) => {
      owner = to;
    },
    close: () => {
      owner = undefined;
    },
    suspend: () => {},
  };
  const interrupts: number[] = [];
  const chat = new TerminalChat({
    device,
    paint: paintWith({ color: false }),
    prompt,
    keepsNoHistory,
    onInterrupt: () => interrupts.push(1),
  });
  const source = { unsent: [] as UnsentMessage[] };
  const chatSource: ChatSource = {
    status: () => ({
      self: "alice",
      peer: "bob",
      others: [{ name: "bob", deliveredSize: undefined, signedSize: 5, statementSize: 7 }],
      unsent: source.unsent.length,
    }),
    unsentFor: () => source.unsent,
    vocabulary: () => ({ commands: [{ name: "to", takesNames: true }], names: ["bob", "bea"] }),
  };
  return {
    chat,
    model,
    device,
    source,
    interrupts,
    open: () => chat.open(chatSource),
    press: (keys: string) => void owner?.keys([...decoder.push(Buffer.from(keys)), ...decoder.flush()]),
    end: () => owner?.end(),
    /** After what has come was drawn. */
    shown: async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return model.everything;
    },
  };
}

describe("TerminalChat", () => {
  test("prints without a display until it is opened and after it was closed", async () => {
    const { chat, open, press, shown } = start();
    chat.event({ event: "progress", step: "connect" });
    expect(await shown()).toEqual(["[1] Connect to server... ✓"]);
    open();
    press("typed early");
    chat.event(loggedIn);
    expect((await shown()).at(-1)).toBe("Logging in... typed early");
    chat.caughtUp();
    expect((await shown()).slice(-2)).toEqual([status, `${prompt}typed early`]);
    chat.close();
    chat.event({ event: "closed", code: "QUIT", message: "closed" });
    expect((await shown()).slice(1)).toEqual([
      "✓ Login successful: alice",
      "✓ Session key established",
      "Connection closed",
    ]);
  });

  test("separates days, and not the messages of one day", async () => {
    const { chat, shown } = start();
    chat.caughtUp();
    chat.event(message("today"));
    chat.event(message("then", new Date(2024, 1, 29, 12).getTime()));
    chat.event(message("then as well", new Date(2024, 1, 29, 13).getTime()));
    chat.event(message("the day after", new Date(2024, 2, 1, 0).getTime()));
    const rows = await shown();
    expect(rows.map((row) => row.replace(/ {2}.*/, ""))).toEqual([
      "[bob] seqno=1: today",
      "── Thursday, 29 February 2024 ──",
      "[bob] seqno=1: then",
      "[bob] seqno=1: then as well",
      "── Friday, 1 March 2024 ──",
      "[bob] seqno=1: the day after",
    ]);
  });

  test("counts while it catches up, and says what it does not show", async () => {
    const { chat, open, shown } = start();
    open();
    chat.event(loggedIn);
    for (let i = 0; i < 300; i++) chat.event(message(`m${i}`));
    expect(await shown()).toContain("alice to bob · connected · catching up: 300 messages");
    expect((await shown()).some((row) => row.startsWith("[bob]"))).toBe(false);
    chat.caughtUp();
    const rows = await shown();
    expect(rows.filter((row) => row.startsWith("[bob]"))).toHaveLength(40);
    expect(rows).toContain("* 260 earlier messages in the conversation with bob: /history shows them");
    chat.close();
  });

  test("shows every word of a catching-up that is kept nowhere", async () => {
    const { chat, shown } = start({ keepsNoHistory: true });
    chat.event(loggedIn);
    for (let i = 0; i < 300; i++) chat.event(message(`m${i}`));
    chat.caughtUp();
    expect((await shown()).filter((row) => row.startsWith("[bob]"))).toHaveLength(300);
  });

  test("ends a catching-up after a reconnection by itself", async () => {
    const { chat, shown } = start();
    chat.event(loggedIn);
    chat.caughtUp();
    const reason = { code: "CONNECTION_LOST", message: "gone" };
    chat.event({ event: "connection", state: "lost", ...reason });
    chat.event({ event: "connection", state: "retrying", inMs: 1000, ...reason });
    expect(await shown()).toContain("! Connection lost: gone; what you write is kept and sent later");
    chat.event({ event: "connection", state: "back" });
    chat.event(message("after it"));
    expect((await shown()).some((row) => row.includes("after it"))).toBe(false);
    while (!(await shown()).some((row) => row.includes("after it"))) await Bun.sleep(20);
  });

  test("shows messages that can't be sent until they are", async () => {
    const { chat, open, source, press, shown } = start();
    open();
    chat.event(loggedIn);
    const reason = { code: "CONNECTION_LOST", message: "gone" };
    chat.caughtUp();
    chat.event({ event: "connection", state: "lost", ...reason });
    chat.event({ event: "connection", state: "retrying", inMs: 60_000, ...reason });
    source.unsent = [{ to: "bob", text: "waits" }];
    press("x");
    expect((await shown()).slice(-3)).toEqual([
      "... [To bob] waits",
      "alice to bob · offline, trying again in 60 s · 1 unsent",
      `${prompt}x`,
    ]);
    chat.close();
  });

  test("hands lines over in their order, and what was typed before they are read", async () => {
    const { chat, open, press, end } = start();
    open();
    press("one\r");
    press("two\r");
    end();
    const lines: string[] = [];
    for await (const line of chat.lines) lines.push(line);
    expect(lines).toEqual(["one", "two"]);
    chat.close();
  });

  test("completes and shows what there is to choose from until the next key", async () => {
    const { chat, open, press, shown } = start();
    open();
    chat.caughtUp();
    press("/t\tb\t");
    expect((await shown()).slice(-2)).toEqual([`${prompt}/to b`, "bea  bob"]);
    press("o\t");
    expect((await shown()).at(-1)).toBe(`${prompt}/to bob`);
    chat.close();
  });

  test("needs two Ctrl-C in a row, and one once it is ending", async () => {
    const { chat, open, press, interrupts, shown } = start();
    open();
    press("\u0003");
    press("a");
    press("\u0003");
    expect(interrupts).toEqual([]);
    press("\u0003");
    expect(interrupts).toHaveLength(1);
    press("quit\r");
    for await (const line of chat.lines) if (line === "quit") break;
    expect((await shown()).at(-1)).toStartWith("Ending...");
    press("typed too late\u0003");
    expect(interrupts).toHaveLength(2);
    chat.close();
  });

  test("draws nothing while another program has the terminal, and all of it afterwards", async () => {
    const { chat, open, device, press, shown } = start();
    open();
    chat.caughtUp();
    device.isAway = true;
    chat.event(message("meanwhile"));
    press("x");
    expect((await shown()).some((row) => row.includes("meanwhile"))).toBe(false);
    device.isAway = false;
    press("y");
    expect((await shown()).at(-1)).toBe(`${prompt}xy`);
    expect((await shown()).some((row) => row.includes("meanwhile"))).toBe(true);
    chat.close();
  });

  test("loses no line when it is closed while its size changes", async () => {
    const { chat, open, device, shown } = start();
    open();
    device.isAway = true;
    chat.event({ event: "warning", code: "CLOCK", message: "said at last" });
    chat.close();
    expect(await shown()).toContain("! said at last");
  });
});
