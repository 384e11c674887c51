import { expect, test } from "bun:test";
import { crypto } from "../../src/crypto/crypto.ts";
import { isEmail, personOf, serverNames } from "../../src/pki/identity.ts";
import { codeOf } from "./codeOf.ts";
import { encodeName, extensions, forge, generalName } from "./forgedCertificate.ts";
import { createTestAuthority } from "./testAuthority.ts";

const key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
const person = (commonName: string, ...names: Uint8Array[]) =>
  codeOf(() =>
    personOf(
      forge({
        key,
        subject: encodeName(commonName),
        ...(names.length === 0 ? {} : { extensions: [extensions.san(...names)] }),
      }),
    ),
  );

test("personOf() and serverNames() read what the profile issues", async () => {
  const authority = await createTestAuthority();
  const { certificate: alice } = await authority.issueUser("alice", "a@example.org");
  const { certificate: server } = await authority.issueServer(["chat.example.org", "127.0.0.1", "::1"]);
  expect(personOf(alice)).toEqual({ username: "alice", email: "a@example.org" });
  expect(serverNames(server)).toEqual(["chat.example.org", "127.0.0.1", "::1"]);
  expect(codeOf(() => personOf(server))).toBe("NOT_A_PERSON");
  expect(codeOf(() => serverNames(alice))).toBe("NOT_A_SERVER");
});

test("personOf() rejects commonNames that are no username", () => {
  const email = generalName.email("a@example.org");
  expect(person("alice", email)).toBe("accepted");
  for (const name of [
    "Alice",
    "",
    "-alice",
    "al ice",
    "a".repeat(33),
    "alice\0",
    "alicе" /* Cyrillic e */,
    "alice\u200b",
  ])
    expect(person(name, email)).toBe("NOT_A_PERSON");
});

test("personOf() rejects no e-mail address, two, and what isn't one", () => {
  const email = generalName.email;
  expect(person("alice")).toBe("NOT_A_PERSON");
  expect(person("alice", email("a@example.org"), email("b@example.org"))).toBe("NOT_A_PERSON");
  expect(person("alice", email("a@b@example.org"))).toBe("NOT_A_PERSON");
  expect(person("alice", generalName.dns("a.org"))).toBe("NOT_A_PERSON");
});

test("serverNames() leaves out wildcards and malformed names", () => {
  const names = [
    generalName.dns("*.example.org"),
    generalName.dns("a_b.org"),
    generalName.dns("OK.example.org"),
  ];
  expect(serverNames(forge({ key, extensions: [extensions.san(...names)] }))).toEqual(["ok.example.org"]);
  expect(codeOf(() => serverNames(forge({ key, extensions: [extensions.san(...names.slice(0, 2))] })))).toBe(
    "NOT_A_SERVER",
  );
});

test.each([
  ["a@b", true],
  ["first.last+tag@Example.org", true],
  [`${"a".repeat(64)}@b.org`, true],
  ["", false],
  ["a", false],
  ["@b.org", false],
  ["a@", false],
  [".a@b.org", false],
  ["a.@b.org", false],
  ["a..b@c.org", false],
  ["a b@c.org", false],
  ['"a"@c.org', false],
  ["a@b@c.org", false],
  ["a@b_c.org", false],
  ["a@[127.0.0.1]", false],
  ["a@1.2.3.4", false],
  ["ä@b.org", false],
  [`${"a".repeat(65)}@b.org`, false],
  [`a@${"b".repeat(60)}.${"c".repeat(60)}.${"d".repeat(60)}.${"e".repeat(60)}.${"f".repeat(20)}`, false],
  ["a@b.org\n", false],
])("isEmail(%j) is %p", (text, expected) => {
  expect(isEmail(text)).toBe(expected);
});
