import type { Hex } from "../../src/base/hex.ts";
import { readEvidenceFolder } from "../../src/cli/evidenceFolder.ts";
import type { ClientEvent, WarningCode } from "../../src/client/clientEvents.ts";
import type { FindingCode, Report } from "../../src/evidence/report.ts";
import { verifyEvidence } from "../../src/evidence/verifyEvidence.ts";
import { type Body, decodeBody } from "../../src/log/bodies.ts";
import type { Entry } from "../../src/log/entry.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import { TestServer } from "../server/testServer.ts";
import { HostileMember } from "./hostileMember.ts";
import { Party } from "./testParty.ts";

const manyTimes = { capacity: 10_000, refillMs: 1 };

export interface TrioEntry {
  readonly index: number;
  readonly who: string;
  readonly entry: Entry;
  readonly body: Body;
}

/** Two honest people with the real client, and mallory, who begins conversations of the three. */
export class Trio {
  readonly server: TestServer;
  readonly alice: Party;
  readonly bob: Party;
  readonly mallory: HostileMember;
  #words = 0;

  private constructor(server: TestServer, alice: Party, bob: Party, mallory: HostileMember) {
    this.server = server;
    this.alice = alice;
    this.bob = bob;
    this.mallory = mallory;
  }

  /** The server's limits are out of the way: what else there is against mallory has to do. */
  static async meet(): Promise<Trio> {
    const limits = {
      ...{ keyPackageTakesPerTarget: manyTimes, conversationCreations: manyTimes, commits: manyTimes },
    };
    const server = await TestServer.create({ limits });
    const alice = new Party(server, await server.person("alice"));
    const bob = new Party(server, await server.person("bob"));
    await Promise.all([alice.register(), bob.register()]);
    return new Trio(server, alice, bob, await HostileMember.register(server, "mallory"));
  }

  async dispose(): Promise<void> {
    for (const party of this.honest) await party.dispose();
    await this.server.dispose();
  }

  get conversation(): Hex {
    return this.mallory.conversation;
  }

  get honest(): readonly [Party, Party] {
    return [this.alice, this.bob];
  }

  /** A new conversation, in which all three are. */
  async begin(): Promise<void> {
    const { type } = await this.mallory.begin(this.honest);
    if (type !== "accepted") throw new Error(`the create was answered with ${type}`);
    for (const party of this.honest) await party.until(() => this.of(party, "membership").length > 0);
  }

  /** What a client has told about this conversation. */
  of<T extends ClientEvent["event"]>(party: Party, type: T) {
    return party
      .of(type)
      .filter((event) => "conversation" in event && event.conversation === this.conversation);
  }

  /** Those of them who are to have noticed have been warned so often. */
  async warned(code: WarningCode, times = 1, names: readonly string[] = ["alice", "bob"]): Promise<void> {
    for (const party of this.honest.filter(({ person }) => names.includes(person.username)))
      await party.until(() => this.of(party, "warning").filter((one) => one.code === code).length >= times);
  }

  /** Both of them have taken these changes in, each so often. */
  async changed(changes: readonly string[], times = 1): Promise<void> {
    for (const party of this.honest)
      for (const change of changes)
        await party.until(() => {
          const seen = this.of(party, "membership").filter(
            ({ action, by }) => `${action} by ${by}` === change,
          );
          return seen.length >= times;
        });
  }

  /** Both honest members write and read each other, and hold the same log afterwards. */
  async talk(): Promise<void> {
    const { alice, bob, conversation } = this;
    for (const [from, to] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const text = `word ${this.#words++}`;
      await from.client.send(conversation, text);
      await to.until(() => to.texts.includes(text));
    }
    await alice.until(() => alice.transcript(conversation) === bob.transcript(conversation));
  }

  entries(): TrioEntry[] {
    const names = new Map<Hex, string>();
    for (const { person } of [...this.honest, this.mallory])
      names.set(person.certificate.fingerprint, person.username);
    return this.alice
      .transcript(this.conversation)
      .trimEnd()
      .split("\n")
      .map((line) => {
        const { entry, index } = parseTranscriptLine(line);
        return { index, who: names.get(entry.sender) ?? "", entry, body: decodeBody(entry) };
      });
  }

  /** What somebody's first entry that covers `index` says about it. */
  firstWordOn(index: number, who: string): string {
    const first = this.entries().find((one) => one.who === who && one.entry.view.size > index);
    if (first?.body.kind !== "acknowledge") return `a ${first?.body.kind}`;
    const { disputed, unprocessable } = first.body.body;
    return disputed.includes(index)
      ? "disputed"
      : unprocessable.includes(index)
        ? "unprocessable"
        : "nothing";
  }

  /** Kinds of commits with their authors, from the second entry on. */
  commits(): string[] {
    return this.entries().flatMap(({ who, body }) =>
      body.kind === "membership" ? [`${body.body.action} by ${who}`] : [],
    );
  }

  /** What `securechat verify` says about alice's folder, with a receipt over all of it and what others disclose. */
  async verify(disclosed: readonly Uint8Array[] = []): Promise<Report> {
    await this.alice.client.receipt(this.conversation);
    const folder = this.alice.folderOf(this.conversation);
    const files = readEvidenceFolder({ folder, certificates: [], disclosures: [] });
    const others = disclosed.map((bytes, i) => ({ name: `disclosure of another ${i}`, bytes }));
    const disclosures = [...files.disclosures, ...others];
    return verifyEvidence({
      ...files,
      disclosures,
      anchors: [this.server.authority.ca],
      crls: [],
      server: undefined,
    });
  }
}

/** @returns `line: text` of the findings of this code, in order */
export function findingsOf({ findings }: Report, code: FindingCode): string[] {
  return findings.filter((one) => one.code === code).map(({ where, message }) => `${where}: ${message}`);
}
