import { base64, integer, list, literal, object, oneOf, type SchemaType } from "../base/schema.ts";

/** The one protocol version of this specification; any other is refused. */
export const protocolVersion = 2;

/** Bytes of an ML-KEM-768 encapsulation key and ciphertext (FIPS 203 §8). */
const mlKem768PublicKeyBytes = 1184;
const mlKem768CiphertextBytes = 1088;

/** Leaf, issuing CAs and root; inclusive. */
export const maxChainCertificates = 4;
/** Of one certificate of a chain in DER, inclusive; the frame limit of the handshake is met by all of them together. */
export const maxChainCertificateBytes = 4096;

const exactly = (bytes: number) => base64({ min: bytes, max: bytes });

/** A certificate chain, leaf first, each in DER. */
export const certificateChain = list(base64({ min: 1, max: maxChainCertificateBytes }), maxChainCertificates);

export const helloSchema = object({
  type: literal("hello"),
  version: integer(0, 0xffff),
  nonce: exactly(32),
  x25519: exactly(32),
  mlkem768: exactly(mlKem768PublicKeyBytes),
});
export type Hello = SchemaType<typeof helloSchema>;

export const serverHelloSchema = object({
  type: literal("server_hello"),
  version: integer(0, 0xffff),
  nonce: exactly(32),
  x25519: exactly(32),
  mlkem768: exactly(mlKem768CiphertextBytes),
});
export type ServerHello = SchemaType<typeof serverHelloSchema>;

/**
 * The message in which a side proves who it is, as it grows: the signature covers the text with the chain alone, the MAC
 * the text with chain and signature.
 */
const authenticationForms = <const T extends string>(name: T) => {
  const type = literal(name);
  const chain = certificateChain;
  const signature = base64({ min: 1, max: 1024 });
  return {
    type: name,
    unsigned: object({ type, chain }),
    signed: object({ type, chain, signature }),
    complete: object({ type, chain, signature, mac: exactly(32) }),
  };
};
export type AuthenticationForms<T extends string> = ReturnType<typeof authenticationForms<T>>;

export const serverAuthForms = authenticationForms("server_auth");
export const serverAuthSchema = serverAuthForms.complete;
export type ServerAuth = SchemaType<typeof serverAuthSchema>;

export const clientAuthForms = authenticationForms("client_auth");
export const clientAuthSchema = clientAuthForms.complete;
export type ClientAuth = SchemaType<typeof clientAuthSchema>;

export const readySchema = object({ type: literal("ready") });

/** The sender's sending keys change after this record. */
export const keyUpdateSchema = object({ type: literal("key_update") });

/** Why a channel ends. They never say which of several secrets was wrong. */
export const alertCodes = [
  "close_notify",
  "unexpected_message",
  "decode_error",
  "record_overflow",
  "unsupported_version",
  "handshake_failure",
  "bad_certificate",
  "certificate_expired",
  "certificate_revoked",
  "unknown_ca",
  "decrypt_error",
  "timeout",
  "too_many_connections",
  "replaced",
  "account_disabled",
  "password_reset",
  "shutting_down",
  "internal_error",
] as const;
export type AlertCode = (typeof alertCodes)[number];

/** In clear before keys are agreed, as a record after that; the sender closes behind it. */
export const alertSchema = object({ type: literal("alert"), code: oneOf(alertCodes) });
export type Alert = SchemaType<typeof alertSchema>;
