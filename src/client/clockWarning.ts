import type { OnEvent } from "./clientEvents.ts";

/** How far the server's clock may be from the own one before it is told. */
const clockWarningMs = 2 * 60 * 1000;

/** @param differenceMs how far the server's clock is ahead; negative when it is behind */
export function warnOfClocks(differenceMs: number, onEvent: OnEvent): void {
  if (Math.abs(differenceMs) <= clockWarningMs) return;
  const seconds = Math.round(Math.abs(differenceMs) / 1000);
  const message = `the server's clock is ${seconds} s ${differenceMs > 0 ? "ahead of" : "behind"} this one; beyond 300 s nothing is accepted`;
  onEvent({ event: "warning", code: "CLOCK", message });
}
