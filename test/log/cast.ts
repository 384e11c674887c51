import { certificatesOf, type Device, Organisation } from "./organisation.ts";

/** Two CAs with the same names; what a reader who trusts both passes to `verifyEntry`. */
async function organisations() {
  const [organisation, other] = [await Organisation.create(), await Organisation.create()];
  return { organisation, other, certificateAt: certificatesOf(organisation, other) };
}

/** alice, bob and carol, and a server with three names. */
export async function castOfThree() {
  const { organisation, ...rest } = await organisations();
  const [alice, bob, carol]: Device[] = await Promise.all(
    ["alice", "bob", "carol"].map((name) => organisation.user(name)),
  );
  const server = await organisation.server("chat.example.org", "www.example.org", "192.0.2.1");
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error("nobody was issued");
  return { organisation, ...rest, alice, bob, carol, server };
}

/** Two devices each of alice and bob, one of carol, and one of dave whose certificate lasts a day. */
export async function castOfGroup() {
  const { organisation, ...rest } = await organisations();
  return {
    organisation,
    ...rest,
    alice: await organisation.user("alice"),
    alice2: await organisation.user("alice"),
    bob: await organisation.user("bob"),
    bob2: await organisation.user("bob"),
    carol: await organisation.user("carol"),
    dave: await organisation.user("dave", { days: 1 }),
    server: await organisation.server("chat.example.org"),
  };
}
