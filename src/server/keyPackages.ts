import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { deviceId, verifyDeviceIdentity } from "../group/device.ts";
import { GroupError } from "../group/groupError.ts";
import { inspectKeyPackage } from "../group/keyPackage.ts";
import type { KeyPackageRecord, KeyPackageStore } from "../store/keyPackageStore.ts";
import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { offeredOperator } from "./offeredOperator.ts";
import { certificateRecord } from "./person.ts";
import { Refusal, tryLater } from "./refusal.ts";
import { retention } from "./serverLimits.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";

type Publish = Extract<Request, { type: "publish_key_packages" }>;
type Fetch = Extract<Request, { type: "fetch_key_packages" }>;
type FetchOperators = Extract<Request, { type: "fetch_operator_key_package" }>;

/** How far in the future the beginning of a key package's lifetime may be: clocks differ. */
const maxClockDifferenceMs = 5 * 60 * 1_000;

type KeyPackageServices = Pick<Services, "store" | "limits" | "certificates" | "now">;

/** @throws {Refusal} `TRY_LATER`, `BAD_KEY_PACKAGE`, `TOO_MANY` */
export async function publishKeyPackages(
  request: Publish,
  member: Member,
  { store, limits, now }: KeyPackageServices,
): Promise<ServerMessage> {
  const nowMs = now();
  const { id, packages, last_resort } = request;
  const bucket = { subject: `publish:${member.person}`, ...limits.keyPackagePublications, nowMs };
  const waitMs = await store.accounts.takeToken(bucket);
  if (waitMs > 0) throw tryLater("too many key package publications", waitMs);

  const oneTime: Inspected[] = [];
  for (const bytes of packages) oneTime.push(await inspect(bytes, false, member, nowMs));
  const lastResort = last_resort === null ? undefined : await inspect(last_resort, true, member, nowMs);
  const all = lastResort === undefined ? oneTime : [...oneTime, lastResort];
  const device = all[0]?.device;
  if (device === undefined) {
    const count = await store.keyPackages.count(member.fingerprint, nowMs);
    return { type: "published", id, one_time: count.oneTime, last_resort: count.lastResort };
  }
  if (all.some((one) => one.device !== device))
    throw new Refusal("BAD_KEY_PACKAGE", "the key packages of one message are of one device");
  const count = await store.keyPackages.publish({
    fingerprint: member.fingerprint,
    device,
    oneTime: oneTime.map(({ record }) => record),
    lastResort: lastResort?.record,
    maxOneTime: limits.oneTimeKeyPackages,
    nowMs,
  });
  if (count === "too_many")
    throw new Refusal("TOO_MANY", `at most ${limits.oneTimeKeyPackages} one-time key packages wait here`);
  return { type: "published", id, one_time: count.oneTime, last_resort: count.lastResort };
}

/** @throws {Refusal} `NOT_FOUND`, `TRY_LATER`, `NO_KEY_PACKAGE` */
export async function fetchKeyPackages(
  request: Fetch,
  member: Member,
  services: KeyPackageServices,
): Promise<ServerMessage> {
  const { id, username } = request;
  const account = await services.store.accounts.byUsername(username);
  if (account?.certificate === undefined) throw new Refusal("NOT_FOUND", `there is no account ${username}`);
  const { fingerprint, person } = account.certificate;
  await chargeTake(person, member, services);
  const taken = account.disabled ? undefined : await takeGood(fingerprint, services);
  if (taken === undefined) throw noKeyPackage(username);
  return {
    type: "key_packages",
    id,
    username,
    packages: [{ package: taken.package, last_resort: taken.lastResort }],
  };
}

/** @throws {Refusal} `NOT_FOUND`, `TRY_LATER`, `NO_KEY_PACKAGE` */
export async function fetchOperatorKeyPackage(
  { id }: FetchOperators,
  member: Member,
  services: KeyPackageServices & Pick<Services, "identity" | "offersOperator">,
): Promise<ServerMessage> {
  const operator = await offeredOperator(services);
  if (operator === undefined) throw new Refusal("NOT_FOUND", "this server's operator can't be reached here");
  const { person } = certificateRecord(services.identity.verified, "server");
  await chargeTake(person, member, services);
  const taken = await takeGood(operator.fingerprint, services);
  if (taken === undefined) throw noKeyPackage(operator.name);
  return { type: "operator_key_package", id, package: taken.package, last_resort: taken.lastResort };
}

/** @param target the person whose package it is @throws {Refusal} `TRY_LATER` */
async function chargeTake(
  target: Hex,
  { person }: Member,
  { store, limits, now }: KeyPackageServices,
): Promise<void> {
  const nowMs = now();
  const ofRequester = { subject: `take:${person}`, ...limits.keyPackageTakes, nowMs };
  const ofTarget = { subject: `take:${person}:${target}`, ...limits.keyPackageTakesPerTarget, nowMs };
  const waitMs = (await store.accounts.takeToken(ofRequester)) || (await store.accounts.takeToken(ofTarget));
  if (waitMs > 0) throw tryLater("too many key packages taken", waitMs);
}

/** Nobody is to be let in under a certificate that is no good any more. */
async function takeGood(
  fingerprint: Hex,
  { store, certificates, now }: KeyPackageServices,
): ReturnType<KeyPackageStore["take"]> {
  await certificates.load([fingerprint]);
  return certificates.isGood(fingerprint, now()) ? store.keyPackages.take(fingerprint, now()) : undefined;
}

function noKeyPackage(name: string): Refusal {
  return new Refusal("NO_KEY_PACKAGE", `${name} has no key package here at the moment`);
}

interface Inspected {
  readonly device: Hex;
  readonly record: KeyPackageRecord;
}

/** @throws {Refusal} `BAD_KEY_PACKAGE` unless the package is good now and of the certificate that this session is under */
async function inspect(
  bytes: Uint8Array,
  lastResort: boolean,
  member: Member,
  nowMs: number,
): Promise<Inspected> {
  try {
    const inspected = await inspectKeyPackage(bytes);
    verifyDeviceIdentity(inspected.identity, member.certificate.verified, nowMs);
    if (inspected.lastResort !== lastResort) throw bad("one-time and last-resort packages are mixed up");
    if (inspected.notBeforeMs > nowMs + maxClockDifferenceMs) throw bad("its lifetime has not begun");
    if (inspected.notAfterMs <= nowMs) throw bad("it has expired");
    return {
      device: deviceId(inspected.identity.devicePublicKey),
      record: {
        digest: encodeHex(sha256(bytes)),
        package: bytes,
        expiresAtMs: Math.min(inspected.notAfterMs, nowMs + retention.keyPackageMs),
      },
    };
  } catch (cause) {
    if (!(cause instanceof GroupError)) throw cause;
    throw bad(cause.message, cause);
  }
}

function bad(message: string, cause?: unknown): Refusal {
  return new Refusal("BAD_KEY_PACKAGE", `key package refused: ${message}`, { cause });
}
