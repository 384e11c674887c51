import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import {
  type AcknowledgeBody,
  type CreateBody,
  encodeAcknowledgeBody,
  encodeCreateBody,
  encodeLeaveBody,
  encodeMembershipBody,
  type MembershipBody,
} from "../../src/log/bodies.ts";
import { type LogContext, type LogState, nextSeqno, verifyEntry } from "../../src/log/conversationLog.ts";
import {
  computeCommitment,
  type Entry,
  type EntryKind,
  signEntry,
  type UnsignedEntry,
} from "../../src/log/entry.ts";
import { emptyRoot } from "../../src/log/merkle.ts";
import { RootHistory } from "../../src/log/rootHistory.ts";
import { compareRows, type RosterRow } from "../../src/log/roster.ts";
import type { TranscriptLine } from "../../src/log/transcript.ts";
import { type Device, startMs } from "./organisation.ts";

export const digest = (name: string): Hex => encodeHex(sha256(encodeUtf8(name)));
export const roster = (...rows: RosterRow[]): RosterRow[] => rows.sort(compareRows);
export const serverName = "chat.example.org";

/** The opening and the ciphertext of a test's messages; a log only sees the length of the latter. */
export const opening = new Uint8Array(32).fill(0x5a);
export const ciphertext = new Uint8Array(28 + 64).fill(0xc7);

const nothingToDispute = encodeAcknowledgeBody({ disputed: [], unprocessable: [] });

export type Overrides = Partial<UnsignedEntry> & { ct?: Uint8Array };

/** A log as its members write it, one honest entry after the other unless a test wants it otherwise. */
export class Conversation {
  readonly id = encodeHex(systemRandom(16));
  readonly lines: TranscriptLine[] = [];
  /** The time of the next entry, ms. */
  now = startMs;
  readonly #roots = new RootHistory();
  readonly #certificateAt: LogContext["certificateAt"];
  #state: LogState | undefined;

  constructor(certificateAt: LogContext["certificateAt"]) {
    this.#certificateAt = certificateAt;
  }

  get state(): LogState {
    if (this.#state === undefined) throw new Error("the log is empty");
    return this.#state;
  }

  get context(): LogContext {
    return { certificateAt: this.#certificateAt, rootAt: (size) => this.#roots.at(size) };
  }

  /** An entry that keeps all rules, but for what the test replaces. It is signed after that. */
  sign(sender: Device, kind: EntryKind, overrides: Overrides = {}): Entry {
    const {
      ct = kind === "message" ? ciphertext : kind === "acknowledge" ? nothingToDispute : encodeLeaveBody(),
      ...others
    } = overrides;
    const seqno = nextSeqno(this.#state, sender.fingerprint);
    const unsigned: UnsignedEntry = {
      v: 2,
      conversation: this.id,
      sender: sender.fingerprint,
      seqno,
      ts: this.now,
      kind,
      view: { size: this.#state?.size ?? 0, root: this.#state?.root ?? emptyRoot },
      epoch: this.#state?.epoch ?? 0,
      commitment: "-",
      ...others,
    };
    const commitment =
      kind === "message" && unsigned.commitment === "-"
        ? this.commit(unsigned, "hello")
        : unsigned.commitment;
    return signEntry({ ...unsigned, commitment }, ct, sender.key);
  }

  commit({ conversation, sender, seqno }: UnsignedEntry, words: string): Hex {
    return computeCommitment({ opening, conversation, sender, seqno, plaintext: encodeUtf8(words) });
  }

  message(sender: Device, overrides: Overrides = {}): Entry {
    return this.sign(sender, "message", overrides);
  }

  acknowledge(sender: Device, body: Partial<AcknowledgeBody> = {}, overrides: Overrides = {}): Entry {
    const ct = encodeAcknowledgeBody({ disputed: [], unprocessable: [], ...body });
    return this.sign(sender, "acknowledge", { ct, ...overrides });
  }

  membership(sender: Device, body: Partial<MembershipBody>, overrides: Overrides = {}): Entry {
    const { admins, roster } = this.state;
    const whole: MembershipBody = {
      action: "update",
      admins,
      roster,
      crl: null,
      commit: digest("commit"),
      welcome: body.action === "add" ? digest("welcome") : null,
      group: digest("group"),
      ...body,
    };
    return this.sign(sender, "membership", { ct: encodeMembershipBody(whole), ...overrides });
  }

  create(sender: Device, server: Device, body: Partial<CreateBody>, overrides: Overrides = {}): Entry {
    const whole: CreateBody = {
      kind: "direct",
      title: "",
      server: { name: serverName, fingerprint: server.fingerprint },
      admins: [],
      roster: [],
      crl: null,
      commit: digest("commit"),
      welcome: digest("welcome"),
      group: digest("group"),
      ...body,
    };
    return this.sign(sender, "create", { ct: encodeCreateBody(whole), ...overrides });
  }

  /** Judges an entry, and leaves the log as it is. */
  judge(entry: Entry, at = this.now, context: Partial<LogContext> = {}): LogState {
    return verifyEntry(this.#state, entry, at, { ...this.context, ...context });
  }

  /** Takes an entry in, a second after the one before. */
  post(entry: Entry, at = this.now): LogState {
    const state = verifyEntry(this.#state, entry, at, this.context);
    this.lines.push({ entry, index: state.size - 1, at });
    this.#roots.append(state.root);
    this.#state = state;
    this.now = at + 1000;
    return state;
  }
}
