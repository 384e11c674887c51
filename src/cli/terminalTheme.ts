import type { Row, Style } from "./terminalText.ts";

/** @returns the row with what its terminal needs to show the styles */
export type PaintRow = (row: Row) => string;

/**
 * SGR codes, on and off. Weights and the palette's red, green and magenta: whoever chose a light or a dark background
 * chose these to be read on it. Blue, yellow, white and grey are not safe on both.
 */
const codes: Record<Exclude<Style, "plain">, readonly [on: number, off: number]> = {
  quiet: [2, 22],
  strong: [1, 22],
  good: [32, 39],
  bad: [31, 39],
  warning: [35, 39],
};

/** @param options.color false: no attribute at all (NO_COLOR, no-color.org) */
export function paintWith({ color }: { color: boolean }): PaintRow {
  return (row) =>
    row
      .map(({ text, style }) => {
        if (!color || style === "plain" || text === "") return text;
        const [on, off] = codes[style];
        return `\u001b[${on}m${text}\u001b[${off}m`;
      })
      .join("");
}

/** @returns whether the environment allows colours on a terminal */
export function wantsColor({ NO_COLOR = "", TERM = "" }: NodeJS.ProcessEnv): boolean {
  return NO_COLOR === "" && TERM !== "dumb" && TERM !== "";
}
