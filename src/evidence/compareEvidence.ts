import { commonEntries, contradictingEntries, describeDifference } from "./compareLogs.ts";
import type { ComparedFolder, ComparisonReport, ComparisonVerdict, Relation } from "./comparisonReport.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import { type Fork, findFork } from "./findFork.ts";
import type { ProofFiles } from "./forkFile.ts";
import { encodeForkProof } from "./forkProof.ts";
import { type JudgedEvidence, judgeEvidence } from "./verifyEvidence.ts";
import { verifyForkProof } from "./verifyForkProof.ts";

export interface Comparison {
  readonly report: ComparisonReport;
  /** The proof for an arbiter, when the server has forked the conversation. */
  readonly proof: ProofFiles | undefined;
}

interface NamedInput {
  /** How the report calls the folder. */
  readonly name: string;
  readonly input: EvidenceInput;
}

/**
 * Compares what two members hold of one conversation. Each folder is judged by itself first, with the same anchors; then
 * their logs and what the server has signed about them are held against each other.
 *
 * @param b its anchors, CRLs and demanded server are those of `a`: the verifier brings them for both
 * @returns what was found; it throws for nothing that stands in the evidence
 */
export async function compareEvidence(a: NamedInput, b: NamedInput): Promise<Comparison> {
  const sides: readonly [Side, Side] = [
    { name: a.name, judged: await judgeEvidence(a.input) },
    { name: b.name, judged: await judgeEvidence(b.input) },
  ];
  const [sideA, sideB] = sides;
  const relation = relate(sideA.judged, sideB.judged);
  const fork = findForkOf(sideA.judged, sideB.judged);
  // What is handed out has passed the check that the arbiter will make, so nothing is claimed that it would not find.
  const proof = fork === undefined ? undefined : encodeForkProof(fork.fork, fork.server);
  const { anchors, crls, server } = a.input;
  const checked = proof && verifyForkProof(proof, { anchors, crls, server });
  const isProven = checked?.verdict === "fork";

  const [readingA, readingB] = [sideA.judged.reading, sideB.judged.reading];
  const isOneLog = relation === "same" || relation === "prefix" || relation === "different";
  const common = isOneLog ? commonEntries(readingA, readingB) : 0;
  const isDifferent = relation === "different";
  const { first, second } = checked ?? { first: null, second: null };
  const report: ComparisonReport = {
    verdict: judge(sides, relation, isProven),
    relation,
    conversation: readingA.state?.conversation ?? readingB.state?.conversation ?? null,
    server: fork?.server ?? readingA.state?.server.name ?? readingB.state?.server.name ?? "",
    a: folderOf(sideA),
    b: folderOf(sideB),
    common,
    lacking: relation === "prefix" ? findLacking(sideA, sideB) : null,
    difference: isDifferent ? describeDifference(readingA, readingB, common) : null,
    proof:
      isProven && fork !== undefined && first !== null && second !== null
        ? {
            first: { ...first, source: fork.fork.first.source },
            second: { ...second, source: fork.fork.second.source },
            linked: fork.fork.link !== undefined,
          }
        : null,
    acknowledgements: isDifferent ? sides.flatMap((side) => acknowledgementsOf(side, common)) : [],
    contradictingMembers: isDifferent ? contradictingEntries(readingA, readingB, common) : [],
    missing: isDifferent && !isProven ? missingFor(sides, common, anchors.length > 0) : [],
  };
  return { report, proof: isProven ? proof : undefined };
}

interface Side {
  readonly name: string;
  readonly judged: JudgedEvidence;
}

function folderOf({ name, judged }: Side): ComparedFolder {
  return { name, report: judged.report };
}

function relate({ reading: a }: JudgedEvidence, { reading: b }: JudgedEvidence): Relation {
  if (a.state === undefined || b.state === undefined) return "unknown";
  if (a.state.conversation !== b.state.conversation) return "unrelated";
  const common = commonEntries(a, b);
  const shorter = Math.min(a.state.size, b.state.size);
  if (common < shorter) return "different";
  return a.state.size === b.state.size ? "same" : "prefix";
}

/** Statements by two servers contradict nobody, so only those of one name are held against each other. */
function findForkOf(a: JudgedEvidence, b: JudgedEvidence): { fork: Fork; server: string } | undefined {
  const [stateA, stateB] = [a.reading.state, b.reading.state];
  const isOne =
    stateA !== undefined &&
    stateA.conversation === stateB?.conversation &&
    stateA.server.name === stateB.server.name;
  if (isOne) {
    const statements = [...a.serverStatements, ...b.serverStatements];
    const fork = findFork(stateA.conversation, statements, [a.reading, b.reading]);
    return fork && { fork, server: stateA.server.name };
  }
  for (const { fork, reading } of [a, b])
    if (fork !== undefined && reading.state !== undefined) return { fork, server: reading.state.server.name };
  return undefined;
}

function judge(sides: readonly Side[], relation: Relation, isProven: boolean): ComparisonVerdict {
  if (isProven) return "fork";
  const verdicts = sides.map(({ judged }) => judged.report.verdict);
  if (verdicts.includes("invalid")) return "invalid";
  if (relation === "unrelated") return "unrelated";
  if (relation === "unknown") return "indeterminate";
  return relation === "different" || verdicts.some((verdict) => verdict !== "valid") ? "incomplete" : "valid";
}

function findLacking(a: Side, b: Side): ComparisonReport["lacking"] {
  const [sizeA, sizeB] = [a, b].map(({ judged }) => judged.reading.state?.size ?? 0);
  if (sizeA === undefined || sizeB === undefined) return null;
  return {
    folder: sizeA < sizeB ? a.name : b.name,
    from: Math.min(sizeA, sizeB),
    to: Math.max(sizeA, sizeB) - 1,
  };
}

/** Members whose signatures are over more than both logs have in common: they were shown this one. */
function acknowledgementsOf(
  { name, judged }: Side,
  common: number,
): ComparisonReport["acknowledgements"][number][] {
  return judged.report.members
    .filter(({ signedFor }) => signedFor > common)
    .map(({ username, fingerprint, signedFor }) => ({ folder: name, username, fingerprint, signedFor }));
}

/** Two signatures of the server, one over each log behind the common entries, would prove it. */
function missingFor(sides: readonly Side[], common: number, isTrusted: boolean): string[] {
  const missing = sides
    .filter(
      ({ judged: { reading, serverStatements } }) =>
        !serverStatements.some(({ size, root }) => size > common && reading.rootAt(size) === root),
    )
    .map(
      ({ name }) =>
        `the server's signature over more than ${common} entries of the log in ${name}: a line of checkpoints.jsonl, or a receipt that the server has signed; without it whoever held that folder can have changed its end`,
    );
  return isTrusted
    ? missing
    : [...missing, "the organisation's CA certificate, from a source that you trust: name it with --ca"];
}
