import type { Issued, TestAuthority } from "../pki/testAuthority.ts";
import { RawClient } from "../server/rawClient.ts";
import { TestConversation } from "../server/testConversation.ts";
import { type Person, personOf } from "../server/testServer.ts";

interface Talker {
  readonly person: Person;
  readonly client: RawClient;
}

interface Work {
  readonly author: Talker;
  readonly reader: Talker;
  readonly lines: readonly string[];
}

/** Authors whose lines are signed beforehand, so that what is measured is the server, and a reader for each. */
export class RelayLoad {
  readonly #conversations: readonly Work[];

  private constructor(conversations: readonly Work[]) {
    this.#conversations = conversations;
  }

  /** @param options.ports of several servers the two of a pair take different ones; `each`: posts a conversation */
  static async begin(
    made: { authority: TestAuthority; identity: Issued },
    { ports, pairs, each }: { ports: readonly number[]; pairs: number; each: number },
  ): Promise<RelayLoad> {
    const { authority } = made;
    const connected = async (username: string, port: number): Promise<Talker> => {
      const person = personOf(await authority.issueUser(username), username, `${username}@example.org`);
      const client = await RawClient.connect(port, person, { ca: authority.ca });
      const { email, password } = person;
      await client.expect("authenticated", { type: "register", email, username, password });
      return { person, client };
    };
    const conversations: Work[] = [];
    for (let i = 0; i < pairs; i++) {
      const author = await connected(`author${i}`, ports[i % ports.length] ?? 0);
      const reader = await connected(`reader${i}`, ports[(i + 1) % ports.length] ?? 0);
      const conversation = new TestConversation(made, author.person, reader.person);
      await conversation.post(
        author.client,
        await conversation.create(author.client, author.person, [reader.person]),
      );
      await reader.client.push("pushed");
      const view = { size: 1, root: conversation.rootAt(1) };
      const lines = Array.from({ length: each }, (_, n) =>
        conversation.message(author.person, { seqno: n + 2, view }),
      );
      conversations.push({ author, reader, lines });
    }
    return new RelayLoad(conversations);
  }

  /** Posts everything, and waits until it was pushed. @returns how long each answer took, ms */
  async send(window: number): Promise<number[]> {
    const latencies: number[] = [];
    const send = async ({ author, reader, lines }: Work) => {
      let next = 0;
      const lane = async () => {
        for (let line = lines[next++]; line !== undefined; line = lines[next++]) {
          const startedMs = performance.now();
          await author.client.expect("accepted", { type: "post", line });
          latencies.push(performance.now() - startedMs);
        }
      };
      await Promise.all(Array.from({ length: window }, lane));
      for (let read = 0; read < lines.length; ) read += (await reader.client.push("pushed")).entries.length;
    };
    await Promise.all(this.#conversations.map(send));
    return latencies;
  }

  close(): void {
    for (const { author, reader } of this.#conversations) {
      author.client.close();
      reader.client.close();
    }
  }
}
