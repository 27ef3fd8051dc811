/**
 * What cells add to the sums of a session (robust-v1.md §5, §6): alarms, and sums that prove a lie. Below that, the
 * functions of ../vectors/primitives/robust.json as JSON in and JSON out; see primitives.js.
 */
import { hex, unhex } from '../canonical.js';
import { ALARMS, Guard, Partition, recordWholeCohort, roundContext } from './cells.js';
import { decodeParameters } from '../parameters.js';

const SLOTS = 32;
const WORD_BYTES = 16;

/** The largest word of a client of a cell (§5). */
function largestWord(clients) {
  return ((1n << 63n) - 1n) / BigInt(clients);
}

/** A client's entries of `alarms`, from 17 random bytes. */
function alarmWords(alarm, clients, drawn) {
  let number = 0n;
  for (const octet of drawn.subarray(1, 1 + WORD_BYTES)) number = (number << 8n) | BigInt(octet);
  const word = 1n + (number % largestWord(clients));
  return Array.from({ length: SLOTS }, (_, slot) => (alarm && slot === drawn[0] % SLOTS ? word : 0n));
}

/** About how many clients of a cell alarmed. */
function countAlarms(used, clients) {
  return used === SLOTS ? clients : Math.min(clients, SLOTS * Math.log(SLOTS / (SLOTS - used)));
}

const topOf = ({ bits }) => 2 ** (bits - 1) - 1;
const isMean = ({ kind, aggregate }) => kind === 'FixedPoint' && aggregate === 'mean';

/** How many fields of a section are above a bound, and, behind the last entry, above 0. */
function beyond({ width, fields, words: count, firstWord, entries }, words, bound) {
  let found = 0;
  for (let place = 0; place < count * fields; place++) {
    const shift = BigInt((place % fields) * width);
    const field = BigInt.asUintN(width, words[firstWord + Math.floor(place / fields)] >> shift);
    if (field > (place < entries ? bound : 0n)) found++;
  }
  return found;
}

/**
 * What a sum proves (§6).
 * @param {Layout} layout of the session
 * @param {object} given contributors, words, and perhaps the norm that honest clients keep to
 */
export function judgeSum(layout, { contributors, words: texts, norm }) {
  const words = BigUint64Array.from(texts, BigInt);
  const { vectors, totalWeight = BigInt(contributors) } = layout.decode(words, contributors);
  const impossible = layout.vectors.map((vector, i) => {
    const largest = vector.kind === 'FixedPoint' ? BigInt(2 * topOf(vector)) : vector.high - vector.low;
    const terms = layout.isWeighted(vector) ? totalWeight : BigInt(contributors);
    return { name: vector.name, fields: beyond(layout.sections[i], words, largest * terms) };
  }).filter(({ fields }) => fields);
  const alarms = vectors.find(({ name }) => name === ALARMS)?.integers ?? [];
  const means = layout.vectors.map((vector, i) => [vector, vectors[i].reals]).filter(([vector]) => isMean(vector));
  const length = Math.hypot(...means.flatMap(([, reals]) => reals));
  const steps = Math.hypot(...means.flatMap(([vector, reals]) => reals.map(() => vector.clip / topOf(vector))));
  const proved = impossible.length > 0
    || alarms.filter((word) => word !== 0n).length > contributors
    || (norm !== undefined && length > norm + steps);
  return { impossible, proved };
}

const partitionOf = ({ clients, size, seed, epoch }) => new Partition(
  { clients: clients.map(BigInt), size: Number(size), seed: unhex(seed), epoch: BigInt(epoch) });
const roundOf = ({ model, number, plan }) => ({ model: unhex(model), number: BigInt(number), plan: unhex(plan) });

/** Whether each of these offers is admitted, and what is remembered of them. */
function admissions({ offers, regroupings, other_sums: otherSums, ...given }) {
  const ledger = new Map();
  const limits = { floor: 2, regroupings: Number(regroupings), otherSums: Number(otherSums), ledger };
  const admitted = offers.map((offer) => {
    const client = BigInt(offer.client);
    try {
      if (offer.whole_cohort) {
        recordWholeCohort({ ...limits, client });
      } else {
        const guard = new Guard(partitionOf({ ...given, epoch: offer.epoch }), client, limits);
        guard.record(decodeParameters(unhex(offer.parameters)), { ...roundOf(offer), kind: offer.kind });
      }
      return true;
    } catch (error) {
      if (error.rule) return false;
      throw error;
    }
  });
  const records = [...ledger.values()].map(({ session, client, phase, hash }) => (
    { session: hex(session), client: `${client}`, phase, hash: hex(hash) }));
  return { admitted, records };
}

export const ROBUST = {
  admissions,
  alarm_words: ({ clients, alarm, tape }) => ({
    high: `${largestWord(clients)}`,
    words: alarmWords(alarm, clients, unhex(tape)).map(String),
  }),
  judge_offer({ client, floor, threat_model: threatModel, parameters, ...given }) {
    const guard = new Guard(partitionOf(given), BigInt(client), { floor: Number(floor), threatModel });
    guard.check(decodeParameters(unhex(parameters)), roundOf(given));
    return {};
  },
  partition(given) {
    const { cells, digest } = partitionOf(given);
    return { cells: cells.map((cell) => cell.map(String)), digest: hex(digest) };
  },
  round_context: ({ cell, ...given }) => ({
    context: hex(roundContext(partitionOf(given), { ...roundOf(given), cell: Number(cell) })),
  }),
  count_alarms: ({ clients, sums }) => ({
    alarms: countAlarms(sums.filter((sum) => BigInt(sum) !== 0n).length, Number(clients)),
  }),
};
