/**
 * The client's side of each round: the checks in the order of §6, and the answer.
 *
 * Each function takes the client and the body of the request, and returns the body of the response.
 */
import { agreements, publicKeyOf } from './agreement.js';
import { bindingOf } from './binding.js';
import { ascending, concat, equal, hex } from './canonical.js';
import * as crypto from './crypto.js';
import * as chosen from './chosenRounds.js';
import { drawHolders } from './chosen.js';
import { SHARE, commitmentTo, digestsOfPair } from './commitments.js';
import { pack } from './packing.js';
import { masked } from './prg.js';
import { checkPublicKeys, splitParcel } from './parcels.js';
import * as disclosures from './disclosures.js';
import * as evidence from './evidence.js';
import { Violation, require } from './rules.js';
import { Coefficients, polynomialsOf, shareAt } from './sharing.js';

const KEY = 32;
const HYBRID_KEY = 96;
const NONCE = 24;
const MOST_DEALINGS = 8;

function erasable(value) {
  if (value instanceof Map) return [...value.values()].map((each) => each.secret ?? each);
  return ArrayBuffer.isView(value) ? [value] : [];
}

/** Erases all secrets of a session that stand in its state (R04). */
export function eraseSecrets(state) {
  const { channelPrivate, maskPrivate, maskSecret, seed, channelKeys, encapsulated, shares, input } = state;
  const secrets = [channelPrivate, maskPrivate, maskSecret, seed, channelKeys, encapsulated, shares, input];
  crypto.erase(...secrets.flatMap(erasable));
}

function forget(state, ...names) {
  for (const name of names) {
    crypto.erase(...erasable(state[name]));
    delete state[name];
  }
}

/** §6.2 */
export async function answerAdvertiseKeys({ parameters, state, randomness, identityKey }) {
  state.channelPrivate = randomness.draw(parameters.hybrid ? HYBRID_KEY : KEY);
  state.maskSecret = randomness.draw(KEY);
  state.maskPrivate = parameters.hybrid
    ? crypto.maskPrivateKey(state.maskSecret, parameters.digest)
    : state.maskSecret.slice();
  state.seed = randomness.draw(KEY);
  const advertisement = {
    client: state.client,
    channelPublic: await publicKeyOf(state.channelPrivate),
    maskPublic: await publicKeyOf(state.maskPrivate),
    commitment: crypto.commitment(parameters.digest, state.client, state.seed),
  };
  advertisement.signature = parameters.active
    ? crypto.sign(identityKey, crypto.advertisementToSign(parameters.digest, advertisement))
    : new Uint8Array(0);
  state.advertisement = advertisement;
  if (!parameters.chosen) return { advertisement };
  state.holders = drawHolders(parameters, state.client, randomness);
  return { advertisement, holders: state.holders };
}

const sameAdvertisement = (one, other) =>
  ['channelPublic', 'maskPublic', 'commitment', 'signature'].every((name) => equal(one[name], other[name]));

/** §6.3, check 2, where the parameters say who is a neighbour */
function checkNeighbours({ points, threshold }, others) {
  require(others.every(({ client }) => points.has(client)), 'C20');
  require(others.length >= threshold, 'C27');
}

function checkAdvertisements(client, advertisements) {
  const { parameters, state, roster } = client;
  const own = advertisements.find(({ client }) => client === state.client);
  const others = advertisements.filter((each) => each !== own);
  require(own !== undefined, 'C22');
  require(sameAdvertisement(own, state.advertisement), 'C23');
  (parameters.chosen ? chosen.checkShown : checkNeighbours)(client, others);
  others.forEach((each) => checkPublicKeys(parameters, each));
  const keys = advertisements.flatMap((each) => [each.channelPublic, each.maskPublic].flatMap(crypto.partsOf)).map(hex);
  require(new Set(keys).size === keys.length, 'C24');
  require(others.every((each) => [each.channelPublic, each.maskPublic].every(crypto.isCanonicalKey)), 'C28');
  if (parameters.active) {
    const isSigned = (each) => crypto.verify(
      roster.get(each.client), each.signature, crypto.advertisementToSign(parameters.digest, each),
    );
    require(others.every(isSigned), 'C26');
  }
  return others;
}

/** X25519 of an own private key with the keys of others. */
async function agreeOn(privateKey, publicKeys) {
  const agreed = await agreements(privateKey, publicKeys);
  if (agreed.includes(null)) {
    crypto.erase(...agreed.filter((shared) => shared !== null));
    throw new Violation('C25');
  }
  return agreed;
}

/** What a parcel has in hybrid suites beside the sealed pair, and the key for that (§3.2, §3.3). */
function encapsulateTo({ parameters, state, randomness }, derived, { receiver, channelPublic, maskPublic }) {
  const none = new Uint8Array(0);
  const parcel = { outgoing: derived, channelCiphertext: none, maskCiphertext: none, wrap: none };
  if (!parameters.hybrid) return parcel;
  const sent = crypto.encapsulate(channelPublic, randomness.draw(KEY));
  Object.assign(parcel, {
    outgoing: crypto.hybridKey(derived, sent, state.binding),
    channelCiphertext: sent.ciphertext,
  });
  if (state.client < receiver) {
    const kept = crypto.encapsulate(maskPublic, randomness.draw(KEY));
    state.encapsulated.set(receiver, kept);
    Object.assign(parcel, {
      maskCiphertext: kept.ciphertext,
      wrap: crypto.maskWrap(state.maskSecret, state.binding, state.client, receiver, kept),
    });
  }
  return parcel;
}

/** §6.3 */
export async function answerShareKeys(client, { advertisements }) {
  const { parameters, state, points, threshold, randomness } = client;
  const others = checkAdvertisements(client, advertisements);
  const agreed = await agreeOn(state.channelPrivate, others.map(({ channelPublic }) => channelPublic));
  state.binding = bindingOf(parameters, new Map(advertisements.map((each) => [each.client, each])));
  state.maskPublics = new Map(others.map((each) => [each.client, each.maskPublic]));
  state.channelKeys = new Map();
  state.encapsulated = new Map();

  const coefficients = new Coefficients(randomness.draw(KEY), threshold);
  const seedPolynomials = polynomialsOf(state.seed, threshold, coefficients, 0);
  const maskKeyPolynomials = polynomialsOf(state.maskSecret, threshold, coefficients, 1);
  coefficients.erase();

  const own = [state.client, state.advertisement.channelPublic];
  const ciphertexts = others.flatMap(({ client: receiver, channelPublic, maskPublic }, i) => {
    const theirs = [receiver, channelPublic];
    const x = points.get(receiver);
    state.channelKeys.set(receiver, crypto.channelKey(agreed[i], state.binding, ...theirs, ...own));
    if (x === undefined) { // A chooser that is no holder (R16).
      crypto.erase(agreed[i]);
      return [];
    }
    const plaintext = concat(shareAt(seedPolynomials, x), shareAt(maskKeyPolynomials, x));
    const derived = crypto.channelKey(agreed[i], state.binding, ...own, ...theirs);
    const { outgoing, channelCiphertext, maskCiphertext, wrap } =
      encapsulateTo(client, derived, { receiver, channelPublic, maskPublic });
    const nonce = randomness.draw(NONCE);
    const sealed = crypto.seal(outgoing, nonce, state.binding, state.client, receiver, plaintext, maskCiphertext);
    const commitment = parameters.signsDealings
      ? commitmentTo([parameters.digest, state.binding, state.client, receiver], plaintext) : new Uint8Array(0);
    const ciphertext = concat(channelCiphertext, sealed, commitment, maskCiphertext, wrap);
    crypto.erase(outgoing, plaintext, agreed[i]);
    return [{ client: receiver, ciphertext }];
  });
  if (parameters.chosen) state.sealedFor = new Set(ciphertexts.map((each) => each.client));
  for (const polynomial of [...seedPolynomials, ...maskKeyPolynomials]) polynomial.fill(0);
  forget(state, 'maskSecret', ...(parameters.hybrid || parameters.signsDealings ? [] : ['channelPrivate']));
  if (!parameters.signsDealings) return { ciphertexts };
  state.channelPublics = new Map(others.map((each) => [each.client, each.channelPublic]));
  const entries = ciphertexts.map(({ client: receiver, ciphertext }) =>
    disclosures.entryOf(receiver, state.channelPublics.get(receiver), ciphertext));
  const digests = disclosures.digestsOf(disclosures.blocksOf(entries));
  const ends = [parameters.digest, state.binding, ...own];
  const signature = crypto.sign(client.identityKey, disclosures.dealingToSign(...ends, digests));
  return { ciphertexts, signature: concat(signature, disclosures.provePossession(state.channelPrivate, ...ends)) };
}

/**
 * §6.4, checks 1 to 3.
 * @returns {Map<bigint, Uint8Array>} the pairs to complain of, as they came, by their senders
 */
export function openShares(client, body) {
  const { parameters, state, threshold } = client;
  const { ciphertexts } = body;
  if (parameters.chosen) chosen.checkSharers(client, body);
  else require(ciphertexts.length >= threshold, 'C33');
  require(ciphertexts.every(({ client: sender }) => state.channelKeys.has(sender)), 'C30');
  state.shares = new Map();
  const unreadable = new Map();
  for (const { client: sender, ciphertext } of ciphertexts) {
    const parcel = splitParcel(parameters, sender, state.client, ciphertext, false);
    let key = state.channelKeys.get(sender);
    if (parameters.hybrid) {
      const received = crypto.decapsulate(state.channelPrivate, parcel.channelCiphertext);
      key = crypto.hybridKey(key.slice(), received, state.binding);
    }
    const pair = parameters.signsDealings
      ? evidence.readCommitted(key, parcel.sealed, parameters.digest, state.binding, sender, state.client)
      : evidence.readPair(key, parcel.sealed, state.binding, sender, state.client, parcel.maskCiphertext);
    if (pair === null) {
      unreadable.set(sender, parcel.sealed);
      continue;
    }
    state.shares.set(sender, pair);
    if (parcel.maskCiphertext.length) {
      state.encapsulated.set(sender, crypto.decapsulate(state.maskPrivate, parcel.maskCiphertext));
    }
  }
  return unreadable;
}

/** Forgets everything but what a disclosure needs (§6.4). */
function complain({ parameters, state }, unreadable) {
  forget(state, 'input', 'maskPrivate', 'seed', 'channelKeys', 'maskPublics', 'encapsulated', 'shares');
  if (!parameters.signsDealings) forget(state, 'channelPrivate');
  const isAccused = ([client]) => unreadable.has(client);
  state.channelPublics = new Map([...(state.channelPublics ?? [])].filter(isAccused));
  state.unreadable = unreadable;
  return { accused: [...unreadable.keys()] };
}

/** The masks of a client: its own, and those that it shares with others. */
async function masksOf(client) {
  const { parameters, state } = client;
  const sharers = [...(parameters.chosen ? chosen.sharersOf(client) : state.shares.keys())];
  const agreed = await agreeOn(state.maskPrivate, sharers.map((id) => state.maskPublics.get(id)));
  const masks = sharers.map((id, i) => {
    const theirs = { client: id, maskPublic: state.maskPublics.get(id) };
    const encapsulated = state.encapsulated.get(id);
    const key = crypto.pairwiseKey(agreed[i], state.binding, parameters.digest, state.advertisement, theirs, encapsulated);
    return { key, sign: id > state.client ? 1 : -1 };
  });
  return [{ key: crypto.selfMaskKey(state.seed, parameters.digest), sign: 1 }, ...masks];
}

/** The input with all masks of the client on it, packed. */
async function mask(client, host) {
  const { parameters: { layout }, state: { input } } = client;
  const masks = await masksOf(client);
  const payload = new Uint8Array(layout.bytes);
  try {
    for await (const { first, words } of masked(input, masks, host)) pack(layout, words, first, payload);
    return payload;
  } catch (error) {
    crypto.erase(payload);
    throw error;
  } finally {
    crypto.erase(...masks.map(({ key }) => key));
  }
}

/** §6.4 */
export async function answerMaskedInputCollection(client, body, host) {
  const { parameters, state } = client;
  const unreadable = openShares(client, body);
  if (unreadable.size) return complain(client, unreadable);
  const payload = await mask(client, host);
  forget(state, 'input', 'maskPrivate', 'seed', 'channelKeys', 'channelPublics', 'channelPrivate', 'encapsulated');
  if (parameters.chosen) return { inclusion: chosen.includeItself(client), payload };
  forget(state, 'maskPublics');
  return { payload };
}

/** §6.8 */
export function answerDisclosure({ parameters, state, roster }, { dealings }) {
  require(state.channelPrivate && dealings.length >= 1 && dealings.length <= MOST_DEALINGS, 'C36');
  require(dealings.every(({ client }) => state.unreadable.has(client)), 'C36');
  const pairs = dealings.map(({ client }) => ({
    session: parameters.digest,
    binding: state.binding,
    dealer: client,
    dealerPublic: state.channelPublics.get(client),
    receiver: state.client,
    receiverPublic: state.advertisement.channelPublic,
    sealed: state.unreadable.get(client),
  }));
  require(pairs.every((pair, i) => evidence.isDealt(pair, dealings[i])), 'C37');
  require(pairs.every((pair, i) => evidence.isSigned(pair, dealings[i], roster.get(pair.dealer))), 'C38');
  require(pairs.every((pair, i) => evidence.hasKey(pair, dealings[i])), 'C39');
  const proofs = pairs.map((pair) =>
    disclosures.prove(state.channelPrivate, pair.dealerPublic, evidence.contextOf(pair)));
  forget(state, 'channelPrivate', 'unreadable', 'channelPublics');
  return { disclosures: pairs.map(({ dealer }, i) => ({ client: dealer, proof: proofs[i] })) };
}

/** §6.5 */
export function answerConsistencyCheck(client, body) {
  const { parameters, state, threshold, identityKey } = client;
  if (parameters.chosen) return { signature: chosen.acknowledge(client, body) };
  const { contributors } = body;
  const others = contributors.filter((id) => id !== state.client);
  require(others.length < contributors.length, 'C43');
  require(others.every((id) => state.shares.has(id)), 'C40');
  require(others.length >= threshold, 'C42');
  require(contributors.length >= parameters.minimumContributors, 'C41');
  state.contributors = contributors;
  return { signature: crypto.sign(identityKey, crypto.contributorsToSign(state.binding, contributors)) };
}

function checkConfirmations({ parameters, state, threshold, roster }, survivors, confirmations) {
  if (!parameters.active) {
    require(confirmations.length === 0, 'C58');
    return;
  }
  const claimed = ascending([...survivors, state.client]);
  const signed = new Set(state.contributors);
  require(claimed.length === signed.size && claimed.every((id) => signed.has(id)), 'C57');
  require(confirmations.every(({ client }) => signed.has(client)), 'C58');
  const statement = crypto.contributorsToSign(state.binding, state.contributors);
  const isValid = ({ client, signature }) => crypto.verify(roster.get(client), signature, statement);
  require(confirmations.every(isValid), 'C59');
  require(confirmations.some(({ client }) => client === state.client), 'C61');
  require(confirmations.length >= threshold, 'C60');
}

/** §6.6, where the request says whose shares are revealed */
function checkAsked(client, { survivors, dropped, confirmations }) {
  const { parameters, state, threshold } = client;
  const listed = new Set([...survivors, ...dropped]);
  require(listed.size === survivors.length + dropped.length, 'C50');
  require(!listed.has(state.client), 'C54');
  require(survivors.every((id) => state.shares.has(id)), 'C51');
  require(dropped.every((id) => state.shares.has(id)), 'C52');
  require([...state.shares.keys()].every((id) => listed.has(id)), 'C53');
  require(survivors.length >= threshold, 'C55');
  require(!parameters.complete || survivors.length + 1 >= parameters.minimumContributors, 'C56');
  checkConfirmations(client, survivors, confirmations);
  return { survivors, dropped };
}

/** §6.6 */
export function answerUnmasking(client, body) {
  const { parameters, state } = client;
  const { survivors, dropped } = (parameters.chosen ? chosen.checkAcknowledgements : checkAsked)(client, body);
  const reveal = (which) => (owner) => {
    const pair = state.shares.get(owner);
    const share = pair.slice(SHARE * which, SHARE * (which + 1));
    if (!parameters.signsDealings) return { owner, share };
    const digests = digestsOfPair([parameters.digest, state.binding, owner, state.client], pair);
    return { owner, share: concat(share, digests[1 - which]) };
  };
  const seedShares = survivors.map(reveal(0));
  const maskKeyShares = dropped.map(reveal(1));
  forget(state, 'shares', 'contributors');
  return { seedShares, maskKeyShares };
}
