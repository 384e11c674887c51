import { describe, expect, test } from "bun:test";
import { decodeJson, encodeJson, SchemaError } from "../../src/base/schema.ts";
import { maxSessionFrameBytes } from "../../src/wire/frame.ts";
import { requestSchema } from "../../src/wire/sessionMessages.ts";

const digest = "ab".repeat(32);

/** A request that is right but for what the test replaces. */
const request = (over: Record<string, unknown> = {}) => ({
  type: "return_entries",
  id: 1,
  conversation: "cd".repeat(16),
  from: 3,
  entries: [{ at: 1, line: "{}" }],
  chains: [["AA=="]],
  checkpoint: { size: 4, root: digest, at: 2, server: digest, sig: "AA==" },
  path: [digest],
  ...over,
});

function isRead(message: unknown): boolean {
  const bytes = new TextEncoder().encode(JSON.stringify(message));
  try {
    const decoded = decodeJson(requestSchema, bytes, maxSessionFrameBytes);
    expect(encodeJson(requestSchema, decoded)).toEqual(bytes);
    return true;
  } catch (error) {
    if (error instanceof SchemaError) return false;
    throw error;
  }
}

describe("return_entries", () => {
  test("is read at its limits", () => {
    expect(isRead(request())).toBe(true);
    expect(isRead(request({ entries: [], chains: [], path: [] }))).toBe(true);
    expect(isRead(request({ path: Array.from({ length: 54 }, () => digest) }))).toBe(true);
    expect(isRead(request({ chains: Array.from({ length: 64 }, () => ["AA=="]) }))).toBe(true);
    expect(isRead(request({ entries: Array.from({ length: 256 }, () => ({ at: 0, line: "{}" })) }))).toBe(
      true,
    );
  });

  test("is refused beyond them, and with fields that are missing, unknown or of another form", () => {
    const { path: _, ...cut } = request();
    const wrong = [
      cut,
      { ...request(), more: 1 },
      request({ path: Array.from({ length: 55 }, () => digest) }),
      request({ path: ["AB".repeat(32)] }),
      request({ chains: Array.from({ length: 65 }, () => ["AA=="]) }),
      request({ entries: Array.from({ length: 257 }, () => ({ at: 0, line: "{}" })) }),
      request({ from: -1 }),
      request({ checkpoint: null }),
      request({ checkpoint: { size: 0, root: digest, at: 2, server: digest, sig: "AA==" } }),
    ];
    expect(wrong.map(isRead)).toEqual(wrong.map(() => false));
  });
});

test("logs_returned has no fields", () => {
  expect(isRead({ type: "logs_returned", id: 7 })).toBe(true);
  expect(isRead({ type: "logs_returned", id: 7, conversation: "cd".repeat(16) })).toBe(false);
});
