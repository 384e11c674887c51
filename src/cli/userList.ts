import { jsonLine } from "../base/jsonLine.ts";
import { visible } from "../base/visible.ts";
import type { Account } from "../store/accountStore.ts";
import { isoTime } from "./authorityFiles.ts";
import { formatColumns } from "./textTable.ts";

/** One JSON array, one account a line; times in ms since the epoch, as everywhere in our JSON. */
export function formatUserJson(accounts: readonly Account[]): string {
  const lines = accounts.map((account) =>
    jsonLine({
      username: account.username,
      email: account.email,
      fingerprint: account.certificate?.fingerprint ?? null,
      created_at: account.createdAtMs,
      last_login_at: account.lastLoginAtMs ?? null,
      disabled: account.disabled,
      one_time_until: account.oneTimeUntilMs ?? null,
      allows_new_key: account.allowsNewKey,
      taken_over: account.legacySalt !== undefined,
    }),
  );
  return lines.length === 0 ? "[]\n" : `[\n${lines.join(",\n")}\n]\n`;
}

/** Names and addresses of taken-over accounts are whatever somebody once registered. */
export function formatUserTable(accounts: readonly Account[], nowMs: number): string {
  return formatColumns([
    ["USERNAME", "EMAIL", "STATE", "CREATED", "LAST LOGIN", "CERTIFICATE"],
    ...accounts.map((account) => [
      visible(account.username),
      visible(account.email),
      stateOf(account, nowMs),
      isoTime(account.createdAtMs),
      account.lastLoginAtMs === undefined ? "-" : isoTime(account.lastLoginAtMs),
      account.certificate?.fingerprint ?? "-",
    ]),
  ]);
}

function stateOf({ disabled, oneTimeUntilMs, allowsNewKey, legacySalt }: Account, nowMs: number): string {
  if (disabled) return "disabled";
  if (oneTimeUntilMs !== undefined) {
    if (nowMs >= oneTimeUntilMs) return "one-time password expired";
    return `one-time password until ${isoTime(oneTimeUntilMs)}${allowsNewKey ? ", new key allowed" : ""}`;
  }
  return legacySalt === undefined ? "active" : "taken over";
}
