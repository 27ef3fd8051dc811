/**
 * Evidence of a dealing (§3.6): shares that fit what was dealt, and contradict each other or the advertisement.
 *
 * Its fields are {parameters, binding, dealer, digests, signature, blocks, kind, holders, shares}, where `dealer` is an
 * advertisement, `holders` are ids, and `shares` are 68 bytes for each of them.
 */
import { CanonicalReader, canonical, equal, hex, idBytes, isAscending, join } from './canonical.js';
import { KINDS, REVEALED, SHARE, fits, isAdvertised } from './commitments.js';
import * as crypto from './crypto.js';
import { DIGEST, ENTRIES_IN_A_BLOCK, ENTRY, cut, dealingToSign, digestsOf, partsOfEntry } from './disclosures.js';
import { decodeParameters } from './parameters.js';
import { DecodeError, Violation } from './rules.js';
import { elementsOf, pointsOff, polynomialsThrough, secretOf } from './sharing.js';
import { Topology } from './topology.js';

const LABEL = 'secagg/v1 dealing evidence';
const UNBOUNDED = 0xffffffff;
const ID = 8;

/** Whether evidence begins as that of a dealing does. */
export function isOfADealing(evidence) {
  const start = canonical(LABEL);
  return equal(evidence.slice(0, start.length), start);
}

/** The bytes of evidence. */
export const encodeContradiction = (
  { parameters, binding, dealer, digests, signature, blocks, kind, holders, shares },
) => canonical(
  LABEL, parameters, binding, dealer.client, dealer.channelPublic, dealer.maskPublic, dealer.commitment,
  dealer.signature, digests, signature, join(blocks), kind, idBytes(holders), join(shares),
);

/**
 * Which of the shares that fit a server shows, by holder: t of them, or t + 1.
 * @param {number} t
 * @param {Map<number, Uint8Array>} sharesByPoint at least t, canonical, ascending
 * @param {(secret: Uint8Array) => boolean} verify
 * @returns {number[]} points
 */
export function pointsToShow(t, sharesByPoint, verify) {
  const first = [...sharesByPoint.keys()].slice(0, t);
  const polynomials = polynomialsThrough(sharesByPoint, t);
  const secret = secretOf(polynomials.map((polynomial) => polynomial[0] ?? 0));
  return secret && verify(secret) ? [...first, pointsOff(polynomials, sharesByPoint)[0]] : first;
}

/** Pieces of a byte string that is a whole number of them, and not none. */
function wholes(data, length) {
  if (!data.length || data.length % length) throw new DecodeError('a value has another length');
  return cut(data, length);
}

function decode(evidence) {
  const reader = new CanonicalReader(evidence.slice(canonical(LABEL).length));
  const read = (length) => {
    const value = reader.bytes(UNBOUNDED);
    if (value.length !== length) throw new DecodeError('a value has another length');
    return value;
  };
  const decoded = {
    parameters: decodeParameters(reader.bytes(UNBOUNDED)),
    binding: read(32),
    dealer: {
      client: reader.integer(), channelPublic: read(32), maskPublic: read(32), commitment: read(32), signature: read(64),
    },
    digests: reader.bytes(UNBOUNDED),
    signature: read(64),
    entries: wholes(reader.bytes(UNBOUNDED), ENTRY),
    kind: reader.integer(),
    holders: wholes(reader.bytes(UNBOUNDED), ID).map((id) => new DataView(id.buffer).getBigUint64(0)),
    shares: wholes(reader.bytes(UNBOUNDED), REVEALED),
  };
  reader.end();
  return decoded;
}

function areBlocksDealt({ entries, digests }) {
  const listed = new Set(wholes(digests, DIGEST).map(hex));
  const count = Math.ceil(entries.length / ENTRIES_IN_A_BLOCK);
  const blocks = Array.from({ length: count }, (_, i) =>
    join(entries.slice(ENTRIES_IN_A_BLOCK * i, ENTRIES_IN_A_BLOCK * (i + 1))));
  return blocks.every((block) => listed.has(hex(digestsOf([block]))));
}

function isSigned({ parameters, binding, dealer, digests, signature }, verificationKey) {
  const { client, channelPublic } = dealer;
  const dealt = dealingToSign(parameters.digest, binding, client, channelPublic, digests);
  return crypto.verify(verificationKey, dealer.signature, crypto.advertisementToSign(parameters.digest, dealer))
    && crypto.verify(verificationKey, signature, dealt);
}

function contradicts({ parameters, dealer, kind, holders, shares }) {
  const points = new Topology(parameters).pointsOf(dealer.client);
  const sharesByPoint = new Map(holders.map((holder, i) => [points.get(holder), shares[i].slice(0, SHARE)]));
  const t = Number(parameters.threshold);
  const polynomials = polynomialsThrough(sharesByPoint, t);
  if (holders.length > t) return pointsOff(polynomials, sharesByPoint).length > 0;
  const secret = secretOf(polynomials.map((polynomial) => polynomial[0] ?? 0));
  return !secret || !isAdvertised(parameters, dealer, kind, secret);
}

function isAgainstItsDealer(its, verificationKey) {
  const { parameters, binding, dealer, entries, kind, holders, shares } = its;
  const dealt = new Map(entries.map((entry) => {
    const { receiver, commitment } = partsOfEntry(entry);
    return [receiver, commitment];
  }));
  const t = Number(parameters.threshold);
  const isHolder = (id) => id !== dealer.client && parameters.cohort.includes(id) && dealt.has(id);
  const isAsDealt = (holder, i) => {
    elementsOf(shares[i].slice(0, SHARE));
    return fits([parameters.digest, binding, dealer.client, holder], kind, shares[i], dealt.get(holder));
  };
  return Object.values(KINDS).includes(kind)
    && [t, t + 1].includes(holders.length) && shares.length === holders.length && isAscending(holders)
    && isAscending(entries.map((entry) => partsOfEntry(entry).receiver))
    && holders.every(isHolder)
    && isSigned(its, verificationKey) && areBlocksDealt(its)
    && holders.every(isAsDealt) && contradicts(its);
}

/**
 * Judges evidence of a dealing by the roster alone.
 * @param {Uint8Array} evidence
 * @param {Map<bigint, Uint8Array>} roster
 * @returns {{client: bigint, rule: string}|null} whom it is against, and the id; null when it is not accepted
 */
export function judgeContradiction(evidence, roster) {
  try {
    const its = decode(evidence);
    const { parameters, dealer: { client } } = its;
    const isKnown = parameters.signsDealings && parameters.cohort.includes(client) && roster.has(client);
    return isKnown && isAgainstItsDealer(its, roster.get(client)) ? { client, rule: 'S23' } : null;
  } catch (error) {
    if (error instanceof DecodeError || error instanceof Violation) return null;
    throw error;
  }
}
