import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { crypto } from "../../src/crypto/crypto.ts";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import type { Issued, TestAuthority } from "../pki/testAuthority.ts";

interface ChildServerOptions {
  readonly authority: TestAuthority;
  readonly identity: Issued;
  readonly address?: PostgresAddress;
  /** Where the profile of its processor time is written when SIGINT ends it. */
  readonly profileFolder?: string;
}

/** Starts a server in a process of its own, under the same provider, on the store in `folder` or that in a database. */
export async function spawnServer(
  folder: string,
  { authority, identity, address, profileFolder }: ChildServerOptions,
): Promise<{ child: Bun.Subprocess<"ignore", "pipe", "inherit">; port: number }> {
  const config = join(folder, "config.json");
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  writeFileSync(
    config,
    JSON.stringify({
      file: join(folder, "securechat.db"),
      address,
      ca: base64(authority.ca.der),
      chain: identity.chain.map(base64),
      pkcs8: base64(identity.pkcs8),
    }),
    { mode: 0o600 },
  );
  const script = new URL("./serveUntilKilled.ts", import.meta.url).pathname;
  const profile = profileFolder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`];
  const child = Bun.spawn([process.execPath, ...profile, script, config], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, SECURECHAT_CRYPTO: crypto().name },
  });
  const { value } = await child.stdout.getReader().read();
  return { child, port: Number(new TextDecoder().decode(value).trim()) };
}
