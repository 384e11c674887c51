// OWASP's second choice for Argon2id: 19 MiB, two passes. One cost for every account: how long a login takes must not
// tell them apart.
const options = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

/** @returns a PHC string with a salt of its own; some 60 ms, off the main thread */
export function hashPassword(text: string): Promise<string> {
  return Bun.password.hash(text, options);
}
