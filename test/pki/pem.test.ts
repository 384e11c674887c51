import { expect, test } from "bun:test";
import { formatPem, parsePem } from "../../src/pki/pem.ts";
import { codeOf } from "./codeOf.ts";

const block = formatPem("CERTIFICATE", new Uint8Array(100).fill(7));

test("formatPem() writes 64 columns and LF, parsePem() reads it back", () => {
  expect(block.split("\n").map((line) => line.length)).toEqual([27, 64, 64, 8, 25, 0]);
  expect(parsePem(block, "CERTIFICATE")).toEqual([new Uint8Array(100).fill(7)]);
});

test("parsePem() returns all blocks of the label in order, skips others and text between, takes CRLF", () => {
  const second = formatPem("CERTIFICATE", Uint8Array.of(1));
  const text = `subject: alice\n${block}\n${formatPem("X509 CRL", Uint8Array.of(9))}# comment\n${second}`;
  expect(parsePem(text.replaceAll("\n", "\r\n"), "CERTIFICATE")).toEqual([
    new Uint8Array(100).fill(7),
    Uint8Array.of(1),
  ]);
  expect(parsePem("", "CERTIFICATE")).toEqual([]);
});

test.each([
  ["no END line", block.replace(/-----END.*\n/, "")],
  ["another label at the end", block.replace("END CERTIFICATE", "END X509 CRL")],
  ["END without BEGIN", block.replace(/-----BEGIN.*\n/, "")],
  ["a block inside of a block", block.replace("\nBwc", "\n-----BEGIN CERTIFICATE-----\nBwc")],
  ["headers of RFC 1421", block.replace("\nBwc", "\nProc-Type: 4,ENCRYPTED\nBwc")],
  ["a character that is not base64", block.replace("Bwc", "Bw*")],
  ["padding in the middle", block.replace("Bwc", "Bw=")],
  ["missing padding", block.replace(/=+\n/, "\n")],
  ["an empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
  ["a BEGIN line with text before it", block.replace("-----BEGIN", "x-----BEGIN")],
])("parsePem() rejects %s", (_what, text) => {
  expect(codeOf(() => parsePem(text, "CERTIFICATE"))).toBe("PEM_MALFORMED");
});

test("parsePem() rejects more than 1024 blocks and more than 8 Mi characters", () => {
  const small = formatPem("A1", Uint8Array.of(1));
  expect(parsePem(small.repeat(1024), "A1").length).toBe(1024);
  expect(codeOf(() => parsePem(small.repeat(1025), "A1"))).toBe("TOO_LARGE");
  expect(codeOf(() => parsePem("\n".repeat(8 * 1024 * 1024 + 1), "A1"))).toBe("TOO_LARGE");
});
