import { workerNumber } from "./worker.ts";

/**
 * `stopped` resolves when the server has to stop: on a signal, or when somebody calls `stop`. A second signal while the first is
 * being obeyed ends the process at once, as people expect. A worker also stops when its supervisor is gone: nobody would end
 * it otherwise.
 */
export function stopSignal() {
  const { promise: stopped, resolve: stop, reject: fail } = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop(signal));
  if (workerNumber() !== undefined) {
    process.stdin.once("end", () => stop("the supervisor has ended"));
    process.stdin.once("error", () => stop("the supervisor has ended"));
    process.stdin.resume();
    // Waiting for that end is no reason to stay.
    process.stdin.unref();
  }
  return { stopped, stop, fail };
}
