import { describe, expect, test } from "bun:test";
import { ClientError } from "../../src/client/clientError.ts";
import { ServerAddresses } from "../../src/client/serverAddresses.ts";

const [one, two, three] = ["one", "two", "three"].map((host) => ({ host, port: 5000 }));

/** @param answers by host: a reason against it; every other one is reached */
function tried(addresses: ServerAddresses, answers: Readonly<Record<string, Error>> = {}) {
  const hosts: string[] = [];
  const reached = addresses.reach(async ({ host }) => {
    hosts.push(host);
    const reason = answers[host];
    if (reason !== undefined) throw reason;
    return host;
  });
  return reached.then(
    (host) => ({ host, hosts }),
    (error: unknown) => ({ error, hosts }),
  );
}

describe("reach()", () => {
  if (one === undefined || two === undefined || three === undefined) throw new Error("no addresses");
  const down = new ClientError("CONNECT_FAILED", "down");

  test("tries the addresses in their order, and next time first the one that it reached", async () => {
    const addresses = new ServerAddresses(one, [two, three]);
    expect(addresses.current).toBe(one);
    expect(await tried(addresses, { one: down })).toEqual({ host: "two", hosts: ["one", "two"] });
    expect(addresses.current).toBe(two);
    expect(await tried(addresses)).toEqual({ host: "two", hosts: ["two"] });
    expect(await tried(addresses, { two: down, three: down })).toEqual({
      host: "one",
      hosts: ["two", "three", "one"],
    });
  });

  test("begins with the one behind it when it was told to move on", async () => {
    const addresses = new ServerAddresses(one, [two, three]);
    expect(addresses.moveOn()).toBe(true);
    expect(await tried(addresses)).toEqual({ host: "two", hosts: ["two"] });
    addresses.moveOn();
    addresses.moveOn();
    expect(await tried(addresses)).toEqual({ host: "one", hosts: ["one"] });
    const alone = new ServerAddresses(one, []);
    expect(alone.moveOn()).toBe(false);
    expect(await tried(alone)).toEqual({ host: "one", hosts: ["one"] });
  });

  test("gives up after each was tried once, with the last reason", async () => {
    const addresses = new ServerAddresses(one, [two]);
    const last = new ClientError("HANDSHAKE_FAILED", "too many connections");
    expect(await tried(addresses, { one: down, two: last })).toEqual({ error: last, hosts: ["one", "two"] });
    expect(addresses.current).toBe(one);
  });

  test("asks no other node when the certificate was refused for good", async () => {
    const addresses = new ServerAddresses(one, [two]);
    const refused = new ClientError("CERTIFICATE_REFUSED", "revoked");
    expect(await tried(addresses, { one: refused })).toEqual({ error: refused, hosts: ["one"] });
  });
});
