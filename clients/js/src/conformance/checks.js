/**
 * The server's checks of a response, in the order of §6, and what it keeps of one that passes.
 *
 * Each function takes the server, the sender, and the body of the response.
 */
import { ascending, hex } from '../canonical.js';
import { setToBytes } from '../chosen.js';
import { REVEALED, SHARE } from '../commitments.js';
import * as crypto from '../crypto.js';
import { ENTRIES_IN_A_BLOCK, blocksOf, dealingToSign, digestsOf, entryOf, lift, showsPossession } from '../disclosures.js';
import * as evidence from '../evidence.js';
import { unpack } from '../packing.js';
import { checkPublicKeys, splitParcel } from '../parcels.js';
import { DecodeError, Violation, require } from '../rules.js';
import { elementsOf } from '../sharing.js';

const SIGNATURE = 64;

/** §6.2 */
export function acceptAdvertiseKeys({ parameters, state, roster, cohort }, sender, { advertisement, holders }) {
  const keys = [advertisement.channelPublic, advertisement.maskPublic];
  require(advertisement.client === sender, 'S10');
  checkPublicKeys(parameters, advertisement);
  const parts = keys.flatMap(crypto.partsOf).map(hex);
  require(new Set(parts).size === parts.length && !parts.some((part) => state.keys.has(part)), 'S12');
  require(keys.every(crypto.isCanonicalKey), 'S15');
  require(!keys.some(crypto.isLowOrder), 'S13');
  require(!parameters.signsDealings || lift(advertisement.channelPublic), 'S18');
  if (parameters.active) {
    const statement = crypto.advertisementToSign(parameters.digest, advertisement);
    require(crypto.verify(roster.get(sender), advertisement.signature, statement), 'S11');
  }
  if (parameters.chosen) {
    require(BigInt(holders.length) === parameters.degree, 'S16');
    require(holders.every((id) => id !== sender && cohort.has(id)), 'S16');
    state.drawn.set(sender, holders);
  }
  parts.forEach((part) => state.keys.add(part));
  state.advertisements.set(sender, advertisement);
}

const sameIds = (one, other) => one.length === other.length && one.every((id, i) => id === other[i]);

/** A client's dealing: its blocks, their digests, and what it signs (§3.6). */
export function dealingOf(parameters, state, dealer, ciphertexts) {
  const publicOf = (client) => state.advertisements.get(client).channelPublic;
  const entries = ciphertexts.map(({ client, ciphertext }) => entryOf(client, publicOf(client), ciphertext));
  const blocks = blocksOf(entries);
  const digests = digestsOf(blocks);
  const statement = dealingToSign(parameters.digest, state.binding, dealer, publicOf(dealer), digests);
  return { blocks, digests, statement };
}

/** The number of the block in which the entry at a place of a dealing stands. */
export const blockOf = (place) => Math.floor(place / ENTRIES_IN_A_BLOCK);

/** §6.3 */
export function acceptShareKeys({ parameters, state, topology, roster }, sender, { ciphertexts, signature }) {
  const receivers = topology.holders(sender).filter((id) => state.advertised.has(id));
  require(sameIds(ciphertexts.map(({ client }) => client), receivers), 'S20');
  const parcels = ciphertexts.map(({ client, ciphertext }) =>
    [client, splitParcel(parameters, sender, client, ciphertext, true)]);
  if (parameters.signsDealings) {
    const statement = dealingOf(parameters, state, sender, ciphertexts).statement;
    const ends = [parameters.digest, state.binding, sender, state.advertisements.get(sender).channelPublic];
    require(crypto.verify(roster.get(sender), signature.slice(0, SIGNATURE), statement), 'S21');
    require(showsPossession(signature.slice(SIGNATURE), ...ends), 'S21');
    state.dealingSignatures.set(sender, signature);
  } else {
    require(signature.length === 0, 'S21');
  }
  state.ciphertexts.set(sender, new Map(parcels.map(([client, { forwarded }]) => [client, forwarded])));
  const wrapped = ({ wrap, maskCiphertext }) => ({ secret: wrap, ciphertext: maskCiphertext });
  state.encapsulated.set(sender, new Map(parcels.map(([client, parcel]) => [client, wrapped(parcel)])));
}

/** §6.4 */
export function acceptMaskedInputCollection({ parameters, state, roster }, sender, { inclusion, payload }) {
  if (parameters.chosen) {
    const sharers = setToBytes(parameters, state.sharers);
    const statement = crypto.inclusionToSign(parameters.digest, state.advertisements.get(sender), sharers);
    require(crypto.verify(roster.get(sender), inclusion, statement), 'S30');
  }
  const words = unpack(parameters.layout, payload);
  words.forEach((word, i) => {
    state.sum[i] += word;
  });
  state.contributors.add(sender);
  if (parameters.chosen) state.inclusions.set(sender, inclusion);
}

/** §6.4 */
export function acceptComplaint({ state }, sender, { accused }) {
  const wasSent = (id) => state.sharers.has(id) && (state.ciphertexts.get(id)?.has(sender) ?? false);
  require(accused.length > 0 && accused.every(wasSent), 'S32');
  state.complaints.set(sender, accused);
}

/** §6.8 */
export function acceptDisclosure(server, sender, { disclosures }) {
  const shown = server.dealingsShownTo(sender);
  require(sameIds(disclosures.map(({ client }) => client), shown.map(({ client }) => client)), 'S34');
  const findings = shown.map((dealing, i) => {
    const pair = server.pairFrom(dealing.client, sender);
    const agreement = evidence.agreementOf(pair, disclosures[i].proof);
    require(agreement !== null, 'S34');
    const bytes = evidence.encodeEvidence(pair, dealing, server.state.advertisements.get(sender), disclosures[i].proof);
    return { ...evidence.verdictOn(pair, agreement), evidence: bytes };
  });
  server.state.findings.set(sender, findings);
}

/** §6.5 */
export function acceptConsistencyCheck({ parameters, state, roster }, sender, { signature }) {
  const sets = [state.sharers, state.contributors].map((each) => setToBytes(parameters, each));
  const statement = parameters.chosen
    ? crypto.acknowledgementToSign(parameters.digest, state.advertisements.get(sender), ...sets)
    : crypto.contributorsToSign(state.binding, ascending(state.contributors));
  require(crypto.verify(roster.get(sender), signature, statement), 'S40');
  state.confirmations.set(sender, signature);
}

function checkShare({ share }) {
  try {
    elementsOf(share.slice(0, SHARE));
  } catch (error) {
    throw error instanceof DecodeError ? new Violation('S51') : error;
  }
}

/** §6.6 */
export function acceptUnmasking(server, sender, { seedShares, maskKeyShares }) {
  const { survivors, dropped } = server.askedOf(sender);
  const owners = (shares) => shares.map(({ owner }) => owner);
  require(sameIds(owners(seedShares), survivors) && sameIds(owners(maskKeyShares), dropped), 'S50');
  const revealed = [...seedShares, ...maskKeyShares];
  const length = server.parameters.signsDealings ? REVEALED : SHARE;
  if (revealed.some(({ share }) => share.length !== length)) throw new DecodeError('a share has another length');
  revealed.forEach(checkShare);
  server.state.revealed.set(sender, new Map(revealed.map(({ owner, share }) => [owner, share])));
}
