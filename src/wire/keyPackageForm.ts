import { base64 } from "../base/schema.ts";

export const maxKeyPackageBytes = 12 * 1024;

/** A key package as it travels. */
export const keyPackage = base64({ min: 1, max: maxKeyPackageBytes });
