import type { MessageLink } from "../channel/messageLink.ts";
import { type DialOptions, dialServer } from "./channelLink.ts";
import type { ServerLink } from "./connection.ts";
import type { Self } from "./devices.ts";
import { type Directory, primaryServerName } from "./directory.ts";
import type { ServerAddresses } from "./serverAddresses.ts";

/** How a client comes to its server. */
export interface Route {
  /** The name that the server's certificate has to stand for. */
  readonly host: string;
  /** Whether the server has yet to be told whose account this is. */
  readonly needsLogin: boolean;
  /** Of the server that there are. */
  readonly nodes: number;
  /** @throws {ClientError} as `dialServer` */
  open(onStep: DialOptions["onStep"]): Promise<ServerLink>;
  /** The node that was reached can't do anything at the moment: the next time begins with another. @returns whether there is one */
  moveOn(): boolean;
}

/** Over the network, as everybody comes who has an account. */
export function networkRoute(
  options: Omit<DialOptions, "host" | "port" | "verifyServer" | "onStep"> & {
    readonly addresses: ServerAddresses;
    readonly directory: Directory;
  },
): Route {
  const { addresses, directory, ...dial } = options;
  return {
    get host() {
      return addresses.current.host;
    },
    needsLogin: true,
    nodes: addresses.count,
    open: (onStep) =>
      addresses.reach((address) => {
        const verifyServer: DialOptions["verifyServer"] = (chain) =>
          directory.verifyServer(chain, address.host);
        return dialServer({ ...dial, ...address, verifyServer, onStep });
      }),
    moveOn: () => addresses.moveOn(),
  };
}

/**
 * Inside of the server's process, as its operator comes: the server is who the operator is.
 *
 * @param attach gives a link on which the server takes its peer for the operator
 */
export function innerRoute(self: Self, attach: () => MessageLink): Route {
  const { verified: server, chain: serverChain } = self;
  return {
    host: primaryServerName(server),
    needsLogin: false,
    nodes: 1,
    open: async () => ({ link: attach(), server, serverChain }),
    moveOn: () => false,
  };
}
