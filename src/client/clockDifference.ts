import { ClientError } from "./clientError.ts";

/** How far the two clocks may be apart before it is told, and how far before the server takes nothing that is signed here. */
const noticeableMs = 2 * 60 * 1000;
const toleratedMs = 5 * 60 * 1000;

/** @returns what to tell somebody whose clock is not the server's; `undefined` when it is near enough */
export function clockWarning(serverMs: number, ownMs: number): string | undefined {
  const differenceMs = ownMs - serverMs;
  if (Math.abs(differenceMs) <= noticeableMs) return undefined;
  const isTolerated = Math.abs(differenceMs) <= toleratedMs;
  const what = `the clock here is ${durationText(Math.abs(differenceMs))} ${differenceMs > 0 ? "ahead of" : "behind"} the server's (${timeText(ownMs)} here, ${timeText(serverMs)} there)`;
  return isTolerated
    ? `${what}; beyond 5 minutes nothing is accepted: set it right`
    : `${what}, so nothing that is signed here is accepted: set it right and connect again; what is typed is kept and sent then`;
}

/** @returns a refusal for the sake of the clock with how far it is off, any other error as it is */
export function withClock(error: ClientError, ownMs: number): ClientError {
  if (error.refusal !== "CLOCK") return error;
  // The detail is the server's to choose.
  const serverMs = /^[0-9]{1,15}$/.test(error.detail) ? Number(error.detail) : undefined;
  const warning = serverMs === undefined ? undefined : clockWarning(serverMs, ownMs);
  if (warning === undefined) return error;
  const { detail } = error;
  return new ClientError("REFUSED", `${warning} (CLOCK)`, { refusal: "CLOCK", detail, cause: error });
}

function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3_600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  const parts = [
    [days, "d"],
    [hours, "h"],
    [minutes, "min"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(Math.max(0, first), first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** A time far out of reach has no text of its own. */
function timeText(ms: number): string {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? String(ms) : at.toISOString().replace(/\.[0-9]+Z$/, "Z");
}
