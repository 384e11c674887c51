import { visible } from "../base/visible.ts";

/** One line on stderr about something that goes on nevertheless. */
export function printWarning(message: string): void {
  process.stderr.write(`securechat: warning: ${visible(message)}\n`);
}
