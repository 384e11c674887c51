import { describe, expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { CatchUp, type MessageEvent } from "../../src/cli/terminalCatchUp.ts";
import { complete } from "../../src/cli/terminalCompletion.ts";
import { dayOf, daySeparator, linesOfEvent, wrapLines } from "../../src/cli/terminalLines.ts";
import { type ChatStatus, type MemberMark, statusRow } from "../../src/cli/terminalStatus.ts";
import type { Row } from "../../src/cli/terminalText.ts";
import type { ClientEvent } from "../../src/client/clientEvents.ts";

const conversation = encodeHex(new Uint8Array(16));
const noon = new Date(2026, 0, 5, 12, 30).getTime();
const textOf = (row: Row) => row.map(({ text }) => text).join("");

function message(changes: Partial<MessageEvent> = {}): MessageEvent {
  const who = { to: "bob", from: "bob", email: "bob@example.org" };
  return { event: "message", conversation, ...who, seqno: 1, index: 1, at: noon, text: "hello", ...changes };
}

const shown = (event: ClientEvent) => linesOfEvent(event).map(textOf);

describe("linesOfEvent()", () => {
  test("shows others' words with time and address in a quieter tone", () => {
    const [row = []] = linesOfEvent(message());
    expect(textOf(row)).toBe("[bob] seqno=1: hello  12:30 bob@example.org");
    expect(row.at(-1)).toEqual({ text: "  12:30 bob@example.org", style: "quiet" });
  });

  test("says that a conversation has expired, what stays of it and how to go on", () => {
    const about = { event: "expired", conversation, to: "bob", folder: "transcripts/bob" } as const;
    expect(shown({ ...about, keptDays: 30, countersigned: true, unsent: 0 })).toEqual([
      "! the conversation with bob is over: the server keeps conversations for 30 days after their last entry; its evidence stays in transcripts/bob",
      "  /to bob begins a new conversation",
    ]);
    expect(shown({ ...about, keptDays: null, countersigned: false, unsent: 2 })).toEqual([
      "! the conversation with bob is over: the server has deleted it for its age; its evidence stays in transcripts/bob",
      "  The server has not countersigned a receipt over all of it, and can't any more",
      "  /to bob begins a new conversation; 2 messages were not sent: /unsent shows them",
    ]);
  });

  test("names the conversation where it is not one of two", () => {
    expect(shown(message({ to: "team" }))).toEqual(["[bob to team] seqno=1: hello  12:30 bob@example.org"]);
  });

  test("shows own words as they were sent", () => {
    const event = {
      event: "sent",
      conversation,
      to: "bob",
      seqno: 2,
      index: 3,
      at: noon,
      text: "a\nb",
    } as const;
    expect(shown(event)).toEqual([">>> [To bob] seqno=2: a", "  | b"]);
  });

  test("makes every control of a peer visible and marks every further line", () => {
    const text = "a\u001b[2J\u0007\u202eb\r\n[alice] seqno=9: forged\n\u2028x\rc";
    const lines = shown(message({ from: "bob\u001b", email: "b\u0000@x", text }));
    expect(lines).toEqual([
      "[bob\\u{1b} to bob] seqno=1: a\\u{1b}[2J\\u{7}\\u{202e}b",
      "  | [alice] seqno=9: forged",
      "  | \\u{2028}x\\u{d}c  12:30 b\\u{0}@x",
    ]);
  });

  test("tells what was lost from what was ended", () => {
    expect(shown({ event: "closed", code: "QUIT", message: "closed" })).toEqual(["Connection closed"]);
    expect(shown({ event: "closed", code: "CONNECTION_LOST", message: "no\u001b answer" })).toEqual([
      "! Connection lost: no\\u{1b} answer",
    ]);
  });
});

describe("wrapLines()", () => {
  test("keeps a peer's words out of the first column", () => {
    const lines = wrapLines(linesOfEvent(message({ text: "x".repeat(300) })), 40);
    expect(lines.length).toBeGreaterThan(8);
    for (const row of lines.slice(1)) expect(textOf(row)).toStartWith("    ");
  });
});

describe("daySeparator()", () => {
  test("names the day, and dayOf() tells days apart in local time", () => {
    expect(textOf(daySeparator(noon))).toBe("── Monday, 5 January 2026 ──");
    expect(dayOf(new Date(2026, 0, 5, 0, 0).getTime())).toBe(dayOf(new Date(2026, 0, 5, 23, 59).getTime()));
    expect(dayOf(new Date(2026, 0, 6, 0, 0).getTime())).not.toBe(dayOf(noon));
  });
});

describe("CatchUp", () => {
  const many = (count: number, to: string, startAt: number) =>
    Array.from({ length: count }, (_, i) => message({ to, index: i, at: startAt + i, text: `${to} ${i}` }));

  test("shows the newest of several conversations by their times and counts the others", () => {
    const catchUp = new CatchUp({ keepsAll: false });
    for (const event of [...many(300, "bob", 1000), ...many(500, "carol", 0)]) catchUp.add(event);
    expect(catchUp.count).toBe(800);
    const { shown: last, earlier } = catchUp.finish();
    expect(last.map(({ text }) => text)).toEqual(Array.from({ length: 40 }, (_, i) => `bob ${260 + i}`));
    expect(earlier).toEqual(
      expect.arrayContaining([
        { name: "bob", count: 260 },
        { name: "carol", count: 500 },
      ]),
    );
  });

  test("shows a few as they are", () => {
    const catchUp = new CatchUp({ keepsAll: false });
    for (const event of many(40, "bob", 0)) catchUp.add(event);
    expect(catchUp.finish()).toMatchObject({ shown: { length: 40 }, earlier: [] });
  });

  test("drops no word that is kept nowhere else", () => {
    const catchUp = new CatchUp({ keepsAll: true });
    for (const event of many(1000, "bob", 0)) catchUp.add(event);
    expect(catchUp.finish()).toMatchObject({ shown: { length: 1000 }, earlier: [] });
  });
});

describe("statusRow()", () => {
  const mark: MemberMark = { name: "bob", deliveredSize: undefined, signedSize: 5, statementSize: 7 };
  const status: ChatStatus = {
    self: "alice",
    peer: "bob",
    connection: "connected",
    nextAttemptInMs: undefined,
    others: [mark],
    unsent: 0,
    catchingUp: undefined,
  };
  const line = (changes: Partial<ChatStatus>, columns = 100) =>
    textOf(statusRow({ ...status, ...changes }, columns));

  test("says how far the other one has signed, and what was delivered once that is known", () => {
    expect(line({})).toBe("alice to bob · connected · bob has signed for 5 of 7 entries");
    expect(line({ others: [{ ...mark, deliveredSize: 6, signedSize: 7 }] })).toBe(
      "alice to bob · connected · delivered 6 of 7 entries · bob has signed for everything",
    );
  });

  test("counts people in a group", () => {
    const others = [mark, { ...mark, name: "carol", signedSize: 9, deliveredSize: 9 }];
    expect(line({ others })).toBe("alice to bob · connected · delivered to 1 of 2 · signed for by 1 of 2");
  });

  test("says what is wrong or under way", () => {
    expect(line({ connection: "offline", unsent: 2 })).toContain("alice to bob · offline · 2 unsent");
    expect(line({ connection: "offline", nextAttemptInMs: 4100 })).toContain(
      " · offline, trying again in 5 s · ",
    );
    expect(line({ connection: "offline", nextAttemptInMs: -1 })).toContain(" · offline, trying again · ");
    expect(line({ catchingUp: 312 })).toBe("alice to bob · connected · catching up: 312 messages");
    expect(line({ peer: undefined, others: [] })).toBe("alice · connected");
  });

  test("leaves out the least important first on a narrow terminal", () => {
    expect(line({ unsent: 1 }, 40)).toBe("alice to bob · connected · 1 unsent");
    expect(line({ unsent: 1 }, 20)).toBe("alice to bob");
    expect(line({}, 5)).toBe("alice");
  });

  test("makes controls in names visible", () => {
    expect(line({ peer: "b\u001b", others: [] })).toStartWith("alice to b\\u{1b}");
  });
});

describe("complete()", () => {
  const commands = [
    { name: "to", takesNames: true },
    { name: "history", takesNames: false },
    { name: "help", takesNames: false },
  ];
  const vocabulary = { commands, names: ["bob", "bobby", "alice"] };

  test.each([
    ["/t", "/to ", []],
    ["/h", "/h", ["help", "history"]],
    ["/his", "/history ", []],
    ["/to a", "/to alice ", []],
    ["/to b", "/to bob", ["bob", "bobby"]],
    ["/to ", "/to ", ["alice", "bob", "bobby"]],
    ["/history b", "/history b", []],
    ["ask al", "ask alice ", []],
    ["", "", []],
    ["text ", "text ", []],
    ["/x", "/x", []],
  ])("completes %j", (before, result, candidates) => {
    expect(complete(before, vocabulary)).toEqual({ before: result, candidates });
  });
});
