import type { RawClient } from "../server/rawClient.ts";
import { TestConversation } from "../server/testConversation.ts";
import type { Person } from "../server/testServer.ts";
import type { ServerAccess } from "./serverAccess.ts";

/** Two people who talk while others flood the server. */
export class SteadyPair {
  readonly conversation: TestConversation;
  readonly author: Person;
  readonly authorClient: RawClient;
  readonly readerClient: RawClient;

  private constructor(made: {
    conversation: TestConversation;
    author: Person;
    authorClient: RawClient;
    readerClient: RawClient;
  }) {
    this.conversation = made.conversation;
    this.author = made.author;
    this.authorClient = made.authorClient;
    this.readerClient = made.readerClient;
  }

  /** @param numbers of the accounts; @param from the address that both come from */
  static async of(
    server: ServerAccess,
    numbers: readonly [number, number],
    from?: string,
  ): Promise<SteadyPair> {
    const [author, reader] = [server.person(numbers[0]), server.person(numbers[1])];
    const [authorClient, readerClient] = [await server.login(author, from), await server.login(reader, from)];
    const conversation = new TestConversation(server, author, reader);
    await conversation.post(authorClient, await conversation.create(authorClient, author, [reader]));
    await readerClient.push("pushed");
    return new SteadyPair({ conversation, author, authorClient, readerClient });
  }

  /** One message from one to the other. @returns ms from the post to its push, which is after it is durable */
  async exchange(): Promise<number> {
    const line = this.conversation.message(this.author);
    const startedMs = performance.now();
    const posted = this.conversation.post(this.authorClient, line);
    await this.readerClient.push("pushed");
    const tookMs = performance.now() - startedMs;
    await posted;
    return tookMs;
  }
}
