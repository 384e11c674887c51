import { boolean, hex, integer, literal, object, type SchemaType, text } from "../base/schema.ts";
import { keyPackage } from "./keyPackageForm.ts";

/**
 * How a member reaches the server's operator, who is a member under the server's own certificate and has no account.
 */

const id = integer(1, 0xffff_ffff);

/** The operator, as a server offers it with the login. */
export const operatorSchema = object({
  /** As in a roster: the certificate's first DNS name in lower case, else its first IP address. */
  name: text({ min: 1, max: 253, pattern: /^[a-z0-9:][a-z0-9.:_-]*$/ }),
  /** SHA-256 of the server's certificate, DER. */
  fingerprint: hex(32),
});
export type OfferedOperator = SchemaType<typeof operatorSchema>;

export const operatorRequests = {
  fetch_operator_key_package: object({ type: literal("fetch_operator_key_package"), id }),
};

export const operatorAnswers = {
  operator_key_package: object({
    type: literal("operator_key_package"),
    id,
    package: keyPackage,
    last_resort: boolean,
  }),
};
