import { hex, integer, list, literal, object, type SchemaType } from "../base/schema.ts";

/** Most marks in one request. */
export const maxMarksPerRequest = 64;
/** Most marks in the answer to one: those of the other members of the conversations that it names. */
export const maxMarksPerAnswer = 256;

const id = integer(1, 0xffff_ffff);
const conversation = hex(16);
const size = integer(1);

/** How far a member says to have verified and stored a log; unsigned, forwarded by the server, and proof of nothing. */
const deliveryMark = object({ conversation, member: hex(32), size });
export type DeliveryMark = SchemaType<typeof deliveryMark>;

export const deliveryRequests = {
  delivered: object({
    type: literal("delivered"),
    id,
    marks: list(object({ conversation, size }), maxMarksPerRequest),
  }),
};

export const deliveryAnswers = {
  /** What the others have said of the same conversations, as far as the server remembers. */
  delivery_marks: object({
    type: literal("delivery_marks"),
    id,
    marks: list(deliveryMark, maxMarksPerAnswer),
  }),
};

export const deliveryPushes = {
  delivered: object({ type: literal("delivered"), conversation, member: hex(32), size }),
};
