import { byteEdits, type Edit, join } from "./byteEdits.ts";
import { editDer } from "./derEdits.ts";
import { editJson } from "./jsonEdits.ts";
import type { Prng } from "./prng.ts";
import { editJsonLines, editPem } from "./textEdits.ts";

/** What an input is made of: the edits that know it are chosen most of the time. */
export type Form = "bytes" | "der" | "json" | "jsonLines" | "pem" | "derOrPem";

const editDerOrPem: Edit = (prng, bytes, others) =>
  (bytes[0] === 0x2d ? editPem : editDer)(prng, bytes, others);

const formEdits: Record<Exclude<Form, "bytes">, Edit> = {
  der: editDer,
  json: editJson,
  jsonLines: editJsonLines,
  pem: editPem,
  derOrPem: editDerOrPem,
};

/** @returns a changed copy: one to six edits, one mostly */
export function mutate(
  prng: Prng,
  form: Form,
  input: Uint8Array,
  others: readonly Uint8Array[],
  maxBytes: number,
): Uint8Array {
  let out: Uint8Array = input;
  for (let times = 1 + prng.small(prng.once(3) ? 5 : 1); times > 0; times--) {
    const knows = form !== "bytes" && !prng.once(4);
    const edit = knows ? formEdits[form] : prng.pick(byteEdits);
    out = edit(prng, out, others);
    if (out.length > maxBytes) out = join(out.subarray(0, maxBytes));
  }
  return out === input ? input.slice() : out;
}
