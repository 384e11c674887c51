/** Limits of a SignedData, all inclusive; whoever made the file controls its size. */
export const cmsLimits = {
  /** The whole ContentInfo, in bytes. */
  maxBytes: 262_144,
  maxSigners: 64,
  maxCertificates: 256,
  /** For one signer. */
  maxCounterSignatures: 8,
  /** For one signer. */
  maxTimeStampTokens: 8,
} as const;
