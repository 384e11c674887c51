import { concatBytes, encodeUtf8, equalBytesConstantTime } from "../base/bytes.ts";
import { encodeJson } from "../base/schema.ts";
import { crypto, type PrivateKey, type PublicKey, type SignatureScheme } from "../crypto/crypto.ts";
import { type Label, labels } from "../crypto/labels.ts";
import { profileSchemeOf } from "../crypto/profileScheme.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { maxHandshakeFrameBytes } from "../wire/frame.ts";
import {
  type AuthenticationForms,
  clientAuthForms,
  maxChainCertificateBytes,
  maxChainCertificates,
  serverAuthForms,
} from "../wire/handshakeMessages.ts";
import { ChannelError } from "./channelError.ts";
import { decodeControlMessage } from "./controlMessage.ts";
import { judgeChain, type VerifyChain } from "./judgeChain.ts";
import { transcriptHash } from "./keySchedule.ts";
import { recordOverheadBytes } from "./recordProtection.ts";
import type { Secret } from "./secret.ts";

export type { VerifyChain } from "./judgeChain.ts";

/** Everything in which the two sides' proofs differ, so that neither can stand for the other. */
interface Role<T extends string> {
  readonly forms: AuthenticationForms<T>;
  readonly signatureLabel: Label;
  /** The purpose for which the side's certificate must be good. */
  readonly purpose: "server" | "client";
}

export const serverRole: Role<"server_auth"> = {
  forms: serverAuthForms,
  signatureLabel: labels.serverSignature,
  purpose: "server",
};

export const clientRole: Role<"client_auth"> = {
  forms: clientAuthForms,
  signatureLabel: labels.clientSignature,
  purpose: "client",
};

/** The certificate and key that a side proves itself with; the leaf first, without the trust anchor or with it. */
export interface OwnIdentity {
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

/** What both the maker and the verifier of a proof have. */
interface Context {
  /** The messages of the handshake so far. */
  readonly before: readonly Uint8Array[];
  /** The key of the MAC. */
  readonly finished: Secret;
}

interface ToVerify {
  /** What the peer sent under its handshake keys. */
  readonly content: Uint8Array;
  readonly verifyChain: VerifyChain;
}

const maxContentBytes = maxHandshakeFrameBytes - recordOverheadBytes;

/**
 * @returns the text of `server_auth` or `client_auth`
 * @throws {ChannelError} `INTERNAL` when the own chain is not one that a peer may be sent
 */
export function makeAuthentication<T extends string>(
  { forms, signatureLabel }: Role<T>,
  { before, identity, finished }: Context & { readonly identity: OwnIdentity },
): Uint8Array {
  const { chain, key } = identity;
  checkOwnChain(chain);
  const unsigned = { type: forms.type, chain };
  const signature = key.sign(
    signedBytes(signatureLabel, transcriptHash(...before, encodeJson(forms.unsigned, unsigned))),
  );
  const signed = { ...unsigned, signature };
  const mac = macOf(finished, transcriptHash(...before, encodeJson(forms.signed, signed)));
  const message = encodeJson(forms.complete, { ...signed, mac });
  if (message.length > maxContentBytes)
    throw new ChannelError(
      "INTERNAL",
      `own certificate chain is too long: the handshake message has ${message.length} bytes, at most ${maxContentBytes} are allowed`,
    );
  return message;
}

/** A peer would call it malformed; this way the fault is named where it lies. */
function checkOwnChain(chain: readonly Uint8Array[]): void {
  const fits = ({ length }: Uint8Array) => length > 0 && length <= maxChainCertificateBytes;
  if (chain.length === 0 || chain.length > maxChainCertificates || !chain.every(fits))
    throw new ChannelError(
      "INTERNAL",
      `own certificate chain has no form to send: 1 to ${maxChainCertificates} certificates of at most ${maxChainCertificateBytes} bytes each`,
    );
}

/**
 * The chain first, then that its key made the signature, then the MAC.
 *
 * @throws {ChannelError} naming the first thing that is wrong; `INTERNAL` when `verifyChain` answers for another
 *   certificate or purpose than it was asked about
 */
export function verifyAuthentication<T extends string>(
  { forms, signatureLabel, purpose }: Role<T>,
  { before, content, finished, verifyChain }: Context & ToVerify,
): VerifiedCertificate {
  const message = decodeControlMessage(forms.type, forms.complete, content);
  const { chain, signature, mac } = message;
  const peer = judgeChain(chain, purpose, verifyChain);

  const unsignedHash = transcriptHash(...before, encodeJson(forms.unsigned, message));
  const { publicKey } = peer.certificate;
  if (!publicKey.verify(schemeOf(publicKey), signedBytes(signatureLabel, unsignedHash), signature))
    throw new ChannelError(
      "BAD_SIGNATURE",
      `the ${purpose}'s signature is not by the key of its certificate`,
    );

  const signedHash = transcriptHash(...before, encodeJson(forms.signed, message));
  const expected = macOf(finished, signedHash);
  const good = equalBytesConstantTime(expected, mac);
  expected.fill(0);
  if (!good) throw new ChannelError("BAD_MAC", `the ${purpose}'s MAC over the handshake is wrong`);
  return peer;
}

/** @throws {ChannelError} `BAD_CERTIFICATE` for a key that has no part in this protocol */
function schemeOf(key: PublicKey): SignatureScheme {
  const scheme = profileSchemeOf(key);
  if (scheme !== undefined) return scheme;
  throw new ChannelError(
    "BAD_CERTIFICATE",
    `the peer's certificate has a ${key.type} key, which has no part in this protocol`,
  );
}

/** label || 0x00 || hash */
function signedBytes(label: Label, hash: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8(label), Uint8Array.of(0), hash);
}

function macOf(finished: Secret, hash: Uint8Array): Uint8Array {
  return crypto().hmac("sha256", finished.bytes, hash);
}
