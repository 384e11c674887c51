import type { Hex } from "../base/hex.ts";
import { decodeBody } from "../log/bodies.ts";
import type { Entry, EntryKind } from "../log/entry.ts";
import type { Findings } from "./report.ts";

/** That a certificate could not follow a commit. */
interface Unprocessable {
  readonly who: string;
  /** Index of the entry by which it came back. */
  backAt: number | undefined;
}

/**
 * What members say against entries in their acknowledgements. Each is a claim under its author's signature, and no more: an
 * honest client makes it before any other entry that covers what it is about, so one that comes later is called that.
 */
export class Complaints {
  /** By message, then by username: whether it had signed for the message before it said so. */
  readonly #disputes = new Map<number, Map<string, boolean>>();
  /** By certificate, then by commit. */
  readonly #unprocessable = new Map<Hex, Map<number, Unprocessable>>();
  /** Those of a certificate that has not written since. */
  readonly #open = new Map<Hex, Unprocessable[]>();

  /** @param author its username, and the size that this certificate had signed for before this entry */
  note(entry: Entry, index: number, author: { who: string; signedFor: number }): void {
    const body = decodeBody(entry);
    if (body.kind === "message" || body.kind === "membership") {
      // Who writes with keys of the group has them; who rejoins had none.
      const isBack = body.kind === "membership" && body.body.action === "rejoin";
      for (const one of this.#open.get(entry.sender) ?? []) one.backAt = isBack ? index : undefined;
      this.#open.delete(entry.sender);
    }
    if (body.kind !== "acknowledge") return;
    const { who, signedFor } = author;
    for (const disputed of body.body.disputed) {
      const by = this.#disputes.get(disputed) ?? new Map<string, boolean>();
      this.#disputes.set(disputed, by.set(who, (by.get(who) ?? true) && disputed < signedFor));
    }
    for (const commit of body.body.unprocessable) this.#noteCommit(entry.sender, who, commit);
  }

  /** Said twice is said once: there are never more of these than entries for each certificate. */
  #noteCommit(sender: Hex, who: string, commit: number): void {
    const said = this.#unprocessable.get(sender) ?? new Map<number, Unprocessable>();
    if (said.has(commit)) return;
    const claim = { who, backAt: undefined };
    this.#unprocessable.set(sender, said.set(commit, claim));
    const open = this.#open.get(sender);
    if (open === undefined) this.#open.set(sender, [claim]);
    else open.push(claim);
  }

  /** @returns usernames of those who dispute the message */
  disputedBy(index: number): string[] {
    return [...(this.#disputes.get(index)?.keys() ?? [])];
  }

  /** @param entryAt every index that is named has been noted before */
  report(
    file: string,
    entryAt: (index: number) => { readonly who: string; readonly kind: EntryKind } | undefined,
    findings: Findings,
  ): void {
    for (const [index, by] of this.#disputes)
      for (const [who, isLate] of by) {
        const late = isLate ? "; it had signed for it before, and did not say so then" : "";
        const text =
          entryAt(index)?.kind === "message"
            ? `${who} says that it could not open this message, or that it is not what its author committed to${late}`
            : `${who} disputes this entry, which is no message: that means nothing`;
        findings.note("DISPUTED", file, lineOf(index), text);
      }
    for (const said of this.#unprocessable.values())
      for (const [index, { who, backAt }] of said) {
        const entry = entryAt(index);
        const isCommit = entry?.kind === "create" || entry?.kind === "membership";
        const until =
          backAt === undefined ? "" : `; until it came back, in ${lineOf(backAt)}, it could read no messages`;
        const text = isCommit
          ? `${who} says that this change of keys by ${entry.who} is not good for it, or for who comes in by it${until}`
          : `${who} says that it could not apply this entry, which changes no keys: that means nothing`;
        findings.note("UNPROCESSABLE", file, lineOf(index), text);
      }
  }
}

function lineOf(index: number): string {
  return `line ${index + 1}`;
}
