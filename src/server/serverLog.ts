export type LogLevel = "INFO" | "WARNING" | "ERROR";

/** Where the server's log lines go. Text from peers in them is made visible before; secrets are never in them. */
export type ServerLog = (level: LogLevel, message: string) => void;

/** A message of a session begins with its tag. */
const tagged = /^\[([A-Z]+-[0-9]+)\] (.*)$/s;

/** @returns `{"time":"2026-11-23T01:20:06.123Z","level":"info","session":"SESSION-001","message":"…"}`, `session` only where there is one */
export function formatJsonLogLine(atMs: number, level: LogLevel, message: string): string {
  const [, session, text] = tagged.exec(message) ?? [];
  return JSON.stringify({
    time: new Date(atMs).toISOString(),
    level: level.toLowerCase(),
    ...(session === undefined ? {} : { session }),
    message: text ?? message,
  });
}

/** @returns `2026-11-23 01:20:06,123 [INFO] message`, in the local time zone */
export function formatLogLine(atMs: number, level: LogLevel, message: string): string {
  const at = new Date(atMs);
  const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())},${pad(at.getMilliseconds(), 3)}`;
  return `${day} ${time} [${level}] ${message}`;
}
