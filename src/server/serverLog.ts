export type LogLevel = "INFO" | "WARNING" | "ERROR";

/** Where the server's log lines go. Text from peers in them is made visible before; secrets are never in them. */
export type ServerLog = (level: LogLevel, message: string) => void;

/** A message begins with the tag of the worker, if there is one, and that of the session that it is about. */
const tagged = /^(?:\[(WORKER-[0-9]+)\] )?(?:\[([A-Z]+-[0-9]+)\] )?(.*)$/s;

/**
 * @returns `{"time":"2026-11-23T01:20:06.123Z","level":"info","worker":"WORKER-1","session":"SESSION-001","message":"…"}`, `worker` and
 *   `session` only where there is one
 */
export function formatJsonLogLine(atMs: number, level: LogLevel, message: string): string {
  const [, worker, session, text] = tagged.exec(message) ?? [];
  return JSON.stringify({
    time: new Date(atMs).toISOString(),
    level: level.toLowerCase(),
    ...(worker === undefined ? {} : { worker }),
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
