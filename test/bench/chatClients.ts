import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Hex } from "../../src/base/hex.ts";
import { type Client, openClient } from "../../src/client/client.ts";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { decodePrivateKey } from "../../src/pki/keyFile.ts";
import { parsePem } from "../../src/pki/pem.ts";

/*
 * Clients of chatBench.ts: both members of some conversations, each with a vault and a transcript folder, in one process. Reads
 * {folder, vaults, ports, pairs} as JSON from the first line of its input; each further line {messages, window, perSecond} is one run,
 * answered with one line: what was measured.
 */
interface Setting {
  /** With everybody's certificates and keys. */
  readonly folder: string;
  readonly vaults: string;
  readonly ports: readonly number[];
  readonly pairs: readonly (readonly [string, string])[];
}

interface Run {
  /** In all conversations together. */
  readonly messages: number;
  /** Messages of one author that are not accepted yet. */
  readonly window: number;
  /** In all conversations together; 0: as fast as it goes. */
  readonly perSecond: number;
}

interface Author {
  readonly client: Client;
  readonly conversation: Hex;
}

useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
/** What is on its way: its text, to the time at which it was handed to the client. */
const sentMs = new Map<string, number>();
let latencies: number[] = [];
let onArrival = () => {};

function pem(file: string): Uint8Array {
  const [der = new Uint8Array(0)] = parsePem(readFileSync(file, "utf8"), "CERTIFICATE");
  return der;
}

async function join({ folder, vaults }: Setting, name: string, port: number): Promise<Client> {
  const certs = `${folder}/${name}/certs`;
  const client = await openClient({
    host: "localhost",
    port,
    chain: [pem(`${certs}/${name}_cert.pem`)],
    key: await decodePrivateKey(readFileSync(`${certs}/${name}_key.pem`, "utf8")),
    anchors: [decodeCertificate(pem(`${certs}/ca_cert.pem`))],
    vaultFile: `${vaults}/${name}_vault.db`,
    transcriptsFolder: `${vaults}/${name}`,
    history: true,
    random: systemRandom,
    now: Date.now,
    onEvent: (event) => {
      if (event.event === "error" || (event.event === "closed" && event.code !== "QUIT"))
        throw new Error(JSON.stringify(event));
      if (event.event !== "message") return;
      const startedMs = sentMs.get(event.text);
      if (startedMs === undefined) return;
      sentMs.delete(event.text);
      latencies.push(performance.now() - startedMs);
      onArrival();
    },
  });
  await client.connect();
  await client.register({ email: `${name}@example.org`, username: name, password: `password of ${name}` });
  return client;
}

async function open(setting: Setting): Promise<Author[]> {
  const { ports, pairs } = setting;
  const authors: Author[] = [];
  for (const [i, [a, b]] of pairs.entries()) {
    const one = await join(setting, a, ports[i % ports.length] ?? 0);
    const other = await join(setting, b, ports[(i + 1) % ports.length] ?? 0);
    const conversation = await one.openDirect(b);
    await other.openDirect(a);
    authors.push({ client: one, conversation }, { client: other, conversation });
  }
  return authors;
}

async function run(authors: readonly Author[], { messages, window, perSecond }: Run) {
  latencies = [];
  const each = Math.ceil(messages / authors.length);
  const total = each * authors.length;
  const arrived = new Promise<void>((resolve) => {
    onArrival = () => {
      if (latencies.length === total) resolve();
    };
  });
  const startedMs = performance.now();
  const gapMs = perSecond === 0 ? 0 : (authors.length * 1000) / perSecond;
  const speak = async ({ client, conversation }: Author, number: number) => {
    let next = 0;
    const lane = async () => {
      for (let n = next++; n < each; n = next++) {
        const dueMs = startedMs + gapMs * (n + number / authors.length);
        const waitMs = dueMs - performance.now();
        if (waitMs > 0) await Bun.sleep(waitMs);
        const text = `${number}.${n} `.padEnd(256, ".");
        sentMs.set(text, performance.now());
        await client.send(conversation, text);
      }
    };
    await Promise.all(Array.from({ length: window }, lane));
  };
  await Promise.all([...authors.map(speak), arrived]);
  sentMs.clear();
  return { seconds: (performance.now() - startedMs) / 1000, latencies };
}

let authors: Author[] | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const request: unknown = JSON.parse(line);
  if (authors === undefined) {
    authors = await open(request as Setting);
    console.log(JSON.stringify({ ready: authors.length }));
  } else console.log(JSON.stringify(await run(authors, request as Run)));
}
for (const { client } of authors ?? []) client.close();
