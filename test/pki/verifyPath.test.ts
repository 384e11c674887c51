import { describe, expect, test } from "bun:test";
import { crypto, type PrivateKey } from "../../src/crypto/crypto.ts";
import type { Certificate } from "../../src/pki/certificate.ts";
import { encodeInteger, encodeNull, encodeOid, encodeSequence } from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { type PathRequest, verifyPath } from "../../src/pki/verifyPath.ts";
import { codeOf } from "./codeOf.ts";
import {
  encodeExtension,
  encodeName,
  extensions,
  type Forged,
  forge,
  forgedNowMs,
  generalName,
} from "./forgedCertificate.ts";
import { createTestAuthority, type TestAuthority } from "./testAuthority.ts";

const makeKey = async () => crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
const [rootKey, caKey, leafKey, otherKey] = [
  await makeKey(),
  await makeKey(),
  await makeKey(),
  await makeKey(),
];
const [rootName, caName, otherName] = [encodeName("Root"), encodeName("CA"), encodeName("Other")];
const host = "chat.example.org";

const caExtensions = (pathLength?: number) => [extensions.ca(pathLength), extensions.caKeyUsage()];
const root = forge({ key: rootKey, subject: rootName, extensions: caExtensions() });
const intermediate = (change: Partial<Forged> = {}) =>
  forge({
    key: caKey,
    subject: caName,
    issuer: rootName,
    issuerKey: rootKey,
    extensions: caExtensions(),
    ...change,
  });
const serverExtensions = (...more: Uint8Array[]) => [
  extensions.leafKeyUsage(),
  extensions.extKeyUsage(oids.serverAuth, oids.emailProtection),
  extensions.san(generalName.dns(host)),
  ...more,
];
const server = (change: Partial<Forged> = {}) =>
  forge({
    key: leafKey,
    subject: encodeName(host),
    issuer: caName,
    issuerKey: caKey,
    extensions: serverExtensions(),
    ...change,
  });

const judge = (change: Partial<PathRequest> = {}) =>
  codeOf(() =>
    verifyPath({
      leaf: server(),
      intermediates: [intermediate()],
      anchors: [root],
      crls: [],
      purpose: "server",
      atMs: forgedNowMs,
      host,
      ...change,
    }),
  );

describe("verifyPath() returns", () => {
  test("the chain from leaf to anchor, the purpose and the time in which all of it is valid", () => {
    const leaf = server({ notBeforeMs: Date.UTC(2026, 1, 1) });
    const ca = intermediate({ notAfterMs: Date.UTC(2026, 9, 1) });
    const verified = verifyPath({
      leaf,
      intermediates: [ca],
      anchors: [root],
      crls: [],
      purpose: "server",
      atMs: forgedNowMs,
    });
    expect(verified.certificate).toBe(leaf);
    expect(verified.chain).toEqual([leaf, ca, root]);
    expect(verified.purpose).toBe("server");
    expect(verified.validFromMs).toBe(Date.UTC(2026, 1, 1));
    expect(verified.validUntilMs).toBe(Date.UTC(2026, 9, 1));
  });

  test("the same again from memory, without another signature check", () => {
    let checks = 0;
    const counted = forge({ key: caKey, subject: rootName, extensions: caExtensions() });
    const publicKey = {
      ...counted.publicKey,
      verify(...args: Parameters<typeof counted.publicKey.verify>) {
        checks++;
        return counted.publicKey.verify(...args);
      },
    };
    const anchor: Certificate = { ...counted, publicKey };
    const leaf = server({ issuer: rootName, issuerKey: caKey });
    const request: PathRequest = {
      leaf,
      intermediates: [],
      anchors: [anchor],
      crls: [],
      purpose: "server",
      atMs: forgedNowMs,
    };
    expect(verifyPath(request).chain).toEqual(verifyPath({ ...request, host }).chain);
    expect(checks).toBe(1);
    expect(codeOf(() => verifyPath({ ...request, host: "other.example.org" }))).toBe("HOST_MISMATCH");
    expect(codeOf(() => verifyPath({ ...request, atMs: Date.UTC(2028, 0, 1) }))).toBe("EXPIRED");
    expect(codeOf(() => verifyPath({ ...request, purpose: "client" }))).toBe("EXTENDED_KEY_USAGE_WRONG");
    expect(codeOf(() => verifyPath({ ...request, anchors: [] }))).toBe("NO_PATH");
    expect(checks).toBe(1);
  });

  test("another path when the remembered one has expired", () => {
    const early = intermediate({ notAfterMs: Date.UTC(2026, 6, 1), serial: encodeInteger(1) });
    const late = intermediate({ serial: encodeInteger(2) });
    const leaf = server();
    const request = {
      leaf,
      intermediates: [early, late],
      anchors: [root],
      crls: [],
      purpose: "server",
      atMs: forgedNowMs,
    } as const;
    expect(verifyPath(request).chain[1]).toBe(early);
    expect(verifyPath({ ...request, atMs: Date.UTC(2026, 7, 1) }).chain[1]).toBe(late);
  });
});

describe("verifyPath() rejects", () => {
  test("a certificate whose issuer is not known, and one by a CA that only has the name", () => {
    expect(judge({ intermediates: [] })).toBe("NO_PATH");
    expect(judge({ anchors: [] })).toBe("NO_PATH");
    expect(
      judge({ anchors: [forge({ key: otherKey, subject: rootName, extensions: caExtensions() })] }),
    ).toBe("SIGNATURE_INVALID");
  });

  test("a trust anchor as its own leaf", () => {
    expect(judge({ leaf: root, host: undefined as never, profile: "rfc5280", intermediates: [] })).toBe(
      "KEY_USAGE_WRONG",
    );
    const lone = server({ issuer: encodeName(host), issuerKey: leafKey });
    expect(judge({ leaf: lone, intermediates: [], anchors: [lone] })).toBe("NO_PATH");
    expect(judge({ leaf: lone, intermediates: [lone], anchors: [root] })).toBe("NO_PATH");
  });

  test("times outside of any certificate's validity, to the second", () => {
    const [from, until] = [Date.UTC(2026, 2, 1), Date.UTC(2026, 3, 1)];
    const limited = { notBeforeMs: from, notAfterMs: until };
    const cases: Partial<PathRequest>[] = [
      { leaf: server(limited) },
      { intermediates: [intermediate(limited)] },
      { anchors: [forge({ key: rootKey, subject: rootName, extensions: caExtensions(), ...limited })] },
    ];
    for (const change of cases) {
      expect(judge({ ...change, atMs: from - 1 })).toBe("NOT_YET_VALID");
      expect(judge({ ...change, atMs: from })).toBe("accepted");
      expect(judge({ ...change, atMs: until + 999 })).toBe("accepted");
      expect(judge({ ...change, atMs: until + 1000 })).toBe("EXPIRED");
      expect(judge({ ...change, atMs: Number.NaN })).toBe("EXPIRED");
    }
  });

  test("unknown critical extensions in any certificate of the path", () => {
    const unknown = encodeExtension("1.2.3.4", true, encodeNull());
    expect(judge({ leaf: server({ extensions: serverExtensions(unknown) }) })).toBe(
      "UNKNOWN_CRITICAL_EXTENSION",
    );
    expect(judge({ intermediates: [intermediate({ extensions: [...caExtensions(), unknown] })] })).toBe(
      "UNKNOWN_CRITICAL_EXTENSION",
    );
    const anchor = forge({ key: rootKey, subject: rootName, extensions: [...caExtensions(), unknown] });
    expect(judge({ anchors: [anchor] })).toBe("UNKNOWN_CRITICAL_EXTENSION");
    expect(judge({ anchors: [anchor, root] })).toBe("accepted");
  });

  test("issuers that are no CA", () => {
    const with_ = (...list: Uint8Array[]) => judge({ intermediates: [intermediate({ extensions: list })] });
    expect(with_(encodeExtension("1.2.3", false, encodeNull()))).toBe("NOT_A_CA");
    expect(with_(encodeExtension(oids.basicConstraints, true, encodeSequence()))).toBe("NOT_A_CA");
    expect(
      with_(encodeExtension(oids.basicConstraints, false, encodeSequence(Uint8Array.of(1, 1, 0xff)))),
    ).toBe("NOT_A_CA");
    expect(with_(extensions.ca(), extensions.keyUsage(1, 0x02))).toBe("KEY_USAGE_WRONG");
    expect(with_(extensions.ca())).toBe("accepted");
    expect(judge({ anchors: [forge({ key: rootKey, subject: rootName })] })).toBe("NOT_A_CA");
  });

  test("a user's certificate used as a CA's", async () => {
    const authority = await createTestAuthority({ nowMs: forgedNowMs });
    const mallory = await authority.issueUser("mallory");
    const leaf = server({ issuer: mallory.certificate.subject, issuerKey: mallory.key });
    expect(judge({ leaf, intermediates: [mallory.certificate], anchors: [authority.ca] })).toBe("NOT_A_CA");
  });

  test("more intermediates than a path length allows, self-issued ones not counted", () => {
    const below = forge({
      key: otherKey,
      subject: otherName,
      issuer: caName,
      issuerKey: caKey,
      extensions: caExtensions(),
    });
    const selfIssued = forge({
      key: otherKey,
      subject: caName,
      issuer: caName,
      issuerKey: caKey,
      extensions: caExtensions(0),
    });
    const leafBelow = server({ issuer: otherName, issuerKey: otherKey });
    const leafSelf = server({ issuer: caName, issuerKey: otherKey });
    const ca = (pathLength: number) => intermediate({ extensions: caExtensions(pathLength) });
    expect(judge({ intermediates: [ca(0)] })).toBe("accepted");
    expect(judge({ leaf: leafBelow, intermediates: [ca(0), below] })).toBe("PATH_LENGTH_EXCEEDED");
    expect(judge({ leaf: leafBelow, intermediates: [ca(1), below] })).toBe("accepted");
    expect(judge({ leaf: leafSelf, intermediates: [ca(0), selfIssued] })).toBe("accepted");
    const anchor = forge({ key: rootKey, subject: rootName, extensions: caExtensions(0) });
    expect(judge({ anchors: [anchor] })).toBe("PATH_LENGTH_EXCEEDED");
    expect(judge({ maxIntermediates: 0 })).toBe("PATH_TOO_LONG");
    expect(judge({ maxIntermediates: 1 })).toBe("accepted");
    expect(judge({ leaf: leafBelow, intermediates: [ca(1), below], maxIntermediates: 1 })).toBe(
      "PATH_TOO_LONG",
    );
  });

  test("a signature by another key, over other bytes, or with an algorithm that is not accepted", () => {
    expect(judge({ leaf: server({ issuerKey: otherKey }) })).toBe("SIGNATURE_INVALID");
    expect(judge({ intermediates: [intermediate({ issuerKey: otherKey })] })).toBe("SIGNATURE_INVALID");
    const sha1 = encodeSequence(encodeOid("1.2.840.10045.4.1"));
    expect(judge({ leaf: server({ innerAlgorithm: sha1, outerAlgorithm: sha1 }) })).toBe(
      "ALGORITHM_UNSUPPORTED",
    );
    const sha384 = encodeSequence(encodeOid(oids.ecdsaWithSHA384));
    expect(judge({ leaf: server({ innerAlgorithm: sha384, outerAlgorithm: sha384 }) })).toBe(
      "SIGNATURE_INVALID",
    );
    const rsa = encodeSequence(encodeOid(oids.sha256WithRSAEncryption), encodeNull());
    expect(judge({ leaf: server({ innerAlgorithm: rsa, outerAlgorithm: rsa }) })).toBe("SIGNATURE_INVALID");
  });

  test("a host that the subjectAltName doesn't name, also when the commonName does", () => {
    expect(judge({ host: "other.example.org" })).toBe("HOST_MISMATCH");
    expect(judge({ host: "chat example" })).toBe("HOST_MALFORMED");
    const noSan = server({ extensions: serverExtensions().slice(0, 2) });
    expect(judge({ leaf: noSan })).toBe("HOST_MISMATCH");
  });

  test("an e-mail address that the subjectAltName doesn't hold", () => {
    const names = [
      extensions.leafKeyUsage(),
      extensions.extKeyUsage(oids.clientAuth),
      extensions.san(generalName.email("Alice@Example.org")),
    ];
    const request = {
      leaf: server({ extensions: names }),
      purpose: "client",
      host: undefined as never,
    } as const;
    expect(judge({ ...request, email: "Alice@example.ORG" })).toBe("accepted");
    expect(judge({ ...request, email: "alice@example.org" })).toBe("EMAIL_MISMATCH");
    expect(judge({ ...request, email: "Example.org" })).toBe("EMAIL_MISMATCH");
  });
});

describe("verifyPath() and purposes", () => {
  const used = (
    purpose: PathRequest["purpose"],
    profile: PathRequest["profile"] & string,
    ...list: Uint8Array[]
  ) =>
    judge({
      leaf: server({ extensions: list.length === 0 ? undefined : list }),
      purpose,
      profile,
      host: undefined as never,
    });
  const eku = extensions.extKeyUsage;
  const usage = extensions.leafKeyUsage();

  test("rejects a server certificate used as a client and the reverse", async () => {
    const authority = await createTestAuthority();
    const [alice, chat] = [
      await authority.issueUser("alice"),
      await authority.issueServer("chat.example.org"),
    ];
    const judgeOwn = (leaf: Certificate, purpose: PathRequest["purpose"]) =>
      codeOf(() =>
        verifyPath({
          leaf,
          intermediates: [],
          anchors: [authority.ca],
          crls: [],
          purpose,
          atMs: authority.nowMs,
        }),
      );
    expect(judgeOwn(alice.certificate, "client")).toBe("accepted");
    expect(judgeOwn(alice.certificate, "server")).toBe("EXTENDED_KEY_USAGE_WRONG");
    expect(judgeOwn(alice.certificate, "evidence")).toBe("accepted");
    expect(judgeOwn(chat.certificate, "server")).toBe("accepted");
    expect(judgeOwn(chat.certificate, "client")).toBe("EXTENDED_KEY_USAGE_WRONG");
    expect(judgeOwn(chat.certificate, "evidence")).toBe("accepted");
    expect(judgeOwn(authority.ca, "evidence")).toBe("PROFILE_VIOLATED");
  });

  test("the profile of SecureChat demands keyUsage and extendedKeyUsage, and that the leaf is no CA", () => {
    expect(used("server", "securechat", usage, eku(oids.serverAuth))).toBe("accepted");
    expect(used("server", "securechat", eku(oids.serverAuth))).toBe("KEY_USAGE_WRONG");
    expect(used("server", "securechat", usage)).toBe("EXTENDED_KEY_USAGE_WRONG");
    expect(used("server", "securechat", usage, eku(oids.anyExtendedKeyUsage))).toBe(
      "EXTENDED_KEY_USAGE_WRONG",
    );
    expect(used("server", "securechat", extensions.keyUsage(5, 0x20), eku(oids.serverAuth))).toBe(
      "KEY_USAGE_WRONG",
    );
    expect(used("evidence", "securechat", extensions.keyUsage(7, 0x80), eku(oids.emailProtection))).toBe(
      "KEY_USAGE_WRONG",
    );
    expect(used("evidence", "securechat", usage, eku(oids.clientAuth))).toBe("EXTENDED_KEY_USAGE_WRONG");
    expect(used("server", "securechat", usage, eku(oids.serverAuth), extensions.ca())).toBe(
      "PROFILE_VIOLATED",
    );
  });

  test("RFC 5280 alone restricts by what is there", () => {
    expect(used("server", "rfc5280")).toBe("accepted");
    expect(used("server", "rfc5280", extensions.keyUsage(5, 0x20))).toBe("accepted");
    expect(used("client", "rfc5280", extensions.keyUsage(5, 0x20))).toBe("KEY_USAGE_WRONG");
    expect(used("server", "rfc5280", eku(oids.clientAuth))).toBe("EXTENDED_KEY_USAGE_WRONG");
  });

  test("an intermediate's extended key usage limits what it may issue for", () => {
    const through = (...usages: string[]) =>
      judge({ intermediates: [intermediate({ extensions: [...caExtensions(), eku(...usages)] })] });
    expect(through(oids.serverAuth)).toBe("accepted");
    expect(through(oids.anyExtendedKeyUsage)).toBe("accepted");
    expect(through(oids.clientAuth)).toBe("EXTENDED_KEY_USAGE_WRONG");
  });
});

describe("verifyPath() finds", () => {
  const shuffled = <T>(items: readonly T[]) => [items, [...items].reverse()];

  test("a path whatever the order of the intermediates and whatever else is among them", () => {
    const below = forge({
      key: otherKey,
      subject: otherName,
      issuer: caName,
      issuerKey: caKey,
      extensions: caExtensions(),
    });
    const leaf = server({ issuer: otherName, issuerKey: otherKey });
    const noise = [
      forge({
        key: leafKey,
        subject: otherName,
        issuer: caName,
        issuerKey: caKey,
        extensions: caExtensions(),
      }),
      intermediate({ issuerKey: otherKey }),
      intermediate({ notAfterMs: Date.UTC(2026, 1, 1) }),
      intermediate({ extensions: [...caExtensions(), encodeExtension("1.2.3", true, encodeNull())] }),
      server(),
      root,
    ];
    for (const intermediates of shuffled([...noise, intermediate(), below, leaf]))
      expect(judge({ leaf, intermediates })).toBe("accepted");
  });

  test("the anchor behind a cross-signed CA, in either direction", () => {
    const newRoot = forge({ key: otherKey, subject: otherName, extensions: caExtensions() });
    const cross = forge({
      key: otherKey,
      subject: otherName,
      issuer: rootName,
      issuerKey: rootKey,
      extensions: caExtensions(),
    });
    const back = forge({
      key: rootKey,
      subject: rootName,
      issuer: otherName,
      issuerKey: otherKey,
      extensions: caExtensions(),
    });
    const leaf = server({ issuer: otherName, issuerKey: otherKey });
    for (const intermediates of shuffled([cross, back])) {
      expect(judge({ leaf, intermediates })).toBe("accepted");
      expect(judge({ leaf, intermediates, anchors: [newRoot] })).toBe("accepted");
      expect(
        judge({
          leaf,
          intermediates,
          anchors: [forge({ key: leafKey, subject: encodeName("Third"), extensions: caExtensions() })],
        }),
      ).toBe("NO_PATH");
    }
  });

  test("an anchor that is an intermediate CA", () => {
    expect(judge({ anchors: [intermediate()], intermediates: [root] })).toBe("accepted");
  });
});

describe("verifyPath() gives up fast", () => {
  const elapsed = (action: () => void) => {
    const start = performance.now();
    action();
    return performance.now() - start;
  };
  // 1 s is the demand for the slower provider on a busy machine; loops and blow-ups would take minutes.
  const limitMs = 1000;

  test("on a web of CAs that all signed each other", async () => {
    const names = Array.from({ length: 14 }, (_, i) => encodeName(`CA ${i}`));
    const keys: PrivateKey[] = await Promise.all(names.map(makeKey));
    const web = names.flatMap((subject, i) =>
      names.flatMap((issuer, j) =>
        i === j
          ? []
          : [
              forge({
                key: keys[i] ?? rootKey,
                subject,
                issuer,
                issuerKey: keys[j] ?? rootKey,
                extensions: caExtensions(),
              }),
            ],
      ),
    );
    const leaf = server({ issuer: names[0] ?? caName, issuerKey: keys[0] ?? caKey });
    for (const intermediates of [web, [...web].reverse()]) {
      let code = "";
      expect(elapsed(() => (code = judge({ leaf, intermediates })))).toBeLessThan(limitMs);
      expect(code).toBe("PATH_TOO_COMPLEX");
    }
  });

  test("on a hundred CAs with the same name and different keys", async () => {
    const keys = await Promise.all(Array.from({ length: 100 }, makeKey));
    const crowd = keys.map((key, i) =>
      forge({
        key,
        subject: caName,
        issuer: caName,
        issuerKey: keys[i - 1] ?? key,
        serial: encodeInteger(i + 1),
        extensions: caExtensions(),
      }),
    );
    const leaf = server({ issuer: caName, issuerKey: keys[99] ?? caKey });
    let code = "";
    expect(elapsed(() => (code = judge({ leaf, intermediates: crowd })))).toBeLessThan(limitMs);
    expect(["PATH_TOO_COMPLEX", "PATH_TOO_LONG"]).toContain(code);
  });

  test("on a long chain", async () => {
    const keys = await Promise.all(Array.from({ length: 40 }, makeKey));
    const names = keys.map((_, i) => encodeName(`CA ${i}`));
    const chain = keys.map((key, i) =>
      forge({
        key,
        subject: names[i] ?? caName,
        issuer: names[i - 1] ?? rootName,
        issuerKey: keys[i - 1] ?? rootKey,
        extensions: caExtensions(),
      }),
    );
    const leaf = server({ issuer: names[39] ?? caName, issuerKey: keys[39] ?? caKey });
    expect(judge({ leaf, intermediates: chain })).toBe("PATH_TOO_LONG");
    const within = server({ issuer: names[7] ?? caName, issuerKey: keys[7] ?? caKey });
    expect(judge({ leaf: within, intermediates: chain })).toBe("accepted");
    const beyond = server({ issuer: names[8] ?? caName, issuerKey: keys[8] ?? caKey });
    expect(judge({ leaf: beyond, intermediates: chain })).toBe("PATH_TOO_LONG");
  });
});

test.each(["p256", "rsa2048", "ed25519"] as const)(
  "verifyPath() accepts a chain of root, intermediate and users under %s",
  async (keyType) => {
    const top: TestAuthority = await createTestAuthority({ keyType, intermediates: true });
    const issuing = await top.issueIntermediate("Issuing CA", { keyType: "p256" });
    const { certificate, chain } = await issuing.issueUser("alice", undefined, { keyType: "ed25519" });
    expect(chain.length).toBe(2);
    const verified = verifyPath({
      leaf: certificate,
      intermediates: [issuing.ca],
      anchors: [top.ca],
      crls: [],
      purpose: "client",
      atMs: top.nowMs,
    });
    expect(verified.chain).toEqual([certificate, issuing.ca, top.ca]);
  },
);
