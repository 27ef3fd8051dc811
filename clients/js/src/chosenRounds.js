/**
 * What a client of a chosen graph checks and signs beside what every client does (§6.3 to §6.6). Experimental.
 *
 * Its sharers (D) and contributors (X) are in its state as bytes. Every check is against these, and against the keys
 * that it was shown before it sealed anything.
 */
import { ascending } from './canonical.js';
import { setFromBytes } from './chosen.js';
import * as crypto from './crypto.js';
import { require } from './rules.js';

/** §6.3, check 2 */
export function checkShown({ parameters, points, threshold }, others) {
  const cohort = new Set(parameters.cohort);
  const holders = others.filter(({ client }) => points.has(client));
  require(others.every(({ client }) => cohort.has(client)), 'C20');
  require(holders.length >= threshold, 'C27');
  require(others.length - holders.length <= 3 * Number(parameters.degree), 'C29');
}

/** §6.4, check 1; D is kept */
export function checkSharers({ parameters, state, threshold }, { ciphertexts, sharers }) {
  const members = setFromBytes(parameters, sharers);
  require([...state.sealedFor].filter((id) => members.has(id)).length >= threshold, 'C33');
  require([state.client, ...ciphertexts.map(({ client }) => client)].every((id) => members.has(id)), 'C34');
  state.sharers = sharers;
}

/** The clients that a client masks with: its owners, and those of its holders that shared (§6.4). */
export function sharersOf({ parameters, state }) {
  const members = setFromBytes(parameters, state.sharers);
  return new Set([...state.shares.keys(), ...[...state.sealedFor].filter((id) => members.has(id))]);
}

/** The inclusion of the client (§3.5). */
export const includeItself = ({ parameters, state, identityKey }) =>
  crypto.sign(identityKey, crypto.inclusionToSign(parameters.digest, state.advertisement, state.sharers));

function areSigned({ state, roster }, list, messageOf) {
  return list.every(({ client, signature }) =>
    crypto.verify(roster.get(client), signature, messageOf({ client, maskPublic: state.maskPublics.get(client) })));
}

/** §6.5; X is kept. Returns the acknowledgement. */
export function acknowledge(client, { contributorSet, inclusions }) {
  const { parameters, state, identityKey } = client;
  const sharers = setFromBytes(parameters, state.sharers);
  const contributors = setFromBytes(parameters, contributorSet);
  require(contributors.has(state.client), 'C43');
  require([...contributors].every((id) => sharers.has(id)), 'C40');
  require(contributors.size >= parameters.minimumContributors, 'C41');
  const expected = ascending(state.shares.keys()).filter((id) => contributors.has(id));
  const given = inclusions.map((each) => each.client);
  require(given.length === expected.length && given.every((id, i) => id === expected[i]), 'C45');
  const included = (signer) => crypto.inclusionToSign(parameters.digest, signer, state.sharers);
  require(areSigned(client, inclusions, included), 'C44');
  state.contributors = contributorSet;
  return crypto.sign(identityKey, acknowledgementOf(client, state.advertisement));
}

const acknowledgementOf = ({ parameters, state }, signer) =>
  crypto.acknowledgementToSign(parameters.digest, signer, state.sharers, state.contributors);

/** §6.6. Returns whose seed shares, and whose mask-key shares, are revealed; the request does not say. */
export function checkAcknowledgements(client, { confirmations }) {
  const { parameters, state, threshold } = client;
  const contributors = setFromBytes(parameters, state.contributors);
  const counts = (id) => state.sealedFor.has(id) && contributors.has(id);
  require(confirmations.every((each) => counts(each.client)), 'C58');
  require(areSigned(client, confirmations, (signer) => acknowledgementOf(client, signer)), 'C59');
  require(confirmations.length >= threshold, 'C60');
  const owners = ascending(state.shares.keys());
  const contributed = (id) => contributors.has(id);
  return { survivors: owners.filter(contributed), dropped: owners.filter((id) => !contributed(id)) };
}
