/**
 * What a session's messages say to the person whose device sends them, in one sentence each.
 */
import { decodeParameters } from '../../clients/js/src/parameters.js';
import { unpack } from '../../clients/js/src/packing.js';
import { decodeForClient, decodeForServer, decodeOffer } from '../../clients/js/src/wire.js';

const people = (count) => (count === 1 ? '1 person' : `${count} people`);

/** The fields of a packed vector, as the server reads them: numbers. */
function fieldsOf({ layout }, payload) {
  const words = unpack(layout, payload);
  return layout.sections.flatMap((section) => Array.from({ length: section.entries }, (_, e) => {
    const word = words[section.firstWord + Math.floor(e / section.fields)];
    return Number(BigInt.asUintN(section.width, word >> BigInt((e % section.fields) * section.width)));
  }));
}

const REQUESTS = {
  AdvertiseKeysRequest: () => ['keys', 'going', 'The server asks for keys.'],
  ShareKeysRequest: ({ advertisements }) => ['keys', 'done',
    `Keys of ${people(advertisements.length)} came, yours among them, and every signature fits the roster.`],
  MaskedInputCollectionRequest: ({ ciphertexts }) => ['shares', 'done',
    `${ciphertexts.length} sealed shares of the others came for your device to keep.`],
  ConsistencyCheckRequest: ({ contributors }) => ['masked', 'done', `Answers of ${people(contributors.length)} have arrived, all of them noise.`],
  UnmaskingRequest: ({ confirmations }) => ['check', 'done',
    `${people(confirmations.length)} have confirmed the same list, and every signature fits.`],
};

// Of rounds in which somebody is blamed, and of the end, the page says nothing of its own.
const NOTHING = ['', '', ''];

const ANSWERS = {
  AdvertiseKeysResponse: () => ['keys', 'going', 'Two new keys, for this session only, were signed and sent.'],
  ShareKeysResponse: ({ ciphertexts }, { threshold }) => ['shares', 'going',
    `Your keys were cut into ${ciphertexts.length} shares, each sealed for one of the others. Any ${threshold} of them bring back what is needed if you leave; fewer say nothing.`],
  MaskedInputCollectionResponse: ({ payload }, parameters) => ['masked', 'going',
    `Your answer was added to random numbers and sent: ${payload.length} bytes.`, { payload, fields: fieldsOf(parameters, payload) }],
  ConsistencyCheckResponse: () => ['check', 'going', 'Your device signed the list of answers that it was shown.'],
  UnmaskingResponse: ({ seedShares, maskKeyShares }) => ['unmasking', 'going',
    `Your device helped to remove the noise from the sum: it gave one share for each of ${seedShares.length} others whose answers are in the sum, and ${maskKeyShares.length} for those who left before. Never both for one person.`],
};

/** Tells what the messages of one session mean. */
export class Story {
  /** @param {Uint8Array} offer */
  constructor(offer) {
    this.parameters = decodeParameters(decodeOffer(offer));
  }

  /** How many were asked to take part. */
  get cohort() {
    return this.parameters.n;
  }

  /** Bits of each number that the server sees. */
  get width() {
    return this.parameters.layout.sections[0].width;
  }

  /**
   * What a message says.
   * @param {Uint8Array} message of the server, which the session has accepted
   * @returns {[string, string, string, object?]} the step, its state, a sentence, and what may be drawn
   */
  asked(message) {
    const { name, body } = decodeForClient(message, this.parameters);
    return REQUESTS[name]?.(body, this.parameters) ?? NOTHING;
  }

  /** What an answer says. */
  answered(answer) {
    const { name, body } = decodeForServer(answer, this.parameters);
    return ANSWERS[name]?.(body, this.parameters) ?? NOTHING;
  }
}
