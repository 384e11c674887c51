import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { loginRequest } from "../../src/client/loginRequest.ts";
import type { PrivateKey } from "../../src/crypto/crypto.ts";
import { type Person, TestServer } from "./testServer.ts";

setDefaultTimeout(60_000);

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

const password = "one password for both";

/** A person with an account, and with another certificate over another key. */
async function mover(username: string, options = {}): Promise<{ old: Person; next: Person }> {
  const old = { ...(await server.newPerson(username, options)), password };
  await server.register(old);
  return { old, next: { ...(await server.newPerson(username)), password } };
}

/** The request as its text in the protocol says, by this key. */
function renew({ email }: Person, key: PrivateKey, [from, to]: readonly [Person, Person], secret = password) {
  const [old, next] = [from.certificate.fingerprint, to.certificate.fingerprint];
  const signature = key.sign(encodeUtf8(`securechat/2 renewal\n${old}\n${next}\n`));
  return { type: "renew", email, password: secret, signature } as const;
}

async function outcome(person: Person, request: ReturnType<typeof renew>): Promise<string> {
  const answer = await (await server.dial(person)).request(request);
  return answer.type === "refused" ? answer.code : answer.type;
}

test("a certificate that the account's own has signed for takes its place, for good", async () => {
  const { old, next } = await mover("alice");
  expect(await (await server.dial(next)).refusalCode({ type: "login", email: next.email, password })).toBe(
    "IDENTITY_MISMATCH",
  );
  const { email } = next;
  const request = loginRequest({ email, password, from: old }, next.certificate.fingerprint);
  await (await server.dial(next)).expect("authenticated", request);
  await server.login(next);
  const back = await server.dial(old);
  expect(await back.refusalCode({ type: "login", email, password })).toBe("IDENTITY_MISMATCH");
});

test("the client signs what the protocol says", async () => {
  const { old, next } = await mover("bob");
  expect(await outcome(next, renew(next, old.key, [old, next]))).toBe("authenticated");
});

test("a signature by another key, or for another certificate, moves nothing, and neither does a wrong password", async () => {
  const { old, next } = await mover("carol");
  const third = { ...(await server.newPerson("carol")), password };
  for (const request of [
    renew(next, next.key, [old, next]),
    renew(next, old.key, [next, old]),
    renew(next, old.key, [old, third]),
    renew(next, old.key, [next, next]),
  ])
    expect(await outcome(next, request)).toBe("IDENTITY_MISMATCH");
  const guess = renew(next, old.key, [old, next], "a wrong password");
  expect(await outcome(next, guess)).toBe("AUTHENTICATION_FAILED");
  await server.login(old);
  const mallory = await server.person("mallory");
  expect(await outcome(mallory, renew(next, old.key, [old, mallory]))).toBe("IDENTITY_MISMATCH");
});

test("a certificate that has expired or is revoked signs for none", async () => {
  const hour = 3_600_000;
  const { old, next } = await mover("dave", { notAfterMs: Date.now() + hour });
  const revoked = await mover("erin");
  server.running.replaceCrl(server.authority.crl([{ certificate: revoked.old.certificate }]).der);
  server.skewMs = 2 * hour;
  for (const { old: from, next: to } of [{ old, next }, revoked])
    expect(await outcome(to, renew(to, from.key, [from, to]))).toBe("IDENTITY_MISMATCH");
  server.skewMs = 0;
  expect(await outcome(revoked.next, renew(revoked.next, revoked.old.key, [revoked.old, revoked.next]))).toBe(
    "IDENTITY_MISMATCH",
  );
  expect(await outcome(next, renew(next, old.key, [old, next]))).toBe("authenticated");
});
