import type { Hex } from "../base/hex.ts";
import { tryLater } from "./refusal.ts";
import type { Services } from "./services.ts";

/**
 * What a person makes the store keep counts, whether the request is refused for something else or not.
 *
 * @throws {Refusal} `TRY_LATER`
 */
export function chargeStorage(
  { storedBytes }: Pick<Services, "storedBytes">,
  { person }: { readonly person: Hex },
  bytes: number,
): void {
  const waitMs = storedBytes.waitMs(person);
  if (waitMs > 0) throw tryLater("you have stored as much as this server takes of one person", waitMs);
  storedBytes.take(person, bytes);
}
