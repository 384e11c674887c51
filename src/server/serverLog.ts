export type LogLevel = "INFO" | "WARNING" | "ERROR";

/** Where the server's log lines go. Text from peers in them is made visible before; secrets are never in them. */
export type ServerLog = (level: LogLevel, message: string) => void;

/** @returns `2026-11-23 01:20:06,123 [INFO] message`, in the local time zone */
export function formatLogLine(atMs: number, level: LogLevel, message: string): string {
  const at = new Date(atMs);
  const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())},${pad(at.getMilliseconds(), 3)}`;
  return `${day} ${time} [${level}] ${message}`;
}
