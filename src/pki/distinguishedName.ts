import { decodeUtf8 } from "../base/bytes.ts";
import { visible } from "../base/visible.ts";
import { type DerReader, derTags } from "./der.ts";
import { malformedDer } from "./derScalars.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

/**
 * A Name (RFC 5280 §4.1.2.4). Names are equal when their DER is equal: no folding of case, blanks or string types,
 * which is where look-alikes get in.
 */
export interface DistinguishedName {
  /** The Name, DER. */
  readonly der: Uint8Array;
  /** Each RelativeDistinguishedName, DER, in order. */
  readonly rdns: readonly Uint8Array[];
  readonly attributes: readonly NameAttribute[];
}

export interface NameAttribute {
  readonly type: string;
  /** The tag of the string type. */
  readonly tag: number;
  /** `undefined` when the type of string is none that is read here (TeletexString, UniversalString). */
  readonly text: string | undefined;
}

const maxAttributes = 4096;

/** Reads one Name. @throws {PkiError} `DER_MALFORMED`, `TOO_LARGE` */
export function readName(reader: DerReader): DistinguishedName {
  const name = reader.sequence();
  const rdns: Uint8Array[] = [];
  const attributes: NameAttribute[] = [];
  while (!name.atEnd) {
    const rdn = name.next(derTags.set);
    rdns.push(rdn.encoded);
    do {
      const attribute = rdn.sequence();
      const type = attribute.oid();
      const value = attribute.next();
      attribute.finish();
      if (attributes.length === maxAttributes)
        throw new PkiError("TOO_LARGE", `a name of over ${maxAttributes} attributes`);
      const text = decodeText(value.tag, value.content);
      attributes.push({ type, tag: value.tag, text });
    } while (!rdn.atEnd);
  }
  return { der: name.encoded, rdns, attributes };
}

/** The text of the one commonName; `undefined` when there is none, more than one, or it is no UTF8String or PrintableString. */
export function commonNameOf(name: DistinguishedName): string | undefined {
  const found = name.attributes.filter((attribute) => attribute.type === oids.commonName);
  const [only] = found;
  if (only === undefined || found.length > 1) return undefined;
  return only.tag === derTags.utf8String || only.tag === derTags.printableString ? only.text : undefined;
}

const shortNames: ReadonlyMap<string, string> = new Map([
  [oids.commonName, "CN"],
  ["2.5.4.5", "serialNumber"],
  ["2.5.4.6", "C"],
  ["2.5.4.7", "L"],
  ["2.5.4.8", "ST"],
  ["2.5.4.10", "O"],
  ["2.5.4.11", "OU"],
  [oids.emailAddress, "emailAddress"],
]);

/** For people, as `CN=alice, O=Example`, first attribute first; what could mislead a terminal is escaped. */
export function formatName(name: DistinguishedName): string {
  const shown = name.attributes.slice(0, 16).map(({ type, text }) => {
    const value =
      text === undefined ? "(unreadable)" : visible(text.slice(0, 256)).replace(/[\\,+=]/g, "\\$&");
    return `${shortNames.get(type) ?? type}=${value}`;
  });
  if (name.attributes.length > shown.length) shown.push("…");
  return shown.join(", ");
}

/** @returns `undefined` for types that are not read. @throws {PkiError} when the bytes don't fit the type */
function decodeText(tag: number, content: Uint8Array): string | undefined {
  switch (tag) {
    case derTags.utf8String:
      return fitting(decodeUtf8(content));
    // PrintableString in the wild has `*`, `@` and `&`; any ASCII is let pass.
    case derTags.printableString:
    case derTags.ia5String:
    case derTags.numericString:
    case derTags.visibleString:
      return fitting(decodeAscii(content));
    case derTags.bmpString: {
      let text = "";
      for (let i = 0; i < content.length; i += 2)
        text += String.fromCharCode(((content[i] ?? 0) << 8) | (content[i + 1] ?? 0));
      return fitting(content.length % 2 === 0 && text.isWellFormed() ? text : undefined);
    }
    default:
      return undefined;
  }
}

function fitting(text: string | undefined): string {
  if (text === undefined) throw malformedDer("characters that the type of string does not have");
  return text;
}

/** @returns the text, or `undefined` when a byte is not ASCII */
export function decodeAscii(bytes: Uint8Array): string | undefined {
  for (const byte of bytes) if (byte >= 0x80) return undefined;
  return decodeUtf8(bytes);
}
