import type { ClientOptions, MemberOptions, OperatorOptions } from "./clientOptions.ts";
import { defaultTimeouts } from "./connection.ts";
import type { Directory } from "./directory.ts";
import type { Client, OperatorClient } from "./memberClient.ts";
import { openSelf } from "./openSelf.ts";
import { growingDelays } from "./reconnection.ts";
import { innerRoute, networkRoute } from "./route.ts";
import { type Entrance, RunningClient } from "./runningClient.ts";
import { ServerAddresses } from "./serverAddresses.ts";
import { Vault } from "./vault.ts";

export type { ClientEvent } from "./clientEvents.ts";
export type { ClientOptions, OperatorOptions } from "./clientOptions.ts";
export type { Comparison } from "./comparison.ts";
export type { ConversationSummary } from "./conversationSummary.ts";
export type { Login, OldCredential } from "./loginRequest.ts";
export type { Member } from "./member.ts";
export type { Client, MemberClient, OperatorClient } from "./memberClient.ts";
export type { Sent } from "./outbox.ts";
export type { VerifiedReceipt } from "./receipts.ts";
export { growingDelays, type ReconnectPolicy } from "./reconnection.ts";
export type { IndexRange, RememberedMessage } from "./words.ts";

/**
 * Opens the vault and gets ready; nothing is sent.
 *
 * @throws {ClientError} `CERTIFICATE_REFUSED`, `CRL_REFUSED`, `VAULT_IN_USE`, `VAULT_WRONG_KEY`, `VAULT_UNUSABLE`
 */
export async function openClient(options: ClientOptions): Promise<Client> {
  const self = openSelf({ ...options, role: "client" });
  const { host, port, alternatives = [], chain, key, random } = options;
  const { reconnect, password = () => undefined } = options;
  const { connectMs, handshakeMs } = options.timeouts ?? defaultTimeouts;
  const dial = { chain, key, random, connectMs, handshakeMs };
  const addresses = new ServerAddresses({ host, port }, alternatives);
  const routeOf = (directory: Directory) => networkRoute({ ...dial, addresses, directory });
  return openMember(options, { self, reconnect, password, routeOf });
}

/** As `openClient`, for the server's operator. */
export async function openOperatorClient(options: OperatorOptions): Promise<OperatorClient> {
  const self = openSelf({ ...options, role: "server" });
  return openMember(options, {
    self,
    // A server whose store was put back ends all sessions, and goes on.
    reconnect: growingDelays(options.random),
    password: () => undefined,
    routeOf: () => innerRoute(self, options.attach),
  });
}

function openMember(options: MemberOptions, entrance: Entrance): RunningClient {
  const vault = Vault.open({ file: options.vaultFile, key: options.key, random: options.random });
  try {
    return new RunningClient(options, entrance, vault);
  } catch (error) {
    vault.close();
    throw error;
  }
}
