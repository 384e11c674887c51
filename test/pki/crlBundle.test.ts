import { beforeAll, describe, expect, test } from "bun:test";
import { maxCrlsPerFile, parseCrlBundle } from "../../src/pki/crlBundle.ts";
import { authorityKey, findCrlIssuer } from "../../src/pki/crlIssuer.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { codeOf } from "./codeOf.ts";
import { createTestAuthority, type TestAuthority } from "./testAuthority.ts";

let root: TestAuthority;
let issuing: TestAuthority;
beforeAll(async () => {
  root = await createTestAuthority({ intermediates: true });
  issuing = await root.issueIntermediate("Issuing CA");
});

const bytes = (...pem: readonly string[]) => new TextEncoder().encode(pem.join(""));
const list = (authority: TestAuthority, number = 1n) =>
  formatPem("X509 CRL", authority.crl([], { number }).der);

describe("parseCrlBundle()", () => {
  test("reads one list in DER, and lists and certificates in PEM", () => {
    expect(parseCrlBundle(root.crl().der).crls).toHaveLength(1);
    const bundle = parseCrlBundle(
      bytes(list(root), "text between\n", formatPem("CERTIFICATE", issuing.ca.der), list(issuing, 7n)),
    );
    expect(bundle.crls.map(({ number }) => number)).toEqual([1n, 7n]);
    expect(bundle.certificates.map(({ fingerprint }) => fingerprint)).toEqual([issuing.ca.fingerprint]);
  });

  test("refuses a file without a list, with a key in it, with a torn block, and with too many", () => {
    const key = formatPem("PRIVATE KEY", Uint8Array.of(1, 2, 3));
    const refused: [string, Uint8Array][] = [
      ["PEM_MALFORMED", new Uint8Array(0)],
      ["PEM_MALFORMED", bytes(formatPem("CERTIFICATE", issuing.ca.der))],
      ["PEM_MALFORMED", bytes(list(root), key)],
      ["PEM_MALFORMED", bytes(list(root)).subarray(0, -10)],
      ["TOO_LARGE", bytes(list(root).repeat(maxCrlsPerFile + 1))],
      ["CRL_MALFORMED", root.crl().der.subarray(0, -1)],
    ];
    for (const [code, file] of refused) expect(codeOf(() => parseCrlBundle(file))).toBe(code);
    expect(parseCrlBundle(bytes(list(root).repeat(maxCrlsPerFile))).crls).toHaveLength(maxCrlsPerFile);
  });
});

describe("findCrlIssuer()", () => {
  const atMs = Date.now();
  const find = (
    authority: TestAuthority,
    authorities: readonly TestAuthority[],
    anchors = [root.ca],
    at = atMs,
  ) =>
    findCrlIssuer(authority.crl(), { anchors, authorities: authorities.map(({ ca }) => ca), atMs: at })
      .fingerprint;

  test("finds an anchor, and an issuing CA with a path to one", () => {
    expect(find(root, [])).toBe(root.ca.fingerprint);
    expect(find(issuing, [issuing])).toBe(issuing.ca.fingerprint);
  });

  test("refuses a stranger's list, and that of a CA which no path vouches for", async () => {
    const stranger = await createTestAuthority({ name: "Stranger", intermediates: true });
    const below = await stranger.issueIntermediate("Issuing CA");
    expect(codeOf(() => find(stranger, []))).toBe("CRL_ISSUER_MISMATCH");
    expect(codeOf(() => find(issuing, []))).toBe("CRL_ISSUER_MISMATCH");
    // Same name as ours, its own key and path.
    expect(codeOf(() => find(below, [issuing]))).toBe("CRL_SIGNATURE_INVALID");
    expect(codeOf(() => find(below, [below, stranger]))).toBe("NO_PATH");
  });

  test("refuses the list of an issuing CA that has expired", () => {
    expect(codeOf(() => find(issuing, [issuing], [root.ca], issuing.ca.notAfterMs + 1000))).toBe("EXPIRED");
  });
});

test("authorityKey() is that of name and key, whatever the certificate", async () => {
  const pkcs8 = issuing.caPkcs8;
  const renewed = await root.issueIntermediate("Issuing CA", { pkcs8 });
  expect(renewed.ca.fingerprint).not.toBe(issuing.ca.fingerprint);
  expect(authorityKey(renewed.ca)).toBe(authorityKey(issuing.ca));
  const other = await root.issueIntermediate("Issuing CA");
  expect(authorityKey(other.ca)).not.toBe(authorityKey(issuing.ca));
});
