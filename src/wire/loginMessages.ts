import {
  base64,
  boolean,
  integer,
  literal,
  nullable,
  object,
  type SchemaType,
  tagged,
  text,
} from "../base/schema.ts";
import { operatorSchema } from "./operatorMessages.ts";

/** The client chooses it, counting up from 1; the answer has it too. */
export const requestId = integer(1, 0xffff_ffff);
export const email = text({ min: 3, max: 254 });
export const username = text({ min: 1, max: 32, pattern: /^[a-z0-9][a-z0-9._-]{0,31}$/ });
const password = text({ min: 1, max: 1024 });

/** Bytes of a ticket: random, and known to its client alone. */
export const ticketBytes = 32;
const ticket = base64({ min: ticketBytes, max: ticketBytes });

const id = requestId;

/** Requests that are allowed before the account is known. */
export const loginRequestSchema = tagged("type", {
  register: object({ type: literal("register"), id, email, username, password }),
  login: object({ type: literal("login"), id, email, password }),
  /** Logs in and puts another password in the place of this one. */
  change_password: object({ type: literal("change_password"), id, email, password, new_password: password }),
  /** Logs in with a certificate that the account's own, over another key, has signed for (see renewal.ts of the log). */
  renew: object({ type: literal("renew"), id, email, password, signature: base64({ min: 1, max: 1024 }) }),
  /** Comes back with the ticket of an earlier answer instead of the password. */
  resume: object({ type: literal("resume"), id, ticket }),
  ping: object({ type: literal("ping"), id }),
});
export type LoginRequest = SchemaType<typeof loginRequestSchema>;

const loginTypes: readonly string[] = ["register", "login", "change_password", "renew", "resume"];

/** @returns whether this is a type of request that is only allowed before the account is known */
export function isLoginType(type: string): type is Exclude<LoginRequest["type"], "ping"> {
  return loginTypes.includes(type);
}

/** The answer to all of them. */
export const authenticatedSchema = object({
  type: literal("authenticated"),
  id,
  username,
  email,
  /** ms since the epoch */
  time: integer(),
  one_time_key_packages: integer(),
  last_resort_key_package: boolean,
  ticket,
  /** `null`: there is none who could be reached. */
  operator: nullable(operatorSchema),
});
