import type { Hex } from "../base/hex.ts";

/** Whom a conversation of two is begun with. */
export type Invitee =
  | { readonly kind: "person"; readonly name: string }
  /** The server's, under the certificate that the server of this connection has shown. */
  | { readonly kind: "operator"; readonly name: string; readonly fingerprint: Hex };
