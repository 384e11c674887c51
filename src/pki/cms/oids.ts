/** What CMS has of its own besides ../oids.ts, in dotted decimals, named as in the RFC that defines them. */
export const cmsOids = {
  // content types, RFC 5652 §4 and §5.1
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  // attributes, RFC 5652 §11
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingTime: "1.2.840.113549.1.9.5",
  counterSignature: "1.2.840.113549.1.9.6",
  // RFC 8551 §2.5.2
  smimeCapabilities: "1.2.840.113549.1.9.15",
  // RFC 5035 §3
  signingCertificateV2: "1.2.840.113549.1.9.16.2.47",
  // RFC 3161 Appendix A: id-aa-timeStampToken
  timeStampToken: "1.2.840.113549.1.9.16.2.14",
  // RFC 3370 §3.2
  rsaEncryption: "1.2.840.113549.1.1.1",
} as const;
