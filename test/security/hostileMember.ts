import { encodeUtf8 } from "../../src/base/bytes.ts";
import type { Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { createGroup, exportChains, inspectState } from "../../src/group/conversationGroup.ts";
import { messageKey, nextChain, sealMessage } from "../../src/group/ratchet.ts";
import { encodeCreateBody } from "../../src/log/bodies.ts";
import { nextSeqno } from "../../src/log/conversationLog.ts";
import {
  associatedData,
  computeCommitment,
  formatEntry,
  signEntry,
  type UnsignedEntry,
} from "../../src/log/entry.ts";
import { compareRows } from "../../src/log/roster.ts";
import type { Credential } from "../scenario/serverHere.ts";
import type { RawClient } from "../server/rawClient.ts";
import { rowOf, TestConversation, upload } from "../server/testConversation.ts";
import { type Person, personOf } from "../server/testServer.ts";
import type { HostilePeers } from "./hostilePeers.ts";

/** A member of a conversation with a real client who has all keys and seals what it likes. */
export class HostileMember {
  readonly conversation: TestConversation;
  readonly #person: Person;
  readonly #client: RawClient;
  #chain: Uint8Array;

  private constructor(person: Person, client: RawClient, conversation: TestConversation, chain: Uint8Array) {
    this.#person = person;
    this.#client = client;
    this.conversation = conversation;
    this.#chain = chain;
  }

  /** Opens a direct conversation with somebody who has published key packages. */
  static async begin(
    peers: HostilePeers,
    person: Person,
    client: RawClient,
    victim: { readonly username: string; readonly credential: Credential },
  ): Promise<HostileMember> {
    const { username, credential } = victim;
    const { certificate, key } = credential;
    const email = `${username}@example.org`;
    const issued = { certificate, chain: [certificate.der], key, pkcs8: new Uint8Array(0) };
    const conversation = new TestConversation(peers, person, personOf(issued, username, email));
    const { packages } = await client.expect("key_packages", { type: "fetch_key_packages", username });
    const pending = await createGroup({
      conversation: conversation.id,
      device: person.device,
      keyPackages: packages.map((one) => one.package),
      judge: () => undefined,
      random: systemRandom,
      nowMs: Date.now(),
    });
    const { fingerprint } = certificate;
    const leaf = inspectState(pending.nextState).roster.find(
      (row) => row.identity.fingerprint === fingerprint,
    );
    if (leaf === undefined || pending.welcome === null) throw new Error(`${username} is not in the group`);
    const body = encodeCreateBody({
      kind: "direct",
      title: "",
      server: { name: "localhost", fingerprint: peers.identity.certificate.fingerprint },
      admins: [],
      roster: [rowOf(person), { username, email, fingerprint, device: leaf.device }].sort(compareRows),
      crl: null,
      commit: await upload(client, pending.commit),
      welcome: await upload(client, pending.welcome),
      group: await upload(client, pending.groupInfo),
    });
    await conversation.post(client, conversation.line(person, "create", { ct: body }));
    const { chains } = await exportChains(pending.nextState);
    const chain = chains.get(person.certificate.fingerprint);
    if (chain === undefined) throw new Error("there is no chain");
    return new HostileMember(person, client, conversation, chain);
  }

  /** Posts words that open, under the commitment to them or under the one that is given. @returns the entry's index */
  async say(words: string, commitment?: Hex): Promise<number> {
    const { conversation } = this;
    const { state } = conversation;
    const sender = this.#person.certificate.fingerprint;
    const seqno = nextSeqno(state, sender);
    const [opening, plaintext] = [systemRandom(32), encodeUtf8(words)];
    const unsigned: UnsignedEntry = {
      v: 2,
      conversation: conversation.id,
      sender,
      seqno,
      ts: Date.now(),
      kind: "message",
      view: { size: state.size, root: state.root },
      epoch: state.epoch,
      commitment:
        commitment ?? computeCommitment({ opening, conversation: conversation.id, sender, seqno, plaintext }),
    };
    const ct = sealMessage({
      key: messageKey(this.#chain),
      nonce12: systemRandom(12),
      associatedData: associatedData(unsigned),
      opening32: opening,
      plaintext,
    });
    await conversation.post(this.#client, formatEntry(signEntry(unsigned, ct, this.#person.key)));
    this.#chain = nextChain(this.#chain);
    return state.size;
  }

  /** Takes in the entries that the others have posted since. @returns their lines */
  async follow(count: number): Promise<readonly string[]> {
    const lines: string[] = [];
    while (lines.length < count)
      for (const { line, at } of (await this.#client.push("pushed")).entries) {
        this.conversation.take(line, at);
        lines.push(line);
      }
    return lines;
  }
}
