import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";
import { withExistingStore } from "./openStore.ts";

/**
 * `securechat serve restored begin|end`: says that the store was put back to an older state by other means than `serve
 * backup`, before it is served from, or that nobody is to be waited for any longer, which a running server takes up at once.
 */
export async function serveRestored(operands: readonly string[], args: Arguments): Promise<number> {
  demandFlagsOf("serve restored", ["db"], args);
  const [action, ...others] = operands;
  if ((action !== "begin" && action !== "end") || others.length > 0)
    throw usageError('say "serve restored begin" or "serve restored end"');
  await withExistingStore(args, async ({ restoration }) => {
    if (action === "end") await restoration.end();
    // A server may begin another between the two.
    else while (!(await restoration.begin({ atMs: Date.now(), after: await restoration.current() })));
  });
  process.stdout.write(
    action === "begin"
      ? "Conversations take new entries once all their devices have logged in.\n"
      : "Nobody is waited for any longer.\n",
  );
  return exitCodes.done;
}
