import { expect, test } from "bun:test";
import { noGeneralNames } from "../../src/pki/generalNames.ts";
import { formatIpAddress, matchesHost, parseHost, parseIpAddress } from "../../src/pki/hostName.ts";
import { codeOf } from "./codeOf.ts";

const matches = (dnsNames: string[], host: string) =>
  matchesHost({ ...noGeneralNames, dnsNames }, parseHost(host));

test.each([
  "",
  ".",
  "a.",
  ".a",
  "a..b",
  "-a.org",
  "a-.org",
  "a_b.org",
  "bücher.de",
  "a b.org",
  "1.2.3",
  "256.1.1.1",
  "01.2.3.4",
  "1.2.3.4.5",
  "0x7f.1",
  "[::1]",
  "fe80::1%eth0",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "12345::",
  `${"a".repeat(64)}.org`,
  `${"a.".repeat(127)}org`,
  "*.example.com",
  "a\0.org",
])("parseHost() rejects %j", (text) => {
  expect(codeOf(() => parseHost(text))).toBe("HOST_MALFORMED");
});

test.each([
  ["1.2.3.4", "1.2.3.4"],
  ["::1", "::1"],
  ["::", "::"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["::ffff:10.0.0.1", "::ffff:a00:1"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["0:0:1::", "0:0:1::"],
])("parseIpAddress() reads %s as %s", (text, formatted) => {
  expect(formatIpAddress(parseIpAddress(text) ?? new Uint8Array())).toBe(formatted);
});

test("matchesHost() compares DNS names without case and nothing else", () => {
  expect(matches(["Example.COM"], "example.com")).toBe(true);
  expect(matches(["localhost"], "localhost")).toBe(true);
  expect(matches(["example.com."], "example.com")).toBe(false);
  expect(matches([" example.com"], "example.com")).toBe(false);
  expect(matches(["example.com\0.evil.org"], "example.com")).toBe(false);
  expect(matches(["xn--bcher-kva.de"], "xn--bcher-kva.de")).toBe(true);
});

test("matchesHost() takes a wildcard as the whole left label of a name of two labels more, for one label", () => {
  expect(matches(["*.example.com"], "a.example.com")).toBe(true);
  expect(matches(["*.example.com"], "example.com")).toBe(false);
  expect(matches(["*.example.com"], "a.b.example.com")).toBe(false);
  for (const [name, host] of [
    ["*", "localhost"],
    ["*.com", "example.com"],
    ["a*.example.com", "ab.example.com"],
    ["*a.example.com", "ba.example.com"],
    ["a.*.com", "a.example.com"],
    ["*.*.com", "a.example.com"],
    ["xn--*.example.com", "xn--a.example.com"],
  ] as const)
    expect(matches([name], host)).toBe(false);
});

test("matchesHost() compares IP literals with iPAddress only, never with a dNSName", () => {
  const ip = { ...noGeneralNames, ipAddresses: [Uint8Array.of(127, 0, 0, 1)] };
  expect(matchesHost(ip, parseHost("127.0.0.1"))).toBe(true);
  expect(matchesHost(ip, parseHost("::ffff:127.0.0.1"))).toBe(false);
  expect(matches(["127.0.0.1"], "127.0.0.1")).toBe(false);
});
