import { Refusal } from "./refusal.ts";

/** Shortest password, in Unicode code points. */
const minPasswordLength = 8;

/** @param names what everybody knows of the account @throws {Refusal} `WEAK_PASSWORD` */
export function checkPassword(password: string, names: readonly string[]): void {
  if ([...password].length < minPasswordLength)
    throw new Refusal("WEAK_PASSWORD", `a password has at least ${minPasswordLength} characters`);
  if (names.some((name) => name.toLowerCase() === password.toLowerCase()))
    throw new Refusal("WEAK_PASSWORD", "the password must not be the username or email");
}
