import packageJson from "../../package.json" with { type: "json" };
import { useCryptoProvider } from "../crypto/crypto.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";

/**
 * `--crypto` beats `SECURECHAT_CRYPTO` beats the default, which is `native` where the runtime has it.
 *
 * @throws {CliError} exit code 2 for another name
 */
export async function selectCrypto(args: Arguments): Promise<CryptoProvider> {
  const name = args.text("crypto") ?? (process.env.SECURECHAT_CRYPTO || "native");
  if (name !== "native" && name !== "noble")
    throw usageError(`--crypto must be noble or native, not "${name}"`);
  const { native } = await import("../crypto/native.ts");
  const provider = name === "native" ? native : (await import("../crypto/noble.ts")).noble;
  useCryptoProvider(provider);
  return provider;
}

export function versionText(provider: CryptoProvider): string {
  return `securechat ${packageJson.version} (crypto: ${provider.name}, bun ${Bun.version}, ${process.platform}-${process.arch})`;
}
