import { encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { crypto, type PrivateKey, sha256 } from "../../src/crypto/crypto.ts";
import {
  type Body,
  decodeBody,
  encodeAcknowledgeBody,
  encodeCreateBody,
  encodeLeaveBody,
  encodeMembershipBody,
} from "../../src/log/bodies.ts";
import {
  formatCheckpoint,
  parseCheckpoint,
  signCheckpoint,
  verifyCheckpoint,
} from "../../src/log/checkpoint.ts";
import { type LogContext, type LogState, verifyEntry } from "../../src/log/conversationLog.ts";
import {
  associatedData,
  type Entry,
  entryKinds,
  formatEntry,
  parseEntry,
  signEntry,
} from "../../src/log/entry.ts";
import { LogError } from "../../src/log/logError.ts";
import { RootHistory } from "../../src/log/rootHistory.ts";
import {
  formatTranscriptLine,
  maxTranscriptLineBytes,
  parseTranscriptLine,
  readLines,
  type TranscriptLine,
  verifyTranscript,
} from "../../src/log/transcript.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { decodeLogState, encodeLogState } from "../../src/server/logStateRecord.ts";
import { Conversation, roster, serverName } from "../log/conversation.ts";
import { type Device, startMs } from "../log/organisation.ts";
import { createTestAuthority, type Issued } from "../pki/testAuthority.ts";
import { type Fixture, numbered, partOf, partsOf } from "./fixture.ts";
import { Prng } from "./prng.ts";
import { attempt, attemptSync, demand, type Outcome, type Target } from "./target.ts";

const refusals = [LogError];
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const dayMs = 86_400_000;

/** A group's log with every kind of entry, and everybody's certificate and key. */
export interface MadeLog {
  readonly ca: Certificate;
  readonly lines: readonly TranscriptLine[];
  readonly states: readonly LogState[];
  readonly issued: readonly Issued[];
  readonly devices: readonly Device[];
  readonly server: Device;
}

let made: Promise<MadeLog> | undefined;

/** Made once a process. */
export function madeLog(): Promise<MadeLog> {
  made ??= makeLog();
  return made;
}

async function makeLog(): Promise<MadeLog> {
  const authority = await createTestAuthority({ nowMs: startMs });
  const notAfterMs = startMs + 20 * dayMs;
  const people = await Promise.all(
    (["p256", "p256", "ed25519", "rsa2048"] as const).map((keyType, i) =>
      authority.issueUser(["alice", "bob", "carol", "dave"][i] ?? "", undefined, { keyType, notAfterMs }),
    ),
  );
  const servers = await authority.issueServer(serverName, { notAfterMs });
  const issued = [...people, servers];
  const devices = issued.map(deviceOf);
  const [alice, bob, carol, dave, server] = devices;
  if (!alice || !bob || !carol || !dave || !server) throw new Error("five were issued");

  const book = new Map(issued.map(({ certificate }) => [certificate.fingerprint, certificate]));
  const conversation = new Conversation(certificatesFrom(book, authority.ca));
  const states: LogState[] = [];
  const post = (entry: Entry) => void states.push(conversation.post(entry));
  post(
    conversation.create(alice, server, {
      ...{ kind: "group", title: "Fuzz \u{1f9ea}", admins: ["bob"], crl: "17" },
      roster: roster(alice.row(), bob.row(), carol.row()),
    }),
  );
  post(conversation.message(alice));
  post(conversation.message(carol));
  post(conversation.acknowledge(bob, { disputed: [1], unprocessable: [0] }));
  post(
    conversation.membership(bob, {
      action: "add",
      roster: roster(alice.row(), bob.row(), carol.row(), dave.row()),
    }),
  );
  post(conversation.message(dave));
  post(conversation.membership(carol, { action: "update" }));
  post(conversation.sign(carol, "leave"));
  post(
    conversation.membership(alice, { action: "remove", roster: roster(alice.row(), bob.row(), dave.row()) }),
  );
  post(
    conversation.membership(dave, {
      action: "rejoin",
      roster: roster(alice.row(), bob.row(), dave.row("second")),
    }),
  );
  post(conversation.message(dave));
  return { ca: authority.ca, lines: conversation.lines, states, issued, devices, server };
}

function deviceOf({ certificate, key }: Issued): Device {
  const { fingerprint, commonName = "", emails } = certificate;
  return {
    certificate,
    fingerprint,
    key,
    row: (leafKey = "first") => ({
      ...{ username: commonName, email: emails[0] ?? "", fingerprint },
      device: encodeHex(sha256(encodeUtf8(`${fingerprint} ${leafKey}`))),
    }),
  };
}

function certificatesFrom(book: ReadonlyMap<Hex, Certificate>, ca: Certificate): LogContext["certificateAt"] {
  return (fingerprint, atMs) => {
    const leaf = book.get(fingerprint);
    // As on a server and in evidence: whose certificate is not there has no place in the log.
    if (leaf === undefined) throw new LogError("CERTIFICATE_INVALID", `no certificate ${fingerprint}`);
    return verifyPath({ leaf, intermediates: [], anchors: [ca], crls: [], purpose: "evidence", atMs });
  };
}

async function logParts(): Promise<Record<string, Uint8Array>> {
  const { ca, lines, issued } = await madeLog();
  return {
    ca: ca.der,
    ...numbered(
      "line",
      lines.map((line) => encodeUtf8(formatTranscriptLine(line))),
    ),
    ...numbered(
      "certificate",
      issued.map(({ certificate }) => certificate.der),
    ),
    ...numbered(
      "pkcs8",
      issued.map(({ pkcs8 }) => pkcs8),
    ),
  };
}

/** The log of a fixture with its state after each entry. */
class OpenLog {
  readonly lines: readonly TranscriptLine[];
  /** `states[n]` after n entries. */
  readonly states: readonly (LogState | undefined)[];
  readonly context: LogContext;
  readonly keys: ReadonlyMap<Hex, PrivateKey>;
  readonly certificates: ReadonlyMap<Hex, Certificate>;
  readonly ca: Certificate;

  constructor(fixture: Fixture) {
    const certificates = partsOf(fixture, "certificate").map(decodeCertificate);
    const keys = partsOf(fixture, "pkcs8").map((pkcs8) => crypto().importPrivateKey(pkcs8));
    this.certificates = new Map(certificates.map((certificate) => [certificate.fingerprint, certificate]));
    this.keys = new Map(
      keys.flatMap((key, i) => {
        const fingerprint = certificates[i]?.fingerprint;
        return fingerprint === undefined ? [] : [[fingerprint, key] as const];
      }),
    );
    this.ca = decodeCertificate(partOf(fixture, "ca"));
    const roots = new RootHistory();
    this.context = {
      certificateAt: certificatesFrom(this.certificates, this.ca),
      rootAt: (size) => roots.at(size),
    };
    this.lines = partsOf(fixture, "line").map((line) => parseTranscriptLine(decoder.decode(line)));
    const states: (LogState | undefined)[] = [undefined];
    for (const { entry, at } of this.lines) {
      const state = verifyEntry(states.at(-1), entry, at, this.context);
      roots.append(state.root);
      states.push(state);
    }
    this.states = states;
  }

  /** Judges an entry at every place of the log. @returns the places where it may stand */
  placesOf(entry: Entry): { places: { index: number; state: LogState }[]; refused: Outcome } {
    const places: { index: number; state: LogState }[] = [];
    let refused = "";
    for (const [index, before] of this.states.entries()) {
      const at = this.lines[index]?.at ?? (before?.lastAt ?? 0) + 1000;
      const judged = attemptSync(refusals, () => verifyEntry(before, entry, at, this.context));
      if ("value" in judged) places.push({ index, state: judged.value });
      else refused = judged.refused;
    }
    return { places, refused };
  }
}

const sameEntry = (a: Entry, b: Entry) =>
  equalBytes(associatedData(a), associatedData(b)) && equalBytes(a.ct, b.ct);

/** An entry line: as it is, and signed again by whom it names, so that edits reach the rules behind the signature. */
const entryTarget: Target = {
  name: "entry",
  form: "json",
  limitMs: 100,
  maxBytes: 140_000,
  iterations: 2000,
  async makeFixture() {
    const { lines } = await madeLog();
    return { seeds: lines.map(({ entry }) => encodeUtf8(formatEntry(entry))), parts: await logParts() };
  },
  async open(fixture) {
    const log = new OpenLog(fixture);
    return (input) => {
      const line = decoder.decode(input);
      const parsed = attemptSync(refusals, () => parseEntry(line));
      if ("refused" in parsed) return parsed.refused;
      const entry = parsed.value;
      demand(formatEntry(entry) === line, "an entry with two lines");
      const asItIs = log.placesOf(entry);
      for (const { index } of asItIs.places) {
        const honest = log.lines[index]?.entry;
        demand(
          honest !== undefined && sameEntry(entry, honest),
          "an entry that its sender did not sign is taken",
        );
      }
      const key = log.keys.get(entry.sender);
      if (key === undefined) return asItIs.refused;
      const signed = log.placesOf(signEntry(entry, entry.ct, key));
      for (const { index, state } of signed.places) {
        demand(state.size === index + 1, "an entry that does not make the log one longer");
        demand(entry.view.size <= index, "a view of what was not there yet");
        demand(decodeLogState(encodeLogState(state)) !== undefined, "a state that can't be kept");
      }
      return `accepted at ${asItIs.places.length}, signed at ${signed.places.length}: ${signed.refused}`;
    };
  },
};

/** Public bodies, each input as every kind. */
const bodyTarget: Target = {
  name: "body",
  form: "json",
  limitMs: 100,
  maxBytes: 66_000,
  iterations: 4000,
  async makeFixture() {
    const { lines } = await madeLog();
    const bodies = lines.map(({ entry }) => entry).filter(({ kind }) => kind !== "message");
    const many = encodeAcknowledgeBody({
      disputed: Array.from({ length: 9000 }, (_, i) => i),
      unprocessable: [],
    });
    return { seeds: [...bodies.map(({ ct }) => ct), many], parts: {} };
  },
  async open() {
    return (input) =>
      entryKinds
        .map((kind) => {
          const decoded = attemptSync(refusals, () => decodeBody({ kind, ct: input }));
          if ("refused" in decoded) return decoded.refused.slice(0, 60);
          if (decoded.value.kind !== "message")
            demand(equalBytes(encodeBody(decoded.value), input), `a ${kind} body with two texts`);
          return "good";
        })
        .join(" | ");
  },
};

function encodeBody(body: Body): Uint8Array {
  switch (body.kind) {
    case "create":
      return encodeCreateBody(body.body);
    case "membership":
      return encodeMembershipBody(body.body);
    case "acknowledge":
      return encodeAcknowledgeBody(body.body);
    default:
      return encodeLeaveBody();
  }
}

/** A whole `transcript.jsonl`, in pieces. */
const transcriptTarget: Target = {
  name: "transcript",
  form: "jsonLines",
  limitMs: 100,
  maxBytes: 400_000,
  iterations: 600,
  async makeFixture() {
    const { lines } = await madeLog();
    const texts = lines.map((line) => `${formatTranscriptLine(line)}\n`);
    return {
      seeds: [texts.join(""), texts.slice(0, 3).join(""), `${"x".repeat(maxTranscriptLineBytes)}\n`].map(
        encodeUtf8,
      ),
      parts: await logParts(),
    };
  },
  async open(fixture) {
    const log = new OpenLog(fixture);
    return async (input) => {
      const taken: TranscriptLine[] = [];
      const went = await attempt(refusals, () =>
        verifyTranscript(readLines(inPieces(input)), {
          certificateAt: log.context.certificateAt,
          prefixSizes: [1, 3],
          onEntry: (line) => void taken.push(line),
        }),
      );
      // `at` is the server's word, which its checkpoints hold it to; everything else is signed.
      taken.forEach(({ entry, index }, i) => {
        const honest = log.lines[i];
        demand(
          index === i && honest !== undefined && sameEntry(entry, honest.entry),
          "a line that nobody signed is taken",
        );
      });
      if ("refused" in went) return went.refused;
      demand(went.value.sha256 === encodeHex(sha256(input)), "the digest is not that of the file");
      demand(
        taken.map((line) => `${formatTranscriptLine(line)}\n`).join("") === decoder.decode(input),
        "a transcript with two texts",
      );
      return `accepted ${taken.length}`;
    };
  },
};

function* inPieces(input: Uint8Array): Generator<Uint8Array> {
  const prng = new Prng(input.length);
  for (let at = 0; at < input.length; ) {
    const end = at + 1 + prng.below(prng.once(4) ? 10 : 5000);
    yield input.subarray(at, end);
    at = end;
  }
}

const checkpointTarget: Target = {
  name: "checkpoint",
  form: "json",
  limitMs: 100,
  maxBytes: 4096,
  iterations: 4000,
  async makeFixture() {
    const { states, server } = await madeLog();
    const lines = states.map(({ conversation, size, root, lastAt }) =>
      formatCheckpoint(
        signCheckpoint({ conversation, size, root, at: lastAt, server: server.fingerprint }, server.key),
      ),
    );
    return { seeds: lines.map(encodeUtf8), parts: await logParts() };
  },
  async open(fixture) {
    const log = new OpenLog(fixture);
    const server = [...log.certificates.keys()].at(-1);
    const honest = new Set(fixture.seeds.map((seed) => unsigned(decoder.decode(seed))));
    if (server === undefined) throw new Error("the fixture has no server");
    const verified = log.context.certificateAt(server, startMs + dayMs);
    return (input) => {
      const line = decoder.decode(input);
      const parsed = attemptSync(refusals, () => parseCheckpoint(line));
      if ("refused" in parsed) return parsed.refused;
      demand(formatCheckpoint(parsed.value) === line, "a checkpoint with two lines");
      const good = attemptSync(refusals, () => verifyCheckpoint(parsed.value, verified, serverName));
      if ("refused" in good) return good.refused;
      demand(honest.has(unsigned(line)), "a checkpoint that the server did not sign is taken");
      return "accepted";
    };
  },
};

/** A checkpoint line without its signature. */
function unsigned(line: string): string {
  return line.slice(0, line.lastIndexOf(',"sig":'));
}

/** States of logs as the server's store keeps them. */
const logStateTarget: Target = {
  name: "logState",
  form: "json",
  limitMs: 100,
  maxBytes: 200_000,
  iterations: 4000,
  async makeFixture() {
    const { states } = await madeLog();
    return { seeds: states.map(encodeLogState), parts: {} };
  },
  async open() {
    return (input) => {
      const state = decodeLogState(input);
      if (state === undefined) return "not of this version";
      demand(equalBytes(encodeLogState(state), input), "a state with two texts");
      return "accepted";
    };
  },
};

export const logTargets: readonly Target[] = [
  entryTarget,
  bodyTarget,
  transcriptTarget,
  checkpointTarget,
  logStateTarget,
];
