import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeFrame, maxHandshakeFrameBytes, maxSessionFrameBytes } from "../../src/wire/frame.ts";
import { eventsOf, patienceMs } from "../scenario/world.ts";
import { endInClear, RawSocket } from "../server/rawClient.ts";
import { HostilePeers } from "./hostilePeers.ts";
import { ManInTheMiddle } from "./manInTheMiddle.ts";

/*
 * Malformed, oversized, truncated, slow and never-ending input over real sockets, in every state that a peer can bring about
 * without the other's trust: to a running `serve`, and to a running `connect` from a server that has proven nothing.
 */

setDefaultTimeout(patienceMs);

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["alice"]);
  expect((await peers.chat("alice", peers.port, ["--register"])).exitCode).toBe(0);
});
afterAll(() => peers?.dispose());

const directions = ["toServer", "toClient"] as const;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const header = (length: number) => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
};

/** Resident memory of a process, bytes, now. */
function residentBytes({ pid }: ChildProcess): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

/** What a login leaves: a ticket, and when it was. */
function withoutLogins(kept: ReturnType<HostilePeers["kept"]>): object {
  const rows = Object.entries(kept).filter(([name]) => !/^table (tickets|sqlite_sequence)$/.test(name));
  return JSON.parse(JSON.stringify(rows).replace(/\\"last_login_at\\":\d+,/g, ""));
}

/** Somebody else gets in and is answered, and the server has logged no error. */
async function expectUnharmed(): Promise<void> {
  const done = await peers.chat("alice", peers.port, ["--login"]);
  expect([done.exitCode, done.stderr]).toEqual([0, ""]);
  expect(peers.server.output).not.toContain("[ERROR]");
}

describe("a session byte by byte", () => {
  test.each(directions)("%s works like any other", async (slow) => {
    let bytes = 0;
    using middle = new ManInTheMiddle(peers.port, async (to, { direction, payload }) => {
      if (direction !== slow) return to.write(payload);
      for (const byte of encodeFrame(payload)) {
        to.writeBytes(Uint8Array.of(byte));
        bytes += 1;
        await turn();
      }
    });
    const done = await peers.chat("alice", middle.port, ["--login"]);
    expect([done.exitCode, done.stderr]).toEqual([0, ""]);
    expect(eventsOf(done.stdout)).toContainEqual(expect.objectContaining({ event: "authenticated" }));
    expect(bytes).toBeGreaterThan(2_000);
  });
});

describe("in place of a frame of the handshake or the login", () => {
  /** The last of each direction is the login, and its answer. */
  const states = [
    ...["hello", "client_auth", "login"].map((name, number) => ({ direction: "toServer", name, number })),
    ...["server_hello", "server_auth", "ready", "authenticated"].map((name, number) => ({
      direction: "toClient",
      name,
      number,
    })),
  ];
  const abuses: Readonly<Record<string, (to: RawSocket, payload: Uint8Array) => "cut" | undefined>> = {
    nothing: () => "cut",
    "half of it": (to, payload) => {
      to.writeBytes(encodeFrame(payload).subarray(0, 4 + Math.floor(payload.length / 2)));
      return "cut";
    },
    "half of its length": (to, payload) => {
      to.writeBytes(encodeFrame(payload).subarray(0, 2));
      return "cut";
    },
    "an empty frame": (to) => void to.writeBytes(header(0)),
    "a frame that is too long": (to) => void to.writeBytes(header(maxSessionFrameBytes + 1)),
    "random bytes of its length": (to, payload) => void to.write(systemRandom(payload.length)),
    "arrays in arrays": (to) => void to.write(encodeUtf8("[".repeat(maxHandshakeFrameBytes))),
    "itself, twice": (to, payload) => {
      to.write(payload);
      to.write(payload);
      return undefined;
    },
  };
  const all = states.flatMap((state) =>
    Object.entries(abuses).map(([what, abuse]) => ({ ...state, what, abuse })),
  );

  test.each(all)("$name: $what ends with a code", async ({ direction, number, name, what, abuse }) => {
    const { sessions } = peers;
    await peers.ended(sessions);
    // The server that took a login has it, whatever becomes of the answer; behind a "ready" that is there twice the client may
    // have sent it already.
    const isTwice = what === "itself, twice";
    const isTaken = name === "authenticated" || (isTwice && (name === "login" || name === "ready"));
    const kept = () => (isTaken ? withoutLogins(peers.kept()) : peers.kept());
    const before = kept();
    let hit = false;
    using middle = new ManInTheMiddle(peers.port, (to, frame) => {
      if (frame.direction !== direction || frame.number !== number) return to.write(frame.payload);
      hit = true;
      return abuse(to, frame.payload);
    });
    const done = await peers.chat("alice", middle.port, ["--login"]);
    expect([hit, done.exitCode]).toEqual([true, 4]);
    // A frame that is there twice is noticed in the next state.
    const isLater = name === "login" || name === "authenticated" || isTwice;
    const code = isLater ? /\((HANDSHAKE_FAILED|CONNECTION_LOST)\)\n$/ : /\(HANDSHAKE_FAILED\)\n$/;
    expect(done.stderr).toMatch(code);
    await peers.ended(sessions + 1);
    expect(kept()).toEqual(before);
  });

  test("leaves nothing behind: the server has no error in its log and lets others in", expectUnharmed);
});

describe("flaw 14 of the original, resources for anybody: serve, with never-ending input", () => {
  /** More than what any number of honest connections of a test needs, less than what an attack on memory makes of it. */
  const allowedGrowth = 48 * 1024 * 1024;

  /** Runs an attack; memory must not follow it, and others must be served while it goes on. */
  async function bounded(attack: () => Promise<() => void>): Promise<void> {
    await expectUnharmed();
    const before = residentBytes(peers.server);
    const end = await attack();
    await expectUnharmed();
    expect((residentBytes(peers.server) - before) / 2 ** 20).toBeLessThan(allowedGrowth / 2 ** 20);
    end();
  }

  const dialMany = (count: number) =>
    Promise.all(Array.from({ length: count }, () => RawSocket.dial(peers.port)));

  test("of announcements that nothing follows keeps memory bounded", () =>
    bounded(async () => {
      const sockets = await dialMany(150);
      for (const socket of sockets) socket.writeBytes(header(maxHandshakeFrameBytes));
      return () => {
        for (const socket of sockets) socket.end();
      };
    }));

  test("of 10^6 tiny frames is over at the first of them", () =>
    bounded(async () => {
      const socket = await RawSocket.dial(peers.port);
      const frames = new Uint8Array(5_000_000);
      for (let at = 0; at < frames.length; at += 5) frames.set([0, 0, 0, 1, 0x7b], at);
      socket.writeBytes(frames);
      expect(await endInClear(socket)).toBe("decode_error");
      return () => socket.end();
    }));

  test("of frames after an alert that ended the connection is not read", () =>
    bounded(async () => {
      const socket = await RawSocket.dial(peers.port);
      socket.write(encodeUtf8("no hello"));
      const end = endInClear(socket);
      const junk = systemRandom(60_000);
      for (let i = 0; i < 200 && !socket.closed; i++) {
        socket.writeBytes(junk);
        await turn();
      }
      expect(await end).toBe("decode_error");
      return () => socket.end();
    }));

  test("of a client that is authenticated: arrays in arrays, one digit, one text, and fields without end", async () => {
    const mallory = await peers.person("mallory");
    const longest = 250_000;
    const texts = [
      "[".repeat(longest),
      '{"a":'.repeat(longest / 5),
      `{"type":"ping","id":${"9".repeat(longest)}}`,
      `{"type":"login","id":1,"email":"${"\\u0000".repeat(longest / 6)}"`,
      `{"type":"ping","id":1${',"x":1'.repeat(longest / 6)}}`,
      " ".repeat(longest),
    ];
    await bounded(async () => {
      for (const text of texts) {
        const client = await peers.dial(mallory);
        client.sendBytes(encodeUtf8(text));
        expect(await client.ended).toBe("decode_error");
      }
      return () => {};
    });
  });
});

describe("who neither goes on nor ends", () => {
  test("is cut off by serve and by connect after 10 s, however it drips", async () => {
    // All at once, for each of them takes as long.
    const silent = await RawSocket.dial(peers.port);
    const dripping = await RawSocket.dial(peers.port);
    dripping.writeBytes(header(maxHandshakeFrameBytes));
    const drops = setInterval(() => dripping.writeBytes(Uint8Array.of(0x20)), 200);
    const began = performance.now();

    const pending: RawSocket[] = [];
    const mute = RawSocket.listen((socket) => {
      socket.writeBytes(header(maxHandshakeFrameBytes));
      pending.push(socket);
    });
    const client = peers.chat("alice", mute.port, ["--login"]);
    const clientDrops = setInterval(() => {
      for (const socket of pending) socket.writeBytes(Uint8Array.of(0));
    }, 2_000);
    try {
      expect(await Promise.all([endInClear(silent), endInClear(dripping)])).toEqual(["timeout", "timeout"]);
      expect(performance.now() - began).toBeGreaterThan(9_000);
      const done = await client;
      expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("(TIMEOUT)")]);
    } finally {
      clearInterval(drops);
      clearInterval(clientDrops);
      mute.stop(true);
    }
    await expectUnharmed();
  });
});

describe("connect, to a server that has proven nothing", () => {
  test("with never-ending input ends at once, with a code and bounded memory", async () => {
    const junk = systemRandom(60_000);
    const floods: readonly Uint8Array[] = [
      junk,
      new Uint8Array(60_000),
      encodeFrame(encodeUtf8("[".repeat(maxHandshakeFrameBytes))),
      header(0xffff_ffff),
    ];
    for (const flood of floods) {
      let written = 0;
      const hostile = RawSocket.listen(async (socket) => {
        while (!socket.closed && written < 200_000_000) {
          if (socket.pendingBytes === 0) {
            socket.writeBytes(flood);
            written += flood.length;
          }
          await turn();
        }
      });
      const done = await peers.chat("alice", hostile.port, ["--login"]);
      hostile.stop(true);
      expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("(HANDSHAKE_FAILED)")]);
      expect(written).toBeLessThan(100_000_000);
    }
  });
});
