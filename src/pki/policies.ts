import type { Certificate } from "./certificate.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

/**
 * Policy processing of RFC 5280 §6.1 with the initial inputs any-policy, no explicit policy, mapping and anyPolicy
 * allowed. Then only a CA that asks for explicit policies (policyConstraints) can make a path fail. Of RFC 9618's policy
 * graph it is enough to keep the last level: with any-policy wanted, the graph is empty exactly when that level is. So
 * the work stays linear in what the certificates hold.
 *
 * @param chain leaf first, anchor last; the anchor's own policies don't count (§6.1 d)
 * @throws {PkiError} `POLICY_REQUIRED`
 */
export function checkPolicies(chain: readonly Certificate[]): void {
  const path = chain.slice(0, -1).reverse();
  if (!path.some((certificate) => certificate.policyConstraints?.requireExplicitPolicy !== undefined)) return;
  // valid_policy to expected_policy_set; `undefined` is the NULL graph.
  let level: Level | undefined = new Map([[oids.anyPolicy, new Set([oids.anyPolicy])]]);
  let explicitPolicy = path.length + 1;
  let policyMapping = path.length + 1;
  let inhibitAnyPolicy = path.length + 1;
  for (const [index, certificate] of path.entries()) {
    const last = index === path.length - 1;
    const anyAllowed = inhibitAnyPolicy > 0 || (!last && certificate.selfIssued);
    level = nextLevel(level, certificate.policies, anyAllowed);
    if (explicitPolicy === 0 && level === undefined) throw required(certificate);
    if (last) {
      // §6.1.5 a, b, g
      const constraint = certificate.policyConstraints?.requireExplicitPolicy;
      if ((explicitPolicy <= 1 || constraint === 0) && level === undefined) throw required(certificate);
      return;
    }
    if (level !== undefined) level = mapPolicies(level, certificate.policyMappings, policyMapping > 0);
    // §6.1.4 h, i, j
    if (!certificate.selfIssued) {
      explicitPolicy = Math.max(0, explicitPolicy - 1);
      policyMapping = Math.max(0, policyMapping - 1);
      inhibitAnyPolicy = Math.max(0, inhibitAnyPolicy - 1);
    }
    const constraints = certificate.policyConstraints;
    explicitPolicy = Math.min(explicitPolicy, constraints?.requireExplicitPolicy ?? explicitPolicy);
    policyMapping = Math.min(policyMapping, constraints?.inhibitPolicyMapping ?? policyMapping);
    inhibitAnyPolicy = Math.min(inhibitAnyPolicy, certificate.inhibitAnyPolicy ?? inhibitAnyPolicy);
  }
}

type Level = ReadonlyMap<string, ReadonlySet<string>>;

/** §6.1.3 d, e */
function nextLevel(
  level: Level | undefined,
  policies: readonly string[] | undefined,
  anyAllowed: boolean,
): Level | undefined {
  if (level === undefined || policies === undefined) return undefined;
  const expected = new Set([...level.values()].flatMap((set) => [...set]));
  const next = new Map<string, ReadonlySet<string>>();
  for (const policy of policies)
    if (policy !== oids.anyPolicy && (expected.has(policy) || level.has(oids.anyPolicy)))
      next.set(policy, new Set([policy]));
  if (policies.includes(oids.anyPolicy) && anyAllowed)
    for (const policy of expected) if (!next.has(policy)) next.set(policy, new Set([policy]));
  return next.size === 0 ? undefined : next;
}

/** §6.1.4 b */
function mapPolicies(
  level: Level,
  mappings: Certificate["policyMappings"],
  allowed: boolean,
): Level | undefined {
  if (mappings.length === 0) return level;
  const mapped = new Map(level);
  const targets = new Map<string, Set<string>>();
  for (const { issuer, subject } of mappings)
    targets.set(issuer, (targets.get(issuer) ?? new Set()).add(subject));
  for (const [policy, expected] of targets) {
    if (!allowed) mapped.delete(policy);
    else if (level.has(policy) || level.has(oids.anyPolicy)) mapped.set(policy, expected);
  }
  return mapped.size === 0 ? undefined : mapped;
}

function required(certificate: Certificate): PkiError {
  return new PkiError(
    "POLICY_REQUIRED",
    `a CA of the path demands a certificate policy that ${certificate.subjectText} was not issued under`,
  );
}
