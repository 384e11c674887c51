import { type FSWatcher, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** How often the file is looked at where nothing tells of changes (network drives, containers). */
const pollMs = 10_000;
/** Whoever writes a file does it in several steps: they are looked at together. */
const settleMs = 200;

/**
 * Calls `onChange` after a file was written, replaced or has come back. The folder is watched, not the file: a file that is
 * replaced as a whole, as it should be, is another one after that.
 *
 * @returns ends the watch
 */
export function watchFile(file: string, onChange: () => void): () => void {
  let seen = stampOf(file);
  let settling: Timer | undefined;
  const look = () => {
    const stamp = stampOf(file);
    if (stamp === seen) return;
    seen = stamp;
    if (stamp !== undefined) onChange();
  };
  const soon = () => {
    clearTimeout(settling);
    settling = setTimeout(look, settleMs);
  };
  const watcher = watchFolder(dirname(file), (name) => {
    if (name === null || name === basename(file)) soon();
  });
  const poll = setInterval(look, pollMs);
  return () => {
    watcher?.close();
    clearInterval(poll);
    clearTimeout(settling);
  };
}

/** A folder that can't be watched leaves the poll. */
function watchFolder(folder: string, onEvent: (name: string | null) => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, (_, name) => onEvent(name));
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

/** What changes with every way of writing a file; `undefined` while there is none. */
function stampOf(file: string): string | undefined {
  const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
  return stat && `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}
