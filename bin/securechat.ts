#!/usr/bin/env bun
import { main } from "../src/cli/main.ts";

// Whoever read the output has gone (`securechat … | head`): nothing is left to be done for, and nothing to be said to.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(1);
    // A terminal that went away. Its keyboard and a signal have said so too: a chat ends by that, a server goes on.
    if (error.code !== "EIO") throw error;
  });

process.exitCode = await main(process.argv.slice(2));
