import { isHex } from "../base/hex.ts";
import type { Change } from "./changeFeed.ts";

/**
 * A change as text, one form a kind: `log <conversation> <from> <size>`, with ` members` behind it when these are others
 * now; `receipt <conversation> <size>`; `account <id>`; `crl`; `restoring`;
 * `delivered <conversation> <member> <size>`.
 */
export function formatChange(change: Change): string {
  switch (change.kind) {
    case "log": {
      const { conversation, from, size, members } = change;
      return `log ${conversation} ${from} ${size}${members ? " members" : ""}`;
    }
    case "receipt":
      return `receipt ${change.conversation} ${change.size}`;
    case "account":
      return `account ${change.account}`;
    case "crl":
    case "restoring":
      return change.kind;
    case "delivered":
      return `delivered ${change.conversation} ${change.member} ${change.size}`;
  }
}

/** @returns `undefined` for what nobody here writes: anybody with access to the database may notify */
export function parseChange(text: string): Change | undefined {
  const [kind, ...fields] = text.split(" ");
  switch (kind) {
    case "log": {
      const [conversation = "", fromText, sizeText, members, ...rest] = fields;
      const [from, size] = [numberOf(fromText), numberOf(sizeText)];
      if (!isHex(conversation, 16) || from === undefined || size === undefined || size <= from)
        return undefined;
      if (rest.length > 0 || (members !== undefined && members !== "members")) return undefined;
      return { kind, conversation, from, size, members: members !== undefined };
    }
    case "receipt": {
      const [conversation = "", sizeText, ...rest] = fields;
      const size = numberOf(sizeText);
      if (!isHex(conversation, 16) || size === undefined || size === 0 || rest.length > 0) return undefined;
      return { kind, conversation, size };
    }
    case "account": {
      const [accountText, ...rest] = fields;
      const account = numberOf(accountText);
      return account === undefined || rest.length > 0 ? undefined : { kind, account };
    }
    case "crl":
    case "restoring":
      return fields.length > 0 ? undefined : { kind };
    case "delivered": {
      const [conversation = "", member = "", sizeText, ...rest] = fields;
      const size = numberOf(sizeText);
      if (!isHex(conversation, 16) || !isHex(member, 32) || size === undefined || size === 0)
        return undefined;
      return rest.length > 0 ? undefined : { kind, conversation, member, size };
    }
    default:
      return undefined;
  }
}

function numberOf(text: string | undefined): number | undefined {
  const value = /^(?:0|[1-9][0-9]{0,15})$/.test(text ?? "") ? Number(text) : undefined;
  return Number.isSafeInteger(value) ? value : undefined;
}
