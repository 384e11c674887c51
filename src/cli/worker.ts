/** Says to a server that it is a worker, and which one. */
export const workerVariable = "SECURECHAT_WORKER";

/** @returns the number of this worker; `undefined` in a server that stands alone */
export function workerNumber(): string | undefined {
  const value = process.env[workerVariable];
  return value !== undefined && /^[1-9][0-9]{0,2}$/.test(value) ? value : undefined;
}
