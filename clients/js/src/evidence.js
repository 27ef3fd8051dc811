/**
 * Evidence of a complaint, about one pair (§3.6), who judges all evidence, and who is blamed (§6.9).
 *
 * A pair is {session, binding, dealer, dealerPublic, receiver, receiverPublic, sealed}, the last being the committed
 * pair of 144 bytes; a dealing is what DisclosureRequest has of one.
 */
import { CanonicalReader, ascending, bytes, canonical, concat, equal } from './canonical.js';
import { commitmentTo } from './commitments.js';
import { isOfADealing, judgeContradiction } from './contradictions.js';
import * as crypto from './crypto.js';
import { ENTRIES_IN_A_BLOCK, ENTRY, agreementShown, dealingToSign, entryOf, showsPossession, standsIn } from './disclosures.js';
import { DecodeError } from './rules.js';
import { elementsOf } from './sharing.js';

const LABEL = 'secagg/v1 blame evidence';
const LONGEST_BLOCK = ENTRIES_IN_A_BLOCK * ENTRY;
const SEALED = 112;
const COMMITTED = 144;
const DIGEST = 32;
const SHARE = 36;
const SIGNATURE = 64;
const UNBOUNDED = 0xffffffff;

/** What a proof about a pair is bound to. */
export const contextOf = ({ session, binding, dealer, dealerPublic, receiver, receiverPublic, sealed }) => canonical(
  'secagg/v1 disclosure context', session, binding, dealer, dealerPublic, receiver, receiverPublic, sealed,
);

/** Whether the pair stands in a dealing (C37). */
export const isDealt = ({ receiver, receiverPublic, sealed }, { block, digests }) =>
  standsIn(entryOf(receiver, receiverPublic, sealed), block, digests);

/** Whether the dealer of the pair signed a dealing (C38). */
export function isSigned({ session, binding, dealer, dealerPublic }, { digests, signature }, verificationKey) {
  const statement = dealingToSign(session, binding, dealer, dealerPublic, digests);
  return crypto.verify(verificationKey, signature.slice(0, SIGNATURE), statement);
}

/** Whether the dealer of the pair shows in a dealing that it has its channel private key (C39). */
export const hasKey = ({ session, binding, dealer, dealerPublic }, { signature }) =>
  showsPossession(signature.slice(SIGNATURE), session, binding, dealer, dealerPublic);

/** The agreement about a pair that a proof of its receiver shows, or null. */
export const agreementOf = (pair, proof) =>
  agreementShown(pair.receiverPublic, pair.dealerPublic, proof, contextOf(pair));

/**
 * The two shares of a sealed pair, or null when it does not open, or one is not canonical (§6.4).
 * @returns {Uint8Array|null} 72 bytes
 */
export function readPair(key, sealed, binding, dealer, receiver, beside) {
  const shares = crypto.open(key, sealed, binding, dealer, receiver, beside);
  if (!shares) return null;
  try {
    elementsOf(shares.slice(0, SHARE));
    elementsOf(shares.slice(SHARE));
    return shares;
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/**
 * The two shares of a committed pair, or null when they cannot be read, or do not fit the commitment (§6.4).
 * @returns {Uint8Array|null} 72 bytes
 */
export function readCommitted(key, committed, session, binding, dealer, receiver) {
  const shares = readPair(key, committed.slice(0, SEALED), binding, dealer, receiver);
  const isAsCommitted = shares
    && equal(commitmentTo([session, binding, dealer, receiver], shares), committed.slice(SEALED));
  return isAsCommitted ? shares : null;
}

/** Who is at fault for a complaint about a pair whose agreement is known, and the id. */
export function verdictOn({ session, binding, dealer, dealerPublic, receiver, receiverPublic, sealed }, agreement) {
  const key = crypto.channelKey(agreement, binding, dealer, dealerPublic, receiver, receiverPublic);
  const isRight = readCommitted(key, sealed, session, binding, dealer, receiver) !== null;
  return isRight ? { client: receiver, rule: 'S33' } : { client: dealer, rule: 'S22' };
}

/** The bytes of evidence. */
export const encodeEvidence = (pair, { block, digests, signature }, complainer, proof) => canonical(
  LABEL, pair.session, pair.binding, pair.dealer, pair.dealerPublic, block, digests, signature.slice(0, SIGNATURE),
  complainer.client, complainer.channelPublic, complainer.maskPublic, complainer.commitment, complainer.signature,
  pair.sealed, proof,
);

function decodeEvidence(evidence) {
  const reader = new CanonicalReader(evidence);
  const read = (length) => {
    const value = reader.bytes(UNBOUNDED);
    if (value.length !== length) throw new DecodeError('a value has another length');
    return value;
  };
  const readMultiple = (unit, most) => {
    const value = reader.bytes(most);
    if (value.length === 0 || value.length % unit) throw new DecodeError('a value has another length');
    return value;
  };
  const label = new TextEncoder().encode(LABEL);
  if (!equal(read(label.length), label)) throw new DecodeError('another label');
  const [session, binding] = [read(32), read(32)];
  const [dealer, dealerPublic] = [reader.integer(), read(32)];
  const dealing = {
    block: readMultiple(ENTRY, LONGEST_BLOCK), digests: readMultiple(DIGEST, UNBOUNDED), signature: read(64),
  };
  const complainer = {
    client: reader.integer(), channelPublic: read(32), maskPublic: read(32), commitment: read(32), signature: read(64),
  };
  const [sealed, proof] = [read(COMMITTED), read(128)];
  reader.end();
  const { client: receiver, channelPublic: receiverPublic } = complainer;
  const pair = { session, binding, dealer, dealerPublic, receiver, receiverPublic, sealed };
  return { pair, dealing, complainer, proof };
}

/**
 * Judges evidence of either kind by the roster alone.
 * @param {Uint8Array} evidence
 * @param {Map<bigint, Uint8Array>} roster
 * @returns {{client: bigint, rule: string}|null} whom it is against, and the id; null when it is not accepted
 */
export function judgeEvidence(evidence, roster) {
  if (isOfADealing(evidence)) return judgeContradiction(evidence, roster);
  try {
    const { pair, dealing, complainer, proof } = decodeEvidence(evidence);
    const [dealerKey, complainerKey] = [roster.get(pair.dealer), roster.get(complainer.client)];
    if (!dealerKey || !complainerKey || !isDealt(pair, dealing) || !isSigned(pair, dealing, dealerKey)) return null;
    const advertised = crypto.advertisementToSign(pair.session, complainer);
    if (!crypto.verify(complainerKey, complainer.signature, advertised)) return null;
    const agreement = agreementOf(pair, proof);
    return agreement && verdictOn(pair, agreement);
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/** Each client that findings name, once and in ascending order: the first with evidence, or the first (§6.9). */
export function blameFrom(findings) {
  const found = new Map();
  for (const finding of findings) {
    const before = found.get(finding.client);
    if (!before || (!before.evidence && finding.evidence)) found.set(finding.client, finding);
  }
  return ascending(found.keys()).map((client) => found.get(client));
}

/**
 * Whom complaints name where there are no signed dealings (§6.9).
 * @param {Map<bigint, bigint[]>} complaints the accused by complainer
 */
export function hintsFrom(complaints) {
  let edges = [...complaints].flatMap(([complainer, accused]) => accused.map((id) => [complainer, id]));
  const named = [];
  while (edges.length) {
    const score = new Map();
    const add = (client, ...numbers) => {
      const [ends, pointing] = score.get(client) ?? [0, 0];
      score.set(client, [ends + numbers[0], pointing + numbers[1]]);
    };
    for (const [complainer, accused] of edges) {
      add(complainer, 1, 0);
      add(accused, 1, 1);
    }
    const isWorse = ([a, [endsA, toA]], [b, [endsB, toB]]) => endsA - endsB || toA - toB || (a > b ? 1 : -1);
    const [client, [, pointing]] = [...score].reduce((worst, each) => (isWorse(each, worst) > 0 ? each : worst));
    named.push({ client, rule: pointing ? 'S22' : 'S33' });
    edges = edges.filter((edge) => !edge.includes(client));
  }
  return blameFrom(named);
}
