import { maxHandshakeFrameBytes } from "../wire/frame.ts";
import { ChannelError } from "./channelError.ts";
import type { TrafficKeys } from "./keySchedule.ts";
import { contentTypes, openRecord, sealRecord } from "./recordProtection.ts";

/** Number of each record under the handshake keys: the authentication is 0, an alert of the server behind it 1. */
export const recordNumbers = { authentication: 0, serverAlert: 1 } as const;

/** @returns a record with one message of the handshake */
export function sealHandshakeRecord(keys: TrafficKeys, number: number, message: Uint8Array): Uint8Array {
  return sealRecord(keys, number, { contentType: contentTypes.control, content: message });
}

/**
 * @param record a payload that the network controls
 * @returns the message, or `undefined` when these keys don't open it as this number
 * @throws {ChannelError} `RECORD_OVERFLOW`; `UNEXPECTED_MESSAGE` when the peer sends anything but the handshake
 */
export function openHandshakeRecord(
  keys: TrafficKeys,
  number: number,
  record: Uint8Array,
): Uint8Array | undefined {
  if (record.length > maxHandshakeFrameBytes)
    throw new ChannelError(
      "RECORD_OVERFLOW",
      `record of ${record.length} bytes, at most ${maxHandshakeFrameBytes} are allowed in the handshake`,
    );
  const opened = openRecord(keys, number, record);
  if (opened !== undefined && opened.contentType !== contentTypes.control)
    throw new ChannelError("UNEXPECTED_MESSAGE", "the peer sent something else than the handshake");
  return opened?.content;
}

export function badRecord(): ChannelError {
  return new ChannelError(
    "BAD_RECORD",
    "a record of the handshake does not open: altered, out of order, or from elsewhere",
  );
}
