/**
 * The messages of §6: their fields, their strict decoding for each role, and their bytes.
 */
import { isAscending } from './canonical.js';
import { decodeStrictly, encode, oneOf, repeated, single } from './protobuf.js';
import { DecodeError, isAbortReason } from './rules.js';

const SESSION = 32;
const PUBLIC_KEYS = [32, 1216];
const COMMITMENT = 32;
const SIGNATURE = 64;
const PARCELS = [112, 1200, 2288, 2320];
const SHARE = 36;
const LONGEST_ITEM = 256;
const LONGEST_HYBRID_ITEM = 2640;

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
const Revealed = [single(1, 'owner', 'fixed64'), single(2, 'share', 'bytes')];

const BODIES = {
  AdvertiseKeysRequest: [],
  AdvertiseKeysResponse: [single(1, 'advertisement', Advertisement)],
  ShareKeysRequest: [repeated(1, 'advertisements', Advertisement)],
  ShareKeysResponse: [repeated(1, 'ciphertexts', Sealed)],
  MaskedInputCollectionRequest: [repeated(1, 'ciphertexts', Sealed)],
  MaskedInputCollectionResponse: [single(1, 'payload', 'bytes')],
  ConsistencyCheckRequest: [repeated(1, 'contributors', 'fixed64')],
  ConsistencyCheckResponse: [single(1, 'signature', 'bytes')],
  UnmaskingRequest: [
    repeated(1, 'survivors', 'fixed64'),
    repeated(2, 'dropped', 'fixed64'),
    repeated(3, 'confirmations', Confirmation),
  ],
  UnmaskingResponse: [repeated(1, 'seedShares', Revealed), repeated(2, 'maskKeyShares', Revealed)],
  Abort: [single(1, 'reason', 'string')],
};

const Envelope = [
  single(1, 'session', 'bytes'),
  ...Object.entries(BODIES).map(([name, schema], i) => oneOf(i + 2, name, schema)),
];

function check(condition, what) {
  if (!condition) throw new DecodeError(what);
}

const checkLength = (data, ...lengths) => check(lengths.includes(data.length), 'a field has another length');
const longestItem = ({ hybrid }) => (hybrid ? LONGEST_HYBRID_ITEM : LONGEST_ITEM);
const checkAscending = (ids) => check(isAscending(ids), 'a list is not ascending');

function checkAdvertisement(advertisement) {
  checkLength(advertisement.channelPublic, ...PUBLIC_KEYS);
  checkLength(advertisement.maskPublic, ...PUBLIC_KEYS);
  checkLength(advertisement.commitment, COMMITMENT);
  if (advertisement.signature.length) checkLength(advertisement.signature, SIGNATURE);
}

function checkSealed({ ciphertexts }) {
  checkAscending(ciphertexts.map(({ client }) => client));
  ciphertexts.forEach(({ ciphertext }) => checkLength(ciphertext, ...PARCELS));
}

function checkRevealed(shares) {
  checkAscending(shares.map(({ owner }) => owner));
  shares.forEach(({ share }) => checkLength(share, SHARE));
}

const CHECKS = {
  AdvertiseKeysRequest() {},
  AdvertiseKeysResponse({ advertisement }) {
    check(advertisement, 'the advertisement is missing');
    checkAdvertisement(advertisement);
  },
  ShareKeysRequest({ advertisements }) {
    checkAscending(advertisements.map(({ client }) => client));
    advertisements.forEach(checkAdvertisement);
  },
  ShareKeysResponse: checkSealed,
  MaskedInputCollectionRequest: checkSealed,
  MaskedInputCollectionResponse() {},
  ConsistencyCheckRequest: ({ contributors }) => checkAscending(contributors),
  ConsistencyCheckResponse: ({ signature }) => checkLength(signature, SIGNATURE),
  UnmaskingRequest({ survivors, dropped, confirmations }) {
    checkAscending(survivors);
    checkAscending(dropped);
    checkAscending(confirmations.map(({ client }) => client));
    confirmations.forEach(({ signature }) => checkLength(signature, SIGNATURE));
  },
  UnmaskingResponse({ seedShares, maskKeyShares }) {
    checkRevealed(seedShares);
    checkRevealed(maskKeyShares);
  },
  Abort: ({ reason }) => check(isAbortReason(reason), 'an unknown reason'),
};

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

function decodeMessage(data, longest, suffix) {
  check(data.length <= longest, 'longer than any message of this session');
  const { session, ...bodies } = decodeStrictly(Envelope, data);
  checkLength(session, SESSION);
  const name = Object.keys(bodies).find((each) => bodies[each] !== undefined);
  check(name && (name.endsWith(suffix) || name === 'Abort'), 'not a body for this role');
  CHECKS[name](bodies[name]);
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
  return decodeMessage(data, longestItem(parameters) * (parameters.n + 4), 'Request');
}

/**
 * Decodes a message for the server (§6).
 * @throws {DecodeError} S02
 */
export function decodeForServer(data, parameters) {
  const longest = parameters.layout.bytes + longestItem(parameters) * (Number(parameters.degree) + 4);
  return decodeMessage(data, longest, 'Response');
}
