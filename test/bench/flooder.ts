import { encodeHex } from "../../src/base/hex.ts";
import { startClient } from "../../src/channel/clientHandshake.ts";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { ServerAccess } from "../scenario/serverAccess.ts";
import { SteadyPair } from "../scenario/steadyPair.ts";
import type { RawClient, RawSocket } from "../server/rawClient.ts";

/** One flood against a server until it is killed: which one is its argument, where and as whom its standard input. */
useCryptoProvider(native);
const access = ServerAccess.fromJson(await Bun.stdin.text());
/** Unanswered at a time. */
const window = 200;
const [name = ""] = process.argv.slice(2);
const floods: Readonly<Record<string, () => Promise<void>>> = {
  silence,
  hellos,
  churn,
  logins,
  packages,
  posts,
  requests,
  pages,
  blobs,
};
const flood = floods[name];
if (flood === undefined) throw new Error(`no flood ${name}`);
await flood();

function begun(): void {
  process.stdout.write("begun\n");
}

/** Keeps `window` actions running. */
async function forever(action: (number: number) => Promise<unknown>, atOnce = window): Promise<void> {
  let number = 0;
  const lane = async () => {
    for (;;) await action(number++).catch(() => undefined);
  };
  const lanes = Array.from({ length: atOnce }, lane);
  begun();
  await Promise.all(lanes);
}

/** Another address for each number, 200 in all. */
function address(number: number): string {
  return `127.0.3.${1 + (number % 200)}`;
}

async function untilEnd(socket: RawSocket): Promise<void> {
  for (;;) await socket.read();
}

async function silence(): Promise<void> {
  await forever(async (number) => untilEnd(await access.socket(address(number))), 2_000);
}

async function hellos(): Promise<void> {
  const [nonce32, x25519Secret32, mlKemSeed64] = [32, 32, 64].map(systemRandom);
  if (nonce32 === undefined || x25519Secret32 === undefined || mlKemSeed64 === undefined) return;
  const { payload } = await startClient({ nonce32, x25519Secret32, mlKemSeed64 });
  await forever(async (number) => {
    const socket = await access.socket(address(number));
    socket.write(payload);
    await socket.read().finally(() => socket.end());
  });
}

async function churn(): Promise<void> {
  await forever(async () => {
    const socket = await access.socket();
    socket.writeBytes(encodeFrame(new Uint8Array(1)));
    await untilEnd(socket);
  });
}

/** By somebody who has a certificate and not the password, over 20 connections. */
async function logins(): Promise<void> {
  const member = access.member(0);
  const clients = await Promise.all(Array.from({ length: 20 }, () => access.dial(member)));
  const { email } = member;
  await forever(async (number) =>
    clients[number % clients.length]?.request({ type: "login", email, password: `guess ${number}` }),
  );
}

async function packages(): Promise<void> {
  const draining = await client();
  const { username } = access.member(1);
  await forever(() => draining.request({ type: "fetch_key_packages", username }));
}

async function posts(): Promise<void> {
  const { conversation, author, authorClient } = await SteadyPair.of(access, [0, 1]);
  const view = { size: 1, root: conversation.rootAt(1) };
  await forever((number) => {
    const line = conversation.message(author, { seqno: number + 2, view });
    return authorClient.request({ type: "post", line });
  });
}

function client(): Promise<RawClient> {
  return access.login(access.member(0));
}

async function requests(): Promise<void> {
  const asking = await client();
  await forever(() => asking.request({ type: "list_conversations", after: null }));
}

async function pages(): Promise<void> {
  const { conversation, author, authorClient } = await SteadyPair.of(access, [0, 1]);
  const view = { size: 1, root: conversation.rootAt(1) };
  for (const seqno of [2, 3]) {
    const line = conversation.message(author, { seqno, view, ct: systemRandom(28 + 64 * 1_000) });
    await authorClient.expect("accepted", { type: "post", line });
  }
  const { id } = conversation;
  await forever(() => authorClient.request({ type: "fetch_entries", conversation: id, from: 0, limit: 10 }));
}

async function blobs(): Promise<void> {
  const uploading = await client();
  const data = systemRandom(65_536);
  await forever((number) => {
    const sha256 = encodeHex(new Uint8Array(32).fill(number % 32));
    return uploading.request({ type: "put_blob", sha256, size: 100_000, offset: 0, data });
  });
}
