import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { maxBlobBytes, maxBlobPieceBytes } from "../../src/wire/sessionMessages.ts";
import type { RawClient } from "./rawClient.ts";
import { upload } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

describe("blobs", () => {
  let server: TestServer;
  let alice: RawClient;
  let bob: RawClient;
  beforeAll(async () => {
    server = await TestServer.create({ limits: { unnamedBlobBytes: maxBlobBytes + 300_000 } });
    alice = await server.register(await server.person("alice"));
    bob = await server.register(await server.person("bob"));
  });
  afterAll(() => server.dispose());

  const put = (data: Uint8Array, offset: number, length: number, over: object = {}) => ({
    type: "put_blob" as const,
    sha256: encodeHex(sha256(data)),
    size: data.length,
    offset,
    data: data.subarray(offset, offset + length),
    ...over,
  });
  const fetch = (digest: Hex, offset = 0) => ({ type: "fetch_blob", sha256: digest, offset }) as const;

  test("of one piece and of several are stored and read back by who uploaded them", async () => {
    for (const size of [1, maxBlobPieceBytes, maxBlobPieceBytes + 1, 200_000]) {
      const data = systemRandom(size);
      const digest = await upload(alice, data);
      const read = new Uint8Array(size);
      for (let offset = 0; offset < size; offset += maxBlobPieceBytes) {
        const piece = await alice.expect("blob", fetch(digest, offset));
        expect(piece).toMatchObject({ size, offset });
        read.set(piece.data, offset);
      }
      expect(encodeHex(read)).toBe(encodeHex(data));
      expect((await alice.expect("blob", fetch(digest, size))).data).toHaveLength(0);
    }
  });

  test("are NOT_FOUND for others, as those that don't exist are", async () => {
    const digest = await upload(alice, systemRandom(100));
    const ofAlice = await bob.refusal(fetch(digest));
    expect(ofAlice.code).toBe("NOT_FOUND");
    expect(await bob.refusal(fetch(encodeHex(systemRandom(32))))).toEqual(ofAlice);
  });

  test("have to be uploaded whole by everybody: nobody learns that another has the same", async () => {
    const data = systemRandom(1_000);
    await upload(alice, data);
    expect((await bob.expect("blob_stored", put(data, 0, 400))).complete).toBe(false);
    expect((await bob.expect("blob_stored", put(data, 400, 600))).complete).toBe(true);
    expect((await alice.expect("blob_stored", put(data, 0, 400))).complete).toBe(true);
  });

  test("are refused out of order, beyond the announced size, and with another SHA-256; then they begin anew", async () => {
    const data = systemRandom(1_000);
    expect(await alice.refusalCode(put(data, 400, 100))).toBe("BAD_BLOB");
    await alice.expect("blob_stored", put(data, 0, 400));
    expect(await alice.refusalCode(put(data, 500, 100))).toBe("BAD_BLOB");
    expect(await alice.refusalCode(put(data, 400, 600, { data: systemRandom(601) }))).toBe("BAD_BLOB");
    expect(await alice.refusalCode(put(data, 400, 600, { data: systemRandom(600) }))).toBe("BAD_BLOB");
    expect(await alice.refusalCode(put(data, 400, 600))).toBe("BAD_BLOB");
    await alice.expect("blob_stored", put(data, 0, 400));
    expect((await alice.expect("blob_stored", put(data, 400, 600))).complete).toBe(true);
  });

  test("go on after the connection broke", async () => {
    const carol = await server.person("carol");
    const data = systemRandom(1_000);
    const first = await server.register(carol);
    await first.expect("blob_stored", put(data, 0, 400));
    first.close();
    const second = await server.login(carol);
    expect((await second.expect("blob_stored", put(data, 400, 600))).complete).toBe(true);
  });

  test("of the longest size are taken, one byte more is no request, and more than the quota is TOO_MANY", async () => {
    const dave = await server.register(await server.person("dave"));
    await upload(dave, systemRandom(maxBlobBytes));
    expect(await dave.refusalCode(put(systemRandom(300_001), 0, 1))).toBe("TOO_MANY");
    expect((await dave.expect("blob_stored", put(systemRandom(300_000), 0, 1))).complete).toBe(false);
    dave.sendBytes(
      new TextEncoder().encode(
        `{"type":"put_blob","id":999999,"sha256":"${"00".repeat(32)}","size":${maxBlobBytes + 1},"offset":0,"data":"AA=="}`,
      ),
    );
    expect(await dave.ended).toBe("decode_error");
  });
});
