import { existsSync } from "node:fs";
import { visible } from "../base/visible.ts";
import { isoTime, statusOf } from "./authorityFiles.ts";
import { whoIs } from "./authorityIssue.ts";
import { caFiles } from "./caFlags.ts";
import { type IssuedRecord, readCaIndex } from "./caIndex.ts";
import { exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { formatColumns } from "./textTable.ts";

/** `securechat ca list`: all that the index knows, oldest first. */
export function list(args: Arguments): number {
  const { index } = caFiles(args);
  if (!existsSync(index))
    throw usageError(`there is no index ${index}; name the CA's key with --key, the index is beside it`);
  const { certificates } = readCaIndex(index);
  const nowMs = Date.now();
  process.stdout.write(
    args.has("json") ? formatJsonList(certificates, nowMs) : formatTable(certificates, nowMs),
  );
  return exitCodes.done;
}

/** One JSON array, one certificate a line; times in ms since the epoch, as everywhere in our JSON. */
function formatJsonList(certificates: readonly IssuedRecord[], nowMs: number): string {
  const lines = certificates.map((record) =>
    JSON.stringify({
      serial: record.serial,
      name: record.name,
      email: record.email,
      hosts: record.hosts,
      kind: record.kind,
      not_before: record.not_before,
      not_after: record.not_after,
      status: statusOf(record, nowMs),
      revoked: record.revoked,
      fingerprint: record.fingerprint,
    }),
  );
  return `[\n${lines.join(",\n")}\n]\n`;
}

function formatTable(certificates: readonly IssuedRecord[], nowMs: number): string {
  return formatColumns([
    ["SERIAL", "KIND", "VALID FROM", "VALID UNTIL", "STATUS", "NAME"],
    ...certificates.map((record) => [
      record.serial,
      record.kind,
      isoTime(record.not_before).slice(0, 10),
      isoTime(record.not_after).slice(0, 10),
      statusText(record, nowMs),
      visible(whoIs(record)),
    ]),
  ]);
}

/** `live`, `expired`, or `revoked` with the day and the reason. */
export function statusText(record: IssuedRecord, nowMs: number): string {
  const status = statusOf(record, nowMs);
  if (record.revoked === null) return status;
  return `${status} ${isoTime(record.revoked.at).slice(0, 10)} ${record.revoked.reason}`;
}
