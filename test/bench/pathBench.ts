import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";

/**
 * Path validations a second over two-step chains (p256 leaf, its own issuing CA, root anchor): at first sight, where every
 * chain has a leaf and an issuing CA that were never seen, and at second sight; beside them the two bare signature
 * verifications that a first sight can't do without. Prints figures, judges nothing:
 * `bun test/bench/pathBench.ts [chains]`, `SECURECHAT_CRYPTO` as everywhere.
 */
const provider = process.env.SECURECHAT_CRYPTO === "noble" ? noble : native;
useCryptoProvider(provider);
const rounds = 5;
// No more than the decoder remembers (2 048 certificates), or the second sight would not be one.
const perRound = Math.min(Number(process.argv[2] ?? (provider === noble ? 60 : 800)), 1000);
const turn = 50;
const secondSights = 50;

const root = await createTestAuthority({ intermediates: true });
const request = { crls: [], purpose: "client", atMs: root.nowMs } as const;

interface Chain {
  readonly leaf: Uint8Array;
  readonly issuing: Uint8Array;
}

/** What the decoder has read is kept by provider object, so with another one nothing was seen before. */
function forget(): void {
  useCryptoProvider({ ...provider });
}

async function newChains(round: number): Promise<Chain[]> {
  const chains: Chain[] = [];
  for (let i = 0; i < perRound; i++) {
    const authority = await root.issueIntermediate(`Issuing CA ${round}-${i}`);
    const { certificate } = await authority.issueUser(`user${round}-${i}`);
    chains.push({ leaf: certificate.der.slice(), issuing: authority.ca.der.slice() });
  }
  return chains;
}

const decode = ({ leaf, issuing }: Chain) => ({
  leaf: decodeCertificate(leaf),
  intermediates: [decodeCertificate(issuing)] as const,
});

/** Counts what is done while it runs. */
class Stopwatch {
  #count = 0;
  #ms = 0;

  run(count: number, work: () => void): void {
    const started = performance.now();
    work();
    this.#ms += performance.now() - started;
    this.#count += count;
  }

  /** A second. */
  get rate(): number {
    return (this.#count * 1000) / this.#ms;
  }
}

interface Rates {
  readonly signatures: number;
  readonly first: number;
  readonly firstDecoded: number;
  readonly second: number;
  readonly secondFromDer: number;
}

async function measure(round: number): Promise<Rates> {
  const chains = await newChains(round);
  const anchors = [decodeCertificate(root.ca.der)];
  const [first, bare, path] = [new Stopwatch(), new Stopwatch(), new Stopwatch()];
  // In small turns, so that a machine that gets busy slows all three.
  for (let start = 0; start < chains.length; start += turn) {
    const some = chains.slice(start, start + turn);
    forget();
    first.run(some.length, () => {
      for (const chain of some) verifyPath({ ...request, anchors, ...decode(chain) });
    });
    forget();
    const decoded = some.map(decode);
    path.run(some.length, () => {
      for (const pair of decoded) verifyPath({ ...request, anchors, ...pair });
    });
    // The same two signatures a chain with nothing around them, keys imported before.
    bare.run(some.length * 2, () => {
      for (const { leaf, intermediates } of decoded) {
        const [issuing] = intermediates;
        if (!isSignedBy(leaf, issuing) || !isSignedBy(issuing, anchors[0])) throw new Error("bad signature");
      }
    });
  }
  forget();
  const decoded = chains.map(decode);
  for (const pair of decoded) verifyPath({ ...request, anchors, ...pair });
  const [second, fromDer] = [new Stopwatch(), new Stopwatch()];
  for (let i = 0; i < secondSights; i++) {
    second.run(perRound, () => {
      for (const pair of decoded) verifyPath({ ...request, anchors, ...pair });
    });
    fromDer.run(perRound, () => {
      for (const chain of chains) verifyPath({ ...request, anchors, ...decode(chain) });
    });
  }
  return {
    signatures: bare.rate,
    first: first.rate,
    firstDecoded: path.rate,
    second: second.rate,
    secondFromDer: fromDer.rate,
  };
}

function isSignedBy(below: Certificate, above: Certificate | undefined): boolean {
  return above?.publicKey.verify("ecdsa-p256-sha256", below.tbs, below.signature) === true;
}

process.stdout.write(
  `${provider.name}, two-step chains, p256, ${rounds} rounds of ${perRound} chains, median\n`,
);
const measured: Rates[] = [];
for (let round = 0; round <= rounds; round++) {
  const rates = await measure(round);
  // The first round warms up.
  if (round > 0) measured.push(rates);
}
const median = (pick: (rates: Rates) => number): number =>
  measured.map(pick).sort((a, b) => a - b)[rounds >> 1] ?? Number.NaN;

// Ratios within a round: a machine that gets busy slows both sides.
report("bare signature verifications", (rates) => rates.signatures);
report("first sight, from DER", (rates) => rates.first);
report("first sight, decoded before", (rates) => rates.firstDecoded);
report("second sight, same objects", (rates) => rates.second);
report("second sight, from DER", (rates) => rates.secondFromDer);
ratio("first sight over the two bare signatures, time", (rates) => rates.signatures / 2 / rates.first);
ratio("  without decoding and key import", (rates) => rates.signatures / 2 / rates.firstDecoded);
ratio("second sight faster than first", (rates) => rates.second / rates.first);
ratio("  from DER both times", (rates) => rates.secondFromDer / rates.first);

function report(what: string, pick: (rates: Rates) => number): void {
  process.stdout.write(`${what.padEnd(48)} ${Math.round(median(pick)).toString().padStart(9)}/s\n`);
}

function ratio(what: string, pick: (rates: Rates) => number): void {
  process.stdout.write(`${what.padEnd(48)} ${median(pick).toFixed(2).padStart(9)}×\n`);
}
