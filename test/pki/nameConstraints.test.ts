import { describe, expect, test } from "bun:test";
import { crypto } from "../../src/crypto/crypto.ts";
import { encodeContext, encodeSequence, encodeTlv } from "../../src/pki/derWriter.ts";
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
const [rootKey, caKey, leafKey] = [await makeKey(), await makeKey(), await makeKey()];
const [rootName, caName] = [encodeName("Root"), encodeName("CA")];
const { dns, email, ip, uri, directory, other } = generalName;

interface Tree {
  permitted?: Uint8Array[];
  excluded?: Uint8Array[];
}

/** Root without constraints, CA with them, leaf with these names. */
function judge(constraints: Tree | Uint8Array, names: Uint8Array[], subject = encodeName("leaf")): string {
  return codeOf(() => {
    const root = forge({ key: rootKey, subject: rootName, extensions: [extensions.ca()] });
    const extension =
      constraints instanceof Uint8Array ? constraints : extensions.nameConstraints(constraints);
    const ca = forge({
      key: caKey,
      subject: caName,
      issuer: rootName,
      issuerKey: rootKey,
      extensions: [extensions.ca(), extension],
    });
    const leaf = forge({
      key: leafKey,
      subject,
      issuer: caName,
      issuerKey: caKey,
      extensions: names.length === 0 ? undefined : [extensions.san(...names)],
    });
    verifyPath({
      leaf,
      intermediates: [ca],
      anchors: [root],
      crls: [],
      purpose: "server",
      profile: "rfc5280",
      atMs: forgedNowMs,
    });
  });
}

type Case = [verdict: "ok" | "no", constraint: string, name: string];
const run = (kind: (text: string) => Uint8Array, list: "permitted" | "excluded", cases: Case[]) => {
  for (const [verdict, constraint, name] of cases) {
    const code = judge({ [list]: [kind(constraint)] }, [kind(name)]);
    if (code !== (verdict === "ok" ? "accepted" : "NAME_CONSTRAINT_VIOLATED"))
      throw new Error(`${list} ${constraint} with ${name}: ${code}, expected ${verdict}`);
  }
};

describe("name constraints", () => {
  test("judge dNSName by whole labels and without case; a wildcard stands for all that it matches", () => {
    run(dns, "permitted", [
      ["ok", "example.com", "example.com"],
      ["ok", "Example.com", "a.B.EXAMPLE.com"],
      ["no", "example.com", "notexample.com"],
      ["no", "example.com", "com"],
      ["ok", "", "example.com"],
      ["ok", "example.com", "*.example.com"],
      ["no", "foo.example.com", "*.example.com"],
      ["no", "example.com", ".example.com"],
      ["no", "example.com", "a..example.com"],
      ["no", "example.com", "*"],
      ["no", "example.com", "a*.example.com"],
      ["no", "example.com", "a.example.com."],
    ]);
    run(dns, "excluded", [
      ["no", "example.com", "example.com"],
      ["no", "example.com", "a.example.com"],
      ["ok", "example.com", "notexample.com"],
      ["ok", "a.example.com", "example.com"],
      ["no", "bar.example.com", "*.example.com"],
      ["ok", "a.bar.example.com", "*.example.com"],
      ["no", "example.com", "*.com"],
      ["no", "", "example.com"],
      ["ok", "bar.example.com", "*.example.org"],
      ["no", "example.com", "a_b.org"],
    ]);
  });

  test("judge rfc822Name by mailbox, host or domain", () => {
    run(email, "permitted", [
      ["ok", "a@example.com", "a@example.com"],
      ["ok", "a@Example.com", "a@example.COM"],
      ["no", "a@example.com", "A@example.com"],
      ["no", "a@example.com", "b@example.com"],
      ["ok", "example.com", "b@example.com"],
      ["no", "example.com", "b@a.example.com"],
      ["ok", ".example.com", "b@a.example.com"],
      ["no", ".example.com", "b@example.com"],
      ["no", ".example.com", "b@notexample.com"],
      ["no", "example.com", "a@b@example.com"],
      ["no", "example.com", "example.com"],
      ["ok", "", "a@example.com"],
      ["no", "*@example.com", "a@example.com"],
      ["ok", "*@example.com", "*@example.com"],
    ]);
    run(email, "excluded", [
      ["no", "example.com", "b@example.com"],
      ["ok", "example.com", "b@example.org"],
      ["no", "example.com", "x@y@z"],
      ["no", "", "a@b.org"],
    ]);
  });

  test("judge an emailAddress in the subject as an rfc822Name", () => {
    const subject = encodeName("leaf", [oids.emailAddress, "a@evil.org"]);
    expect(judge({ permitted: [email("example.com")] }, [dns("x.org")], subject)).toBe(
      "NAME_CONSTRAINT_VIOLATED",
    );
    expect(judge({ excluded: [email("evil.org")] }, [], subject)).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge({ excluded: [email("example.com")] }, [], subject)).toBe("accepted");
  });

  test("judge iPAddress by its mask, IPv4 and IPv6 apart", () => {
    const net = ip(192, 0, 2, 0, 255, 255, 255, 0);
    const net6 = ip(
      0x20,
      1,
      0xd,
      0xb8,
      ...new Array<number>(12).fill(0),
      255,
      255,
      255,
      255,
      ...new Array<number>(12).fill(0),
    );
    const address6 = (last: number) => ip(0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), last);
    expect(judge({ permitted: [net] }, [ip(192, 0, 2, 77)])).toBe("accepted");
    expect(judge({ permitted: [net] }, [ip(192, 0, 3, 77)])).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge({ permitted: [net] }, [address6(1)])).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge({ permitted: [net, net6] }, [address6(1), ip(192, 0, 2, 1)])).toBe("accepted");
    expect(judge({ excluded: [net6] }, [address6(1)])).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge({ excluded: [net6] }, [ip(192, 0, 2, 1)])).toBe("accepted");
  });

  test("judge URIs by their host, and refuse those without one", () => {
    run(uri, "permitted", [
      ["ok", "example.com", "https://u@Example.com:8443/path?x#y"],
      ["no", "example.com", "https://a.example.com/"],
      ["ok", ".example.com", "ldap://a.example.com"],
      ["no", "example.com", "urn:example.com"],
      ["no", "example.com", "https://[2001:db8::1]/"],
      ["no", "example.com", "https://192.0.2.1/"],
      ["no", "example.com", "https://evil.org/@example.com"],
      ["no", "example.com", "https://example.com@evil.org/"],
    ]);
    run(uri, "excluded", [
      ["no", "example.com", "https://example.com"],
      ["ok", "example.com", "https://example.org"],
      ["no", "example.com", "mailto:a@b.org"],
    ]);
  });

  test("judge directoryName by its first RDNs, in the subject and in the subjectAltName", () => {
    const inside = encodeName("leaf", ["2.5.4.10", "Example"]);
    const outside = encodeName("leaf", ["2.5.4.10", "EXAMPLE"]);
    const organisation = encodeSequence(inside.subarray(2, 2 + 2 + (inside[3] ?? 0)));
    const permitted = { permitted: [directory(organisation)] };
    expect(judge(permitted, [], inside)).toBe("accepted");
    expect(judge(permitted, [], outside)).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge(permitted, [directory(outside)], inside)).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge(permitted, [directory(inside)], inside)).toBe("accepted");
    expect(judge({ excluded: [directory(organisation)] }, [], inside)).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge({ excluded: [directory(organisation)] }, [], outside)).toBe("accepted");
    expect(judge({ permitted: [directory(encodeName("leaf"))] }, [], encodeName("leaf\u200b"))).toBe(
      "NAME_CONSTRAINT_VIOLATED",
    );
  });

  test("refuse a kind of name that can't be judged only where it occurs", () => {
    expect(judge({ excluded: [other()] }, [other()])).toBe("NAME_CONSTRAINT_UNSUPPORTED");
    expect(judge({ permitted: [other()] }, [dns("a.org")])).toBe("accepted");
    expect(judge({ permitted: [dns("a.org")] }, [other(), dns("a.org")])).toBe("accepted");
  });

  test("demand every name, and let a kind without constraints pass", () => {
    const both = { permitted: [dns("a.org")], excluded: [dns("b.a.org")] };
    expect(judge(both, [dns("a.org"), dns("c.a.org")])).toBe("accepted");
    expect(judge(both, [dns("a.org"), dns("evil.org")])).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge(both, [dns("a.org"), dns("b.a.org")])).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judge(both, [ip(1, 2, 3, 4), email("a@evil.org")])).toBe("accepted");
    expect(judge(both, [])).toBe("accepted");
  });

  test.each<[string, Uint8Array]>([
    ["an empty sequence", encodeSequence()],
    ["an empty list", encodeSequence(encodeContext(0))],
    ["NULL lists", encodeSequence(encodeTlv(0x80), encodeTlv(0x81))],
    ["a leading dot in a dNSName", encodeSequence(encodeContext(0, encodeSequence(dns(".example.com"))))],
    ["a wildcard in a dNSName", encodeSequence(encodeContext(0, encodeSequence(dns("*.example.com"))))],
    ["a mailbox with two @", encodeSequence(encodeContext(0, encodeSequence(email("a@b@example.com"))))],
    ["an address without a mask", encodeSequence(encodeContext(0, encodeSequence(ip(1, 2, 3, 4))))],
    ["a mask with holes", encodeSequence(encodeContext(0, encodeSequence(ip(1, 2, 3, 4, 255, 0, 255, 0))))],
    [
      "a mask with holes in one octet",
      encodeSequence(encodeContext(0, encodeSequence(ip(1, 2, 3, 4, 255, 0xa0, 0, 0)))),
    ],
    [
      "a minimum",
      encodeSequence(encodeContext(0, encodeSequence(dns("a.org"), encodeTlv(0x80, Uint8Array.of(1))))),
    ],
    [
      "a maximum",
      encodeSequence(encodeContext(0, encodeSequence(dns("a.org"), encodeTlv(0x81, Uint8Array.of(1))))),
    ],
    ["a URI as a constraint", encodeSequence(encodeContext(0, encodeSequence(uri("https://a.org"))))],
  ])("with %s are malformed", (_what, value) => {
    expect(judge(encodeExtension(oids.nameConstraints, true, value), [])).toBe("EXTENSION_MALFORMED");
  });

  test("bind self-issued intermediates not, the leaf always, and hold when the extension is not critical", () => {
    const constraints = extensions.nameConstraints({ permitted: [dns("a.org")] });
    const root = forge({ key: rootKey, subject: rootName, extensions: [extensions.ca(), constraints] });
    const rollover = forge({
      key: caKey,
      subject: rootName,
      issuer: rootName,
      issuerKey: rootKey,
      extensions: [extensions.ca(), extensions.san(dns("evil.org"))],
    });
    const judgeLeaf = (name: string, subject = encodeName("leaf")) =>
      codeOf(() => {
        const leaf = forge({
          key: leafKey,
          subject,
          issuer: rootName,
          issuerKey: caKey,
          extensions: [extensions.san(dns(name))],
        });
        verifyPath({
          leaf,
          intermediates: [rollover],
          anchors: [root],
          crls: [],
          purpose: "server",
          profile: "rfc5280",
          atMs: forgedNowMs,
        });
      });
    expect(judgeLeaf("a.org")).toBe("accepted");
    expect(judgeLeaf("evil.org")).toBe("NAME_CONSTRAINT_VIOLATED");
    expect(judgeLeaf("evil.org", rootName)).toBe("NAME_CONSTRAINT_VIOLATED");
    const loose = encodeExtension(
      oids.nameConstraints,
      false,
      encodeSequence(encodeContext(0, encodeSequence(dns("a.org")))),
    );
    expect(judge(loose, [dns("evil.org")])).toBe("NAME_CONSTRAINT_VIOLATED");
  });

  test("of thousands against thousands of names are refused for their cost", () => {
    const many = Array.from({ length: 600 }, (_, i) => dns(`n${i}.example.com`));
    const start = performance.now();
    expect(
      judge(
        { excluded: many },
        many.map((_, i) => dns(`m${i}.example.com`)),
      ),
    ).toBe("PATH_TOO_COMPLEX");
    expect(performance.now() - start).toBeLessThan(1000);
    const tooMany = Array.from({ length: 4097 }, (_, i) => dns(`${i}.a`));
    expect(judge({ excluded: [dns("x.org")] }, tooMany)).toBe("TOO_LARGE");
  });
});
