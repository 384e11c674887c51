import { drainMicrotasks } from "bun:jsc";

/** Judge, commit, send: what a post goes through in one turn. What is due after that lets the sockets in first. */
const maxRounds = 3;

let due: (() => void)[] = [];
let isScheduled = false;

/**
 * Calls back when all sockets that had something in this turn of the event loop were read, so that what they ask for is
 * worked on together. What a callback, or a promise that it settles, puts off in the same way follows in the same turn, together
 * again: nothing of others lies between a post, the commit that it waits for and its answer.
 */
export function atEndOfTurn(callback: () => void): void {
  due.push(callback);
  // Also from within a turn, which mostly leaves nothing to do then: whoever makes the event loop go round inside of one of its
  // callbacks (as bun:test's `expect().rejects` does) would otherwise wait for what waits for the end of this very turn.
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(runTurn);
}

/** Whether somebody waits for the end of this turn. */
export function isTurnAwaited(): boolean {
  return due.length > 0;
}

function runTurn(): void {
  isScheduled = false;
  for (let round = 0; round < maxRounds && due.length > 0; round++) {
    const callbacks = due;
    due = [];
    for (const callback of callbacks) runSafely(callback);
    drainMicrotasks();
  }
}

/** The others go on; an error becomes an uncaught one, as it would in a turn of its own. */
function runSafely(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}
