import { expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { countersign } from "../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../src/pki/cms/mergeSignedData.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import { maxReceiptBytes } from "../../src/wire/sessionMessages.ts";
import { createTestAuthority, type Issued } from "../pki/testAuthority.ts";

test("a receipt by as many as a file may hold fits into a message", async () => {
  const authority = await createTestAuthority();
  const content = encodeUtf8('{"type":"receipt"}');
  const by = ({ certificate, key }: Issued) => ({
    ...{ certificate, key, signingTimeMs: Date.now(), includeCertificates: [] },
  });
  const server = by(await authority.issueServer("chat.example.org"));
  let receipt = signDetached({ content, ...server });
  for (let i = 1; i < 64; i++) {
    const member = by(await authority.issueUser(`member-with-a-rather-long-name.${i}`.slice(0, 32)));
    const signed = signDetached({ content, ...member });
    receipt = countersign(mergeSignedData(receipt, signed), member.certificate.fingerprint, server);
  }
  expect(decodeSignedData(receipt).signers).toHaveLength(64);
  expect(receipt.length).toBeLessThanOrEqual(maxReceiptBytes);
});
