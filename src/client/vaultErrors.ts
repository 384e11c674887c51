import { ClientError } from "./clientError.ts";

/** Nothing is deleted here: a backup, or somebody who knows SQLite, may bring more of it back. */
export const wayOut =
  "put a backup in its place, or move it away and log in again: that makes this a new device, which reads what comes from then on";

/** What opening a vault failed of. */
export function asVaultError(error: unknown, file: string): ClientError {
  if (error instanceof ClientError) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "SQLITE_BUSY":
      return new ClientError(
        "VAULT_IN_USE",
        `the vault is in use by another process: ${file}, close it or choose another with --vault`,
        { cause: error },
      );
    case "SQLITE_CORRUPT":
    case "SQLITE_NOTADB":
      return damagedVault(file, error);
    default:
      return new ClientError("VAULT_UNUSABLE", `the vault can't be opened: ${file}`, { cause: error });
  }
}

export function damagedVault(file: string, cause: unknown): ClientError {
  return new ClientError("VAULT_UNUSABLE", `the vault is damaged: ${file}; ${wayOut}`, { cause });
}
