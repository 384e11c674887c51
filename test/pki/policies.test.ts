import { describe, expect, test } from "bun:test";
import { crypto } from "../../src/crypto/crypto.ts";
import { encodeInteger, encodeOid, encodeSequence, encodeTlv } from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { codeOf } from "./codeOf.ts";
import {
  encodeExtension,
  encodeName,
  extensions,
  forge,
  forgedNowMs,
  generalName,
} from "./forgedCertificate.ts";

const makeKey = async () => crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
const [rootKey, caKey, middleKey, leafKey] = [
  await makeKey(),
  await makeKey(),
  await makeKey(),
  await makeKey(),
];
const [rootName, caName] = [encodeName("Root"), encodeName("CA")];

describe("policy constraints", () => {
  const policies = (...list: string[]) =>
    encodeExtension(
      oids.certificatePolicies,
      false,
      encodeSequence(...list.map((oid) => encodeSequence(encodeOid(oid)))),
    );
  const requireExplicit = (skip: number) =>
    encodeExtension(oids.policyConstraints, true, encodeSequence(encodeTlv(0x80, Uint8Array.of(skip))));
  const mapping = (from: string, to: string) =>
    encodeExtension(
      oids.policyMappings,
      true,
      encodeSequence(encodeSequence(encodeOid(from), encodeOid(to))),
    );
  const [a, b] = ["1.2.3.1", "1.2.3.2"];

  function judgePolicies(
    caExtensions: Uint8Array[],
    leafExtensions: Uint8Array[],
    middleExtensions?: Uint8Array[],
  ): string {
    return codeOf(() => {
      const middleName = encodeName("Middle");
      const root = forge({ key: rootKey, subject: rootName, extensions: [extensions.ca()] });
      const ca = forge({
        key: caKey,
        subject: caName,
        issuer: rootName,
        issuerKey: rootKey,
        extensions: [extensions.ca(), ...caExtensions],
      });
      const middle = forge({
        key: middleKey,
        subject: middleName,
        issuer: caName,
        issuerKey: caKey,
        extensions: [extensions.ca(), ...(middleExtensions ?? [])],
      });
      const [issuer, issuerKey] = middleExtensions === undefined ? [caName, caKey] : [middleName, middleKey];
      const leaf = forge({
        key: leafKey,
        issuer,
        issuerKey,
        extensions: [extensions.san(generalName.dns("a.org")), ...leafExtensions],
      });
      verifyPath({
        leaf,
        intermediates: [ca, middle],
        anchors: [root],
        crls: [],
        purpose: "server",
        profile: "rfc5280",
        atMs: forgedNowMs,
      });
    });
  }

  test("without a demand for explicit policies policies don't matter", () => {
    expect(judgePolicies([policies(a)], [policies(b)])).toBe("accepted");
    expect(judgePolicies([policies(a)], [])).toBe("accepted");
  });

  test("requireExplicitPolicy demands one policy all the way", () => {
    expect(judgePolicies([requireExplicit(0), policies(a)], [policies(a, b)])).toBe("accepted");
    expect(judgePolicies([requireExplicit(0), policies(a)], [policies(b)])).toBe("POLICY_REQUIRED");
    expect(judgePolicies([requireExplicit(0), policies(a)], [])).toBe("POLICY_REQUIRED");
    expect(judgePolicies([requireExplicit(0)], [policies(a)])).toBe("POLICY_REQUIRED");
    expect(judgePolicies([requireExplicit(0), policies(oids.anyPolicy)], [policies(b)])).toBe("accepted");
    expect(judgePolicies([requireExplicit(0), policies(a)], [policies(oids.anyPolicy)])).toBe("accepted");
    expect(judgePolicies([policies(a)], [policies(b), requireExplicit(0)])).toBe("POLICY_REQUIRED");
  });

  test("requireExplicitPolicy counts the certificates that it skips", () => {
    expect(judgePolicies([requireExplicit(2), policies(a)], [policies(b)])).toBe("accepted");
    expect(judgePolicies([requireExplicit(1), policies(a)], [policies(b)])).toBe("POLICY_REQUIRED");
    expect(judgePolicies([requireExplicit(3), policies(a)], [policies(b)], [policies(a)])).toBe("accepted");
    expect(judgePolicies([requireExplicit(1), policies(a)], [policies(b)], [policies(a)])).toBe(
      "POLICY_REQUIRED",
    );
  });

  test("policies are mapped unless that is inhibited, and anyPolicy counts unless that is", () => {
    expect(judgePolicies([requireExplicit(0), policies(a), mapping(a, b)], [policies(b)])).toBe("accepted");
    expect(judgePolicies([requireExplicit(0), policies(a), mapping(a, b)], [policies(a)])).toBe(
      "POLICY_REQUIRED",
    );
    const inhibitMapping = encodeExtension(
      oids.policyConstraints,
      true,
      encodeSequence(encodeTlv(0x80, Uint8Array.of(0)), encodeTlv(0x81, Uint8Array.of(0))),
    );
    expect(judgePolicies([inhibitMapping, policies(a)], [policies(b)], [policies(a), mapping(a, b)])).toBe(
      "POLICY_REQUIRED",
    );
    expect(
      judgePolicies([requireExplicit(0), policies(a)], [policies(b)], [policies(a), mapping(a, b)]),
    ).toBe("accepted");
    const inhibitAny = encodeExtension(oids.inhibitAnyPolicy, true, encodeInteger(0));
    expect(judgePolicies([requireExplicit(0), policies(a), inhibitAny], [policies(oids.anyPolicy)])).toBe(
      "POLICY_REQUIRED",
    );
  });
});
