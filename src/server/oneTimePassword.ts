// Crockford's base 32: no letter that is read as a digit or as another letter, and no vowel that makes words.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const groups = 4;
const groupLength = 5;

/** How long a one-time password is good, ms. */
export const oneTimePasswordMs = 24 * 3_600_000;

/** @returns 100 random bits as people can dictate them: `x7k2m-9qh4t-0wzvn-c3b8r` */
export function makeOneTimePassword(random: (length: number) => Uint8Array): string {
  // 256 is a multiple of 32, so every symbol is as likely as the others.
  const symbols = [...random(groups * groupLength)].map((byte) => alphabet.charAt(byte % alphabet.length));
  return Array.from({ length: groups }, (_, group) =>
    symbols.slice(group * groupLength, (group + 1) * groupLength).join(""),
  ).join("-");
}
