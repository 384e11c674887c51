/**
 * CPU time of one handshake on each side, beside what the same primitives cost by themselves in the same run:
 *
 *   bun test/bench/handshakeBench.ts [rounds]
 *
 * Figures of different machines don't compare; the ratio in the last column does.
 */
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { onReady, onServerAuth, onServerHello, startClient } from "../../src/channel/clientHandshake.ts";
import { onClientAuth, onHello } from "../../src/channel/serverHandshake.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { host, identityOf, type ProviderName, under, world } from "../channel/parties.ts";

const rounds = Number(process.argv[2] ?? 200);

/** Microseconds of CPU, all threads, that one call takes. */
async function cpuMicros<T>(
  calls: number,
  action: (index: number) => T | Promise<T>,
): Promise<{ each: number; results: T[] }> {
  const results: T[] = [];
  const before = process.cpuUsage();
  for (let index = 0; index < calls; index++) results.push(await action(index));
  const { user, system } = process.cpuUsage(before);
  return { each: (user + system) / calls, results };
}

async function handshakes(calls: number): Promise<{ client: number; server: number }> {
  const { ca, alice, server } = await world();
  const [client, host_] = [identityOf(alice), identityOf(server)];
  const verifyServer = ca.verifier("server", { host });
  const verifyClient = ca.verifier("client");
  const at = <T>(list: readonly T[], index: number): T => {
    const item = list[index];
    if (item === undefined) throw new Error("every phase has as many results as the one before");
    return item;
  };
  const hello = await cpuMicros(calls, () =>
    startClient({
      nonce32: systemRandom(32),
      x25519Secret32: systemRandom(32),
      mlKemSeed64: systemRandom(64),
    }),
  );
  const answer = await cpuMicros(calls, (index) => {
    const { payload } = at(hello.results, index);
    return onHello({ payload, nonce32: systemRandom(32), x25519Secret32: systemRandom(32), ...host_ });
  });
  const read = await cpuMicros(calls, async (index) => {
    const [serverHello, serverAuth] = at(answer.results, index).payloads;
    if (serverHello === undefined || serverAuth === undefined)
      throw new Error("the server answers in two payloads");
    const state = await onServerHello(at(hello.results, index).state, serverHello);
    return onServerAuth(state, serverAuth, { ...client, verifyServer });
  });
  const accept = await cpuMicros(calls, (index) =>
    onClientAuth(at(answer.results, index).state, at(read.results, index).payload, { verifyClient }),
  );
  const ready = await cpuMicros(calls, (index) =>
    onReady(at(read.results, index).state, at(accept.results, index).payload),
  );
  return { client: hello.each + read.each + ready.each, server: answer.each + accept.each };
}

/** The public-key operations of each side and nothing else. */
async function primitives(calls: number): Promise<{ client: number; server: number }> {
  const { alice } = await world();
  const { key } = identityOf(alice);
  const { publicKey } = decodeCertificate(alice.der);
  const message = encodeUtf8("as long as what is signed in the handshake, a label and a hash");
  const peerShare = crypto().x25519PublicKey(systemRandom(32));
  const signature = key.sign(message);
  const kem = await crypto().mlKem768Generate(systemRandom(64));
  const encapsulated = await crypto().mlKem768Encapsulate(kem.publicKey);
  if (encapsulated === undefined) throw new Error("a key that was just made is good");
  const common = () => {
    const secret = systemRandom(32);
    crypto().x25519PublicKey(secret);
    crypto().x25519(secret, peerShare);
    key.sign(message);
    publicKey.verify("ecdsa-p256-sha256", message, signature);
  };
  const client = await cpuMicros(calls, async () => {
    common();
    const { secretKey } = await crypto().mlKem768Generate(systemRandom(64));
    await crypto().mlKem768Decapsulate(secretKey, encapsulated.ciphertext);
  });
  const server = await cpuMicros(calls, async () => {
    common();
    await crypto().mlKem768Encapsulate(kem.publicKey);
  });
  return { client: client.each, server: server.each };
}

for (const name of ["native", "noble"] satisfies ProviderName[])
  await under(name, async () => {
    const calls = name === "noble" ? Math.ceil(rounds / 5) : rounds;
    // Once to warm up: the engine compiles, certificates are parsed.
    await handshakes(Math.ceil(calls / 2));
    await primitives(Math.ceil(calls / 2));
    const [whole, bare] = [await handshakes(calls), await primitives(calls)];
    for (const side of ["client", "server"] as const) {
      const [us, baseline] = [whole[side], bare[side]].map(Math.round);
      const ratio = (whole[side] / bare[side]).toFixed(2);
      console.log(
        `${name} ${side}: ${us} µs of CPU per handshake, ${baseline} µs in bare primitives, ratio ${ratio}`,
      );
    }
  });
