import { expect, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { EpochKeys } from "../../src/client/epochKeys.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { messageKey, nextChain, sealMessage } from "../../src/group/ratchet.ts";

const own = encodeHex(systemRandom(32));
const other = encodeHex(systemRandom(32));
const associatedData = new Uint8Array(8);
const plaintext = new TextEncoder().encode("words");

function seal(key: Uint8Array): Uint8Array {
  return sealMessage({
    key,
    nonce12: systemRandom(12),
    associatedData,
    opening32: systemRandom(32),
    plaintext,
  });
}

function keysOf() {
  const [ownChain, otherChain] = [systemRandom(32), systemRandom(32)];
  const chains = new Map([
    [own, ownChain.slice()],
    [other, otherChain.slice()],
  ]);
  return { keys: new EpochKeys(1, own, chains), chains, ownChain, otherChain };
}

test("sendKey() gives the keys of the chain, and the same one until a message has landed", () => {
  const { keys, ownChain } = keysOf();
  const first = messageKey(ownChain);
  const second = messageKey(nextChain(ownChain));
  expect(keys.sendKey(1)).toEqual(second);
  expect(keys.sendKey(0)).toEqual(first);
  expect(keys.sendKey(0)).toEqual(first);
  keys.advance(own);
  expect(keys.sendKey(0)).toEqual(second);
  keys.advance(own);
  keys.advance(own);
  expect(keys.sendKey(0)).toEqual(messageKey(nextChain(nextChain(nextChain(ownChain)))));
});

test("open() reads the message that the chain stands at, and no earlier one", () => {
  const { keys, otherChain } = keysOf();
  const ct = seal(messageKey(otherChain));
  expect(keys.open(other, { associatedData, ct })?.plaintext).toEqual(plaintext);
  keys.advance(other);
  expect(keys.open(other, { associatedData, ct })).toBeUndefined();
  const next = seal(messageKey(nextChain(otherChain)));
  expect(keys.open(other, { associatedData, ct: next })?.plaintext).toEqual(plaintext);
});

test("open() knows nothing of a sender without a chain", () => {
  const { keys, otherChain } = keysOf();
  const ct = seal(messageKey(otherChain));
  expect(keys.open(encodeHex(systemRandom(32)), { associatedData, ct })).toBeUndefined();
});

test("advance() and wipe() overwrite the chains that are left behind", () => {
  const { keys, chains } = keysOf();
  const zeros = new Uint8Array(32);
  const sent = keys.sendKey(0);
  keys.advance(own);
  expect(chains.get(own)).toEqual(zeros);
  expect(sent).toEqual(zeros);
  expect(chains.get(other)).not.toEqual(zeros);
  keys.wipe();
  expect(chains.get(other)).toEqual(zeros);
});

test("encode() and decode() keep where every chain stands", () => {
  const { keys } = keysOf();
  keys.advance(own);
  const again = EpochKeys.decode(1, own, keys.encode());
  expect(again.sendKey(0)).toEqual(keys.sendKey(0));
});
