import { useCryptoProvider } from "../src/crypto/crypto.ts";
import { native } from "../src/crypto/native.ts";
import { noble } from "../src/crypto/noble.ts";

// The whole suite runs under either provider: `SECURECHAT_CRYPTO=noble bun test`.
useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
