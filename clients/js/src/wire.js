/**
 * The messages of §6: their fields, their strict decoding for each role, and their bytes.
 */
import { isAscending } from './canonical.js';
import { setFromBytes } from './chosen.js';
import { decodeStrictly, encode, oneOf, repeated, single } from './protobuf.js';
import { DecodeError, isAbortReason } from './rules.js';

const SESSION = 32;
const PUBLIC_KEYS = [32, 1216];
const COMMITMENT = 32;
const SIGNATURE = 64;
const ATTESTATION = 192;
const PARCELS = [112, 144, 1200, 2288, 2320];
const SHARES = [36, 68];
const ENTRY = 184;
const LONGEST_BLOCK = 2944;
const DIGEST = 32;
const PROOF = 128;
const LONGEST_ITEM = 256;
const LONGEST_HYBRID_ITEM = 2640;
const LONGEST_DEALINGS = 27000;

const Offer = [single(1, 'parameters', 'bytes')];

const Advertisement = [
  single(1, 'client', 'fixed64'),
  single(2, 'channelPublic', 'bytes'),
  single(3, 'maskPublic', 'bytes'),
  single(4, 'commitment', 'bytes'),
  single(5, 'signature', 'bytes'),
];
const Sealed = [single(1, 'client', 'fixed64'), single(2, 'ciphertext', 'bytes')];
const Confirmation = [single(1, 'client', 'fixed64'), single(2, 'signature', 'bytes')];
const Dealing = [
  single(1, 'client', 'fixed64'),
  single(2, 'block', 'bytes'),
  single(3, 'digests', 'bytes'),
  single(4, 'signature', 'bytes'),
];
const Disclosure = [single(1, 'client', 'fixed64'), single(2, 'proof', 'bytes')];
const Revealed = [single(1, 'owner', 'fixed64'), single(2, 'share', 'bytes')];

const BODIES = {
  AdvertiseKeysRequest: [],
  AdvertiseKeysResponse: [single(1, 'advertisement', Advertisement), repeated(2, 'holders', 'fixed64')],
  ShareKeysRequest: [repeated(1, 'advertisements', Advertisement)],
  ShareKeysResponse: [repeated(1, 'ciphertexts', Sealed), single(2, 'signature', 'bytes')],
  MaskedInputCollectionRequest: [repeated(1, 'ciphertexts', Sealed), single(2, 'sharers', 'bytes')],
  MaskedInputCollectionResponse: [single(1, 'payload', 'bytes')],
  ConsistencyCheckRequest: [
    repeated(1, 'contributors', 'fixed64'),
    single(2, 'contributorSet', 'bytes'),
    repeated(3, 'inclusions', Confirmation),
  ],
  ConsistencyCheckResponse: [single(1, 'signature', 'bytes')],
  UnmaskingRequest: [
    repeated(1, 'survivors', 'fixed64'),
    repeated(2, 'dropped', 'fixed64'),
    repeated(3, 'confirmations', Confirmation),
  ],
  UnmaskingResponse: [repeated(1, 'seedShares', Revealed), repeated(2, 'maskKeyShares', Revealed)],
  Abort: [single(1, 'reason', 'string')],
  ChosenInputResponse: [single(1, 'inclusion', 'bytes'), single(2, 'payload', 'bytes')],
};
const LATER_BODIES = {
  Complaint: [repeated(1, 'accused', 'fixed64')],
  DisclosureRequest: [repeated(1, 'dealings', Dealing)],
  DisclosureResponse: [repeated(1, 'disclosures', Disclosure)],
};

const Envelope = [
  single(1, 'session', 'bytes'),
  ...Object.entries(BODIES).map(([name, schema], i) => oneOf(i + 2, name, schema)),
  ...Object.entries(LATER_BODIES).map(([name, schema], i) => oneOf(i + 17, name, schema)),
];

function check(condition, what) {
  if (!condition) throw new DecodeError(what);
}

const checkLength = (data, ...lengths) => check(lengths.includes(data.length), 'a field has another length');
const checkMultiple = (data, unit, most = Infinity) =>
  check(data.length > 0 && data.length <= most && data.length % unit === 0, 'a field has another length');
const checkSignature = (signature) => signature.length && checkLength(signature, SIGNATURE);
const longestItem = ({ hybrid }) => (hybrid ? LONGEST_HYBRID_ITEM : LONGEST_ITEM);
const checkAscending = (ids) => check(isAscending(ids), 'a list is not ascending');

function checkAdvertisement(advertisement) {
  checkLength(advertisement.channelPublic, ...PUBLIC_KEYS);
  checkLength(advertisement.maskPublic, ...PUBLIC_KEYS);
  checkLength(advertisement.commitment, COMMITMENT);
  checkSignature(advertisement.signature);
}

function checkSealed({ ciphertexts }) {
  checkAscending(ciphertexts.map(({ client }) => client));
  ciphertexts.forEach(({ ciphertext }) => checkLength(ciphertext, ...PARCELS));
}

function checkRevealed(shares) {
  checkAscending(shares.map(({ owner }) => owner));
  shares.forEach(({ share }) => checkLength(share, ...SHARES));
}

function checkSignatures(confirmations) {
  checkAscending(confirmations.map(({ client }) => client));
  confirmations.forEach(({ signature }) => checkLength(signature, SIGNATURE));
}

const CHECKS = {
  AdvertiseKeysRequest() {},
  AdvertiseKeysResponse({ advertisement, holders }) {
    check(advertisement, 'the advertisement is missing');
    checkAdvertisement(advertisement);
    checkAscending(holders);
  },
  ShareKeysRequest({ advertisements }) {
    checkAscending(advertisements.map(({ client }) => client));
    advertisements.forEach(checkAdvertisement);
  },
  ShareKeysResponse(body) {
    checkSealed(body);
    if (body.signature.length) checkLength(body.signature, ATTESTATION);
  },
  MaskedInputCollectionRequest: checkSealed,
  MaskedInputCollectionResponse() {},
  ChosenInputResponse: ({ inclusion }) => checkLength(inclusion, SIGNATURE),
  ConsistencyCheckRequest({ contributors, inclusions }) {
    checkAscending(contributors);
    checkSignatures(inclusions);
  },
  ConsistencyCheckResponse: ({ signature }) => checkLength(signature, SIGNATURE),
  UnmaskingRequest({ survivors, dropped, confirmations }) {
    checkAscending(survivors);
    checkAscending(dropped);
    checkSignatures(confirmations);
  },
  UnmaskingResponse({ seedShares, maskKeyShares }) {
    checkRevealed(seedShares);
    checkRevealed(maskKeyShares);
    const lengths = [...seedShares, ...maskKeyShares].map(({ share }) => share.length);
    check(new Set(lengths).size <= 1, 'shares of one message have different lengths');
  },
  Complaint: ({ accused }) => checkAscending(accused),
  DisclosureRequest({ dealings }) {
    checkAscending(dealings.map(({ client }) => client));
    dealings.forEach(({ block, digests, signature }) => {
      checkMultiple(block, ENTRY, LONGEST_BLOCK);
      checkMultiple(digests, DIGEST);
      checkLength(signature, ATTESTATION);
    });
  },
  DisclosureResponse({ disclosures }) {
    checkAscending(disclosures.map(({ client }) => client));
    disclosures.forEach(({ proof }) => checkLength(proof, PROOF));
  },
  Abort: ({ reason }) => check(isAbortReason(reason), 'an unknown reason'),
};

const OF_CHOSEN_ONLY = {
  AdvertiseKeysResponse: ['holders'],
  MaskedInputCollectionRequest: ['sharers'],
  ConsistencyCheckRequest: ['contributorSet', 'inclusions'],
};
const OF_OTHERS_ONLY = { ConsistencyCheckRequest: ['contributors'], UnmaskingRequest: ['survivors', 'dropped'] };
const SETS = { MaskedInputCollectionRequest: 'sharers', ConsistencyCheckRequest: 'contributorSet' };

/** Refuses fields and bodies that the topology of the session does not have, and sets of another form. */
function checkTopology(parameters, name, body) {
  const { chosen } = parameters;
  check(name !== (chosen ? 'MaskedInputCollectionResponse' : 'ChosenInputResponse'), 'a body of another topology');
  const foreign = (chosen ? OF_OTHERS_ONLY : OF_CHOSEN_ONLY)[name] ?? [];
  check(foreign.every((each) => body[each].length === 0), 'a field of another topology');
  if (chosen && SETS[name]) setFromBytes(parameters, body[SETS[name]]);
}

/** The round that a message is of. */
export const roundOf = (name) =>
  (name === 'ChosenInputResponse' ? 'MaskedInputCollection' : name.replace(/(Request|Response)$/, ''));

/** The name of the response of a round. */
export const responseOf = (round, { chosen }) =>
  (chosen && round === 'MaskedInputCollection' ? 'ChosenInputResponse' : `${round}Response`);

/** The bytes of an offer (§6.1). */
export const encodeOffer = (parameters) => encode(Offer, { parameters });

/**
 * The parameters' bytes of an offer (§6.1).
 * @throws {DecodeError}
 */
export const decodeOffer = (data) => decodeStrictly(Offer, data).parameters;

/**
 * The bytes of a message (§6).
 * @param {Uint8Array} session the session digest
 * @param {string} name of the body
 * @param {object} body
 */
export const encodeMessage = (session, name, body) => encode(Envelope, { session, [name]: body });

function decodeMessage(data, parameters, longest, suffix, ...others) {
  check(data.length <= longest, 'longer than any message of this session');
  const { session, ...bodies } = decodeStrictly(Envelope, data);
  checkLength(session, SESSION);
  const name = Object.keys(bodies).find((each) => bodies[each] !== undefined);
  check(name && (name.endsWith(suffix) || others.includes(name)), 'not a body for this role');
  CHECKS[name](bodies[name]);
  if (parameters.kind) checkTopology(parameters, name, bodies[name]);
  return { session, name, body: bodies[name] };
}

/**
 * Decodes a message for a client (§6).
 * @param {Uint8Array} data
 * @param {import('./parameters.js').Parameters} parameters
 * @returns {{session: Uint8Array, name: string, body: object}}
 * @throws {DecodeError} A08
 */
export function decodeForClient(data, parameters) {
  const items = Math.max(parameters.n, parameters.chosen ? 4 * Number(parameters.degree) : 0);
  const longest = longestItem(parameters) * (items + 4) + parameters.n + LONGEST_DEALINGS;
  return decodeMessage(data, parameters, longest, 'Request', 'Abort');
}

/**
 * Decodes a message for the server (§6).
 * @throws {DecodeError} S02
 */
export function decodeForServer(data, parameters) {
  const longest = parameters.layout.bytes + longestItem(parameters) * (Number(parameters.degree) + 4);
  return decodeMessage(data, parameters, longest, 'Response', 'Complaint', 'Abort');
}
