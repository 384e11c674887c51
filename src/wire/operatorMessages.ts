import { base64, boolean, hex, integer, literal, object, type SchemaType, text } from "../base/schema.ts";

/**
 * How a member reaches the server's operator, who is a member under the server's own certificate and has no account: by
 * name (the first DNS name of the certificate, else its first IP address) and fingerprint.
 */

export const maxKeyPackageBytes = 12 * 1024;

/** The operator whom a server offers after the login. */
export const operatorSchema = object({
  name: text({ min: 1, max: 253, pattern: /^[a-z0-9:][a-z0-9.:_-]*$/ }),
  /** SHA-256 of the server's certificate, DER. */
  fingerprint: hex(32),
});
export type WireOperator = SchemaType<typeof operatorSchema>;

const id = integer(1, 0xffff_ffff);

export const operatorRequests = {
  fetch_operator_key_package: object({ type: literal("fetch_operator_key_package"), id }),
};

export const operatorAnswers = {
  operator_key_package: object({
    type: literal("operator_key_package"),
    id,
    package: base64({ min: 1, max: maxKeyPackageBytes }),
    last_resort: boolean,
  }),
};
