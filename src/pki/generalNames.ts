import { contextConstructed, contextPrimitive, type DerReader, readDer } from "./der.ts";
import { type DistinguishedName, decodeAscii, readName } from "./distinguishedName.ts";
import { PkiError } from "./pkiError.ts";

/** GeneralNames (RFC 5280 §4.2.1.6), sorted by kind; the text is whatever ASCII the issuer put there. */
export interface GeneralNames {
  readonly dnsNames: readonly string[];
  /** 4 or 16 octets; in a name constraint 8 or 32. */
  readonly ipAddresses: readonly Uint8Array[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
  readonly directoryNames: readonly DistinguishedName[];
  /** Tag numbers of the kinds that are not read: otherName 0, x400Address 3, ediPartyName 5, registeredID 8. */
  readonly otherKinds: readonly number[];
}

export const noGeneralNames: GeneralNames = {
  dnsNames: [],
  ipAddresses: [],
  emails: [],
  uris: [],
  directoryNames: [],
  otherKinds: [],
};

const maxNames = 4096;

/** Reads the elements of GeneralNames or, with `subtrees`, of GeneralSubtrees, each element holding one name. */
export function readGeneralNames(sequence: DerReader, form: "names" | "subtrees" = "names"): GeneralNames {
  const names = {
    dnsNames: [] as string[],
    ipAddresses: [] as Uint8Array[],
    emails: [] as string[],
    uris: [] as string[],
    directoryNames: [] as DistinguishedName[],
    otherKinds: [] as number[],
  };
  let count = 0;
  while (!sequence.atEnd) {
    if (++count > maxNames) throw new PkiError("TOO_LARGE", `more than ${maxNames} names in one extension`);
    const holder = form === "subtrees" ? sequence.sequence() : sequence;
    const name = holder.next();
    switch (name.tag) {
      case contextPrimitive(1):
        names.emails.push(ia5(name.content));
        break;
      case contextPrimitive(2):
        names.dnsNames.push(ia5(name.content));
        break;
      case contextConstructed(4):
        names.directoryNames.push(readName(name));
        name.finish();
        break;
      case contextPrimitive(6):
        names.uris.push(ia5(name.content));
        break;
      case contextPrimitive(7): {
        const length = name.content.length;
        if (length !== (form === "subtrees" ? 8 : 4) && length !== (form === "subtrees" ? 32 : 16))
          throw new PkiError("EXTENSION_MALFORMED", `iPAddress of ${length} octets`);
        names.ipAddresses.push(name.content);
        break;
      }
      case contextConstructed(0):
      case contextConstructed(3):
      case contextConstructed(5):
      case contextPrimitive(8):
        names.otherKinds.push(name.tag & 0x1f);
        break;
      default:
        throw new PkiError("EXTENSION_MALFORMED", "a GeneralName of no known kind");
    }
    // RFC 5280 §4.2.1.10: minimum is 0, hence absent in DER, and maximum is absent.
    if (form === "subtrees" && !holder.atEnd)
      throw new PkiError("EXTENSION_MALFORMED", "a name constraint with minimum or maximum");
  }
  return names;
}

/** Decodes the extension value of subjectAltName: one name at least. */
export function decodeSubjectAltName(value: Uint8Array): GeneralNames {
  const sequence = readDer(value, 0x30);
  if (sequence.atEnd) throw new PkiError("EXTENSION_MALFORMED", "subjectAltName without a name");
  return readGeneralNames(sequence);
}

function ia5(content: Uint8Array): string {
  const text = decodeAscii(content);
  // RFC 5280 §4.2.1.6, §7.2: IA5String; internationalised names are A-labels.
  if (text === undefined) throw new PkiError("EXTENSION_MALFORMED", "a name with bytes that are not ASCII");
  return text;
}
