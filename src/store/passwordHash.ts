import { StoreError } from "./storeError.ts";

// OWASP's second choice for Argon2id: 19 MiB, two passes. One cost for every account: how long a login takes must not
// tell them apart.
const options = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

/** A PHC string of Argon2id: m in KiB, t passes. */
const form = /^\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=1\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$/;
/** The most that a stored hash may cost, ten times and more of what ours do. */
const maxMemoryKib = 256 * 1024;
const maxPasses = 20;

/** @returns a PHC string with a salt of its own; some 60 ms, off the main thread */
export function hashPassword(text: string): Promise<string> {
  return Bun.password.hash(text, options);
}

/**
 * @param hash as it stands in the store: whoever can write there must not be able to have gigabytes hashed
 * @throws {StoreError} `CORRUPT`
 */
export async function verifyPassword(text: string, hash: string): Promise<boolean> {
  const [, memoryKib, passes] = form.exec(hash) ?? [];
  if (!(Number(memoryKib) <= maxMemoryKib && Number(passes) <= maxPasses))
    throw new StoreError("CORRUPT", "a password hash in the store is no Argon2id of a sensible cost");
  try {
    return await Bun.password.verify(text, hash);
  } catch (cause) {
    throw new StoreError("CORRUPT", "a password hash in the store can't be read", { cause });
  }
}
