import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClientEvent } from "../../src/client/clientEvents.ts";
import { Revocations } from "../../src/client/revocations.ts";
import { Vault } from "../../src/client/vault.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";
import { codeOf } from "./codeOf.ts";

const hour = 3_600_000;

let root: TestAuthority;
let issuing: TestAuthority;
let folder: string;
let vault: Vault;
let events: ClientEvent[];

beforeEach(async () => {
  root = await createTestAuthority({ intermediates: true });
  issuing = await root.issueIntermediate("Issuing CA");
  folder = mkdtempSync(join(tmpdir(), "securechat-revocations-"));
  vault = Vault.open({ file: join(folder, "vault.db"), key: root.caKey, random: systemRandom });
  events = [];
});
afterEach(() => {
  vault.close();
  rmSync(folder, { recursive: true });
});

const revocations = () =>
  new Revocations({ anchors: [root.ca], vault, onEvent: (event) => events.push(event) });
const numbers = (one: Revocations) => one.crls.map(({ number }) => number);

function pathOf({ certificate }: Issued, authorities: readonly TestAuthority[]) {
  return verifyPath({
    leaf: certificate,
    intermediates: authorities.map(({ ca }) => ca),
    anchors: [root.ca],
    crls: [],
    purpose: "client",
    atMs: Date.now(),
  });
}

test("the highest number is kept over a restart, and an older one is told of and refused", () => {
  const first = revocations();
  expect(first.take(root.crl([], { number: 5n }).der)).toBe(true);
  expect(first.take(root.crl([], { number: 5n }).der)).toBe(false);
  expect(events).toEqual([]);
  const second = revocations();
  expect(numbers(second)).toEqual([5n]);
  expect(second.take(root.crl([], { number: 4n }).der)).toBe(false);
  expect(events).toMatchObject([{ event: "warning", code: "STALE_CRL" }]);
  expect(second.take(root.crl([], { number: 6n }).der)).toBe(true);
  expect([numbers(second), second.number]).toEqual([[6n], "6"]);
});

test("a list in the name of the CA that its key did not sign is refused", async () => {
  const impostor = await createTestAuthority();
  const one = revocations();
  expect(codeOf(() => one.take(impostor.crl([], { number: 9n }).der))).toBe("CRL_SIGNATURE_INVALID");
  expect(codeOf(() => one.take(root.crl().der.subarray(0, -1)))).toBe("CRL_MALFORMED");
  expect(numbers(one)).toEqual([]);
});

test("the list of an issuing CA waits for a verified path through it, and then counts beside the root's", async () => {
  const alice = await issuing.issueUser("alice");
  const one = revocations();
  one.take(root.crl([], { number: 3n }).der);
  expect(one.take(issuing.crl([], { number: 8n }).der)).toBe(false);
  const version = one.version;
  expect(one.trust(pathOf(alice, [issuing]))).toBe(true);
  expect(one.version).toBeGreaterThan(version);
  expect(numbers(one)).toEqual([3n, 8n]);
  expect(one.trust(pathOf(alice, [issuing]))).toBe(false);
  expect(one.take(issuing.crl([], { number: 7n }).der)).toBe(false);

  // After a restart it waits again: the vault is no proof of who may sign.
  const again = revocations();
  expect(numbers(again)).toEqual([3n]);
  again.trust(pathOf(alice, [issuing]));
  expect(numbers(again)).toEqual([3n, 8n]);
});

test("a list that was made up in the name of an issuing CA goes when that CA becomes known", async () => {
  const other = await createTestAuthority({ intermediates: true });
  const impostor = await other.issueIntermediate("Issuing CA");
  const one = revocations();
  expect(one.take(impostor.crl([], { number: 99n }).der)).toBe(false);
  expect(one.trust(pathOf(await issuing.issueUser("alice"), [issuing]))).toBe(false);
  expect(one.take(issuing.crl([], { number: 1n }).der)).toBe(true);
  expect(numbers(one)).toEqual([1n]);
});

test("past nextUpdate it warns once a day", () => {
  const now = Date.now();
  const one = revocations();
  one.take(root.crl([], { nextUpdateMs: now + hour + 1000 }).der);
  const warned = (ms: number) => {
    one.warnIfStale(now + ms);
    return events.splice(0).length;
  };
  expect([0, hour, 2 * hour, 3 * hour, 25 * hour, 27 * hour].map(warned)).toEqual([0, 0, 1, 0, 0, 1]);
});

test("takeFile() takes all lists of a PEM file and refuses what is none", () => {
  const one = revocations();
  const pem = formatPem("X509 CRL", root.crl([], { number: 2n }).der);
  one.takeFile(new TextEncoder().encode(pem));
  expect(numbers(one)).toEqual([2n]);
  expect(codeOf(() => one.takeFile(new TextEncoder().encode("no list")))).toBe("CRL_REFUSED");
});
