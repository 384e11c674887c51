#!/usr/bin/env bun
import { main } from "../src/cli/main.ts";

/** What could not be written is lost to whoever wanted it, whatever the command came to. */
let isLost = false;

// Whoever read the output has gone (`securechat … | head`): nothing is left to be done for, and nothing to be said to.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(1);
    // A terminal that went away. Its keyboard and a signal have said so too: a chat ends by that, a server goes on.
    if (error.code === "EIO") return;
    // The disk is full, or the like. It may pass: a server and a chat go on.
    process.exitCode ||= 1;
    if (!isLost && stream === process.stdout)
      process.stderr.write(`securechat: can't write to standard output: ${error.message}\n`);
    isLost = true;
  });

const exitCode = await main(process.argv.slice(2));
process.exitCode = exitCode === 0 && isLost ? 1 : exitCode;
