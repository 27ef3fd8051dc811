/**
 * The functions of ../vectors/primitives as JSON in and JSON out, but for §2.4, of which this implementation has what a
 * client needs. For the call Primitive of conformance.md, and for the tests.
 */
import { bindingOf } from '../binding.js';
import * as c from '../canonical.js';
import * as commitments from '../commitments.js';
import * as crypto from '../crypto.js';
import * as disclosures from '../disclosures.js';
import { judgeEvidence } from '../evidence.js';
import { pack, packWords, unpackWords } from '../packing.js';
import { decodeParameters } from '../parameters.js';
import { withstands } from '../policy.js';
import { prgWords } from '../prg.js';
import { PRIVACY } from './privacy.js';
import { ROBUST, judgeSum } from './robust.js';
import { DecodeError, LocalError } from '../rules.js';
import { Coefficients, elementsOf, limbsOf, polynomialsOf, rebuild, secretOf, shareAt } from '../sharing.js';
import { Topology, place, sharePoints } from '../topology.js';
import { Layout, quantizer } from '../vectors.js';
import { decodeForClient, decodeForServer, decodeOffer, encodeMessage, encodeOffer } from '../wire.js';

const { hex, unhex } = c;

function mustBe(actual, expected) {
  if (actual !== expected) throw new Error(`${actual} is not ${expected}`);
}

/** JSON, the names of each object in one order. */
const sorted = (value) => JSON.stringify(value, (_, item) => (item === null || typeof item !== 'object' || Array.isArray(item)
  ? item : Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))));

const ROOMY = { n: 1e5, degree: 1e5, layout: { bytes: 1e9 } };

class Refused extends Error {
  constructor(...rules) {
    super(rules.join());
    this.rules = rules;
  }
}

function specification({ name, fixed_point: fixed, integers }) {
  const shape = (fixed ?? integers).shape.map(BigInt);
  return fixed
    ? { ...fixed, name, kind: 'FixedPoint', shape }
    : { name, kind: 'Integers', shape, low: BigInt(integers.low), high: BigInt(integers.high) };
}

const layoutOf = ({ clients, max_weight: maxWeight, vectors }) =>
  new Layout({ n: Number(clients), maxWeight: BigInt(maxWeight), vectors: vectors.map(specification) });

const endsOf = ({ session, binding, owner, holder }) =>
  [unhex(session), unhex(binding), BigInt(owner), BigInt(holder)];

function encodeValue(value) {
  const [[kind, content]] = Object.entries(value);
  if (kind === 'integer') return c.integer(BigInt(content));
  if (kind === 'bytes') return c.bytes(unhex(content));
  return kind === 'text' ? c.text(content) : c.list(content.map(encodeValue));
}

function decodeValues({ encoding, kinds }) {
  const reader = new c.CanonicalReader(unhex(encoding));
  const values = kinds.map((kind) => {
    if (kind === 'integer') return { integer: `${reader.integer()}` };
    if (kind === 'bytes') return { bytes: hex(reader.bytes(100)) };
    if (kind === 'text') return { text: reader.text(100) };
    return { list: Array.from({ length: reader.listHead(100) }, () => ({ integer: `${reader.integer()}` })) };
  });
  reader.end();
  return { values };
}

function advertisementsOf(list) {
  return new Map(list.map((each) => [BigInt(each.client), {
    channelPublic: unhex(each.channel_public), maskPublic: unhex(each.mask_public), commitment: unhex(each.commitment),
  }]));
}

function bytesOf({ encoding, made_of: parts }) {
  if (encoding !== undefined) return unhex(encoding);
  return c.join(parts.map(({ bytes, repeat, ids, numbered }) => {
    if (repeat) return c.join(Array(repeat.times).fill(unhex(repeat.bytes)));
    if (ids) return c.idBytes(Array.from({ length: ids.count }, (_, i) => BigInt(ids.first) + BigInt(i)));
    if (!numbered) return unhex(bytes);
    const digits = (i) => new TextEncoder().encode(`${i}`.padStart(numbered.digits, '0'));
    const [before, after] = [unhex(numbered.before), unhex(numbered.after)];
    return c.join(Array.from({ length: numbered.count }, (_, i) => c.concat(before, digits(i), after)));
  }));
}

function topologyOf({ topology, cohort }) {
  return new Topology({
    cohort: cohort.map(BigInt), n: cohort.length, complete: topology.kind === 'complete',
    degree: BigInt(topology.degree), permutationSeed: unhex(topology.permutation_seed),
  });
}

const agreed = ({ own, other }) => crypto.agree(unhex(own.private), unhex(other.public));
const publicOf = (own) => crypto.agreementPublicKey(unhex(own.private));
const sharesOf = (shares) => new Map(shares.map(({ point, share }) => [point, unhex(share)]));

/** A body as the files write it: names with underscores, without defaults. */
function plain(value) {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === 'bigint') return `${value}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([name, item]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), plain(item),
  ]);
  return Object.fromEntries(entries.filter(([, item]) => !['', '0'].includes(item) && item?.length !== 0));
}

function decodeFor(role, data) {
  if (role === 'new client') return decodeParameters(decodeOffer(data));
  return (role === 'client' ? decodeForClient : decodeForServer)(data, ROOMY);
}

function judgeKey({ public: key }) {
  if (!crypto.isCanonicalKey(unhex(key))) throw new Refused('C28', 'S15');
  if (crypto.isLowOrder(unhex(key))) throw new Refused('C25', 'S13');
  return {};
}

function levelsOf(entries, spec) {
  const levels = new Float64Array(entries.length);
  quantizer(spec)(levels, entries, 0);
  return [...levels];
}

const sentIn = ({ secret, ciphertext }) => ({ secret: unhex(secret), ciphertext: unhex(ciphertext) });

/** The keys of a channel in both directions, in a hybrid suite without what is encapsulated. */
function channelKeys(input) {
  const own = [BigInt(input.own.client), publicOf(input.own)];
  const other = [BigInt(input.other.client), unhex(input.other.public)];
  const key = (...ends) => crypto.channelKey(agreed(input), unhex(input.binding), ...ends);
  return [key(...own, ...other), key(...other, ...own)];
}

function pairwiseKey(input, encapsulated) {
  const own = { client: BigInt(input.own.client), maskPublic: publicOf(input.own) };
  const other = { client: BigInt(input.other.client), maskPublic: unhex(input.other.public) };
  const [binding, session] = [unhex(input.binding), unhex(input.session)];
  return { key: hex(crypto.pairwiseKey(agreed(input), binding, session, own, other, encapsulated)) };
}

/** What a pair is sealed or opened with: both ends, and in a hybrid suite the mask ciphertext beside it. */
const besidesOf = ({ mask_ciphertext: beside = '' }) => unhex(beside);
const partiesOf = ({ sender, receiver }) => [BigInt(sender), BigInt(receiver)];

function sealed(input) {
  const [key, nonce, binding] = [input.key, input.nonce, input.binding].map(unhex);
  const pair = unhex(input.seed_share + input.mask_key_share);
  return { sealed: hex(crypto.seal(key, nonce, binding, ...partiesOf(input), pair, besidesOf(input))) };
}

function opened(input) {
  const [key, content, binding] = [input.key, input.sealed, input.binding].map(unhex);
  const pair = crypto.open(key, content, binding, ...partiesOf(input), besidesOf(input));
  if (!pair) throw new Refused('S22');
  FUNCTIONS.sharing.judge_share({ share: hex(pair.slice(0, 36)) });
  FUNCTIONS.sharing.judge_share({ share: hex(pair.slice(36)) });
  return { seed_share: hex(pair.slice(0, 36)), mask_key_share: hex(pair.slice(36)) };
}

const reals = (list) => list.map(Number);

/** By kind and function: input, and for two of them also the expected output, to output; refusals throw. */
export const FUNCTIONS = {
  canonical: {
    encode: ({ label, values }) => ({ encoding: hex(c.concat(c.canonical(label), ...values.map(encodeValue))) }),
    decode: decodeValues,
  },
  digests: {
    cohort_digest: ({ session, advertisements }) => ({
      cohort_digest: hex(bindingOf({ complete: true, digest: unhex(session) }, advertisementsOf(advertisements))),
    }),
    binding: ({ kind, session, advertisements }) => ({
      binding: hex(bindingOf(
        { complete: kind === 'complete', digest: unhex(session) }, advertisementsOf(advertisements),
      )),
    }),
  },
  disclosures: {
    dealing({ session, binding, dealer, dealer_public: dealerPublic, entries }) {
      const blocks = disclosures.blocksOf(entries.map((each) =>
        disclosures.entryOf(BigInt(each.receiver), unhex(each.receiver_public), unhex(each.sealed))));
      const digests = disclosures.digestsOf(blocks);
      const signed = disclosures.dealingToSign(
        unhex(session), unhex(binding), BigInt(dealer), unhex(dealerPublic), digests,
      );
      return { digests: hex(digests), message: hex(signed) };
    },
    commit_pair(input) {
      const [seedDigest, maskKeyDigest] =
        commitments.digestsOfPair(endsOf(input), unhex(input.seed_share + input.mask_key_share));
      const commitment = commitments.joined(seedDigest, maskKeyDigest);
      return { seed_digest: hex(seedDigest), mask_key_digest: hex(maskKeyDigest), commitment: hex(commitment) };
    },
    judge_share(input) {
      const revealed = unhex(input.share + input.other_digest);
      if (!commitments.fits(endsOf(input), BigInt(input.kind), revealed, unhex(input.commitment))) {
        throw new Refused('S53');
      }
      return {};
    },
    judge_entry({ entry, block, digests }) {
      if (!disclosures.standsIn(unhex(entry), unhex(block), unhex(digests))) throw new Refused('R58');
      return {};
    },
    judge_evidence({ evidence, roster }) {
      const keys = new Map(roster.map((each) => [BigInt(each.client), unhex(each.verification_key)]));
      const verdict = judgeEvidence(unhex(evidence), keys);
      if (!verdict) throw new Refused('R58');
      return { client: `${verdict.client}`, rule: verdict.rule };
    },
    judge_provable({ public: key }) {
      if (!disclosures.lift(unhex(key))) throw new Refused('R58');
      return {};
    },
    prove(input) {
      const proof = disclosures.prove(unhex(input.private), unhex(input.other_public), unhex(input.context));
      if (!proof) throw new Refused('R58');
      return { proof: hex(proof) };
    },
    shown(input) {
      const given = [input.public, input.other_public, input.proof, input.context].map(unhex);
      const agreed = disclosures.agreementShown(...given);
      if (!agreed) throw new Refused('R58');
      return { agreed: hex(agreed) };
    },
  },
  hybrid: {
    public_key: (own) => ({ public: hex(publicOf(own)) }),
    judge_public_key: judgeKey,
    mask_private_key: ({ session, mask_secret: secret }) => ({
      private: hex(crypto.maskPrivateKey(unhex(secret), unhex(session))),
    }),
    encapsulate: ({ public: key, tape }) => plain(crypto.encapsulate(unhex(key), unhex(tape))),
    decapsulate: ({ private: key, ciphertext }) => ({
      secret: hex(crypto.decapsulate(unhex(key), unhex(ciphertext)).secret),
    }),
    hybrid_key: (input) => ({ key: hex(crypto.hybridKey(unhex(input.key), sentIn(input), unhex(input.binding))) }),
    channel_keys(input) {
      const binding = unhex(input.binding);
      const [sending, receiving] = channelKeys(input);
      const received = crypto.decapsulate(unhex(input.own.private), unhex(input.received));
      return {
        sending: hex(crypto.hybridKey(sending, sentIn(input), binding)),
        receiving: hex(crypto.hybridKey(receiving, received, binding)),
      };
    },
    pairwise_prg_key(input) {
      const received = () => crypto.decapsulate(unhex(input.own.private), unhex(input.ciphertext));
      return pairwiseKey(input, input.secret ? sentIn(input) : received());
    },
    mask_wrap({ binding, mask_secret: shared, client, peer, content, ciphertext }) {
      const encapsulated = { secret: unhex(content), ciphertext: unhex(ciphertext) };
      const found = crypto.maskWrap(unhex(shared), unhex(binding), BigInt(client), BigInt(peer), encapsulated);
      return { content: hex(found) };
    },
    seal: sealed,
    open: opened,
  },
  key_schedule: {
    public_key: (own) => ({ public: hex(publicOf(own)) }),
    judge_public_key: judgeKey,
    agree: (input) => ({ agreed: hex(agreed({ own: input, other: input })) }),
    channel_keys(input) {
      const [sending, receiving] = channelKeys(input).map(hex);
      return { sending, receiving };
    },
    pairwise_prg_key: (input) => pairwiseKey(input),
    self_prg_key: ({ session, self_mask_seed: seed }) => ({
      key: hex(crypto.selfMaskKey(unhex(seed), unhex(session))),
    }),
    commitment: ({ session, client, self_mask_seed: seed }) => ({
      commitment: hex(crypto.commitment(unhex(session), BigInt(client), unhex(seed))),
    }),
  },
  layout: {
    layout(input) {
      const { sections, words, bytes } = layoutOf(input);
      return {
        sections: sections.map((s) => ({
          width: s.width, fields_per_word: s.fields, ring_bits: s.ringBits, words: `${s.words}`,
          first_word: `${s.firstWord}`, bytes: `${s.bytes}`, first_byte: `${s.firstByte}`,
        })),
        words: `${words}`,
        bytes: `${bytes}`,
      };
    },
  },
  packing: {
    pack({ bits, words }) {
      const packed = packWords(BigUint64Array.from(words, BigInt), bits);
      mustBe(unpackWords(packed, bits, words.length).join(), words.join());
      return { packed: hex(packed) };
    },
    unpack({ bits, count, packed }) {
      if (packed.length / 2 !== Math.ceil((bits * count) / 8)) throw new Refused('S02');
      return unpackWords(unhex(packed), bits, count);
    },
  },
  parameters: {
    encode: ({ parameters }, { encoding }) => {
      const decoded = decodeParameters(unhex(encoding));
      mustBe(`${decoded.degree}`, parameters.topology.degree);
      return { encoding: hex(decoded.encoded), session_digest: hex(decoded.digest) };
    },
    judge: (input) => ({ session_digest: hex(decodeParameters(bytesOf(input)).digest) }),
  },
  prg: {
    words: async ({ key, first, count }) => ({
      words: [...await prgWords(unhex(key), BigInt(first), count)].map(String),
    }),
  },
  privacy: PRIVACY,
  quantization: {
    levels: ({ clip, bits, entries }) => ({
      levels: levelsOf(reals(entries), { clip, bits, rounding: 'nearest' }),
    }),
    session_vector(input) {
      const layout = layoutOf(input);
      const values = new Map(input.inputs.map((each) => [each.name, each.integers
        ? BigInt64Array.from(each.integers, BigInt) : Float64Array.from(reals(each.reals))]));
      const words = layout.encode(values, BigInt(input.weight));
      return { words: [...words].map(String), packed: hex(pack(layout, words)) };
    },
    decode_sum(input) {
      const words = BigUint64Array.from(input.words, BigInt);
      const { vectors, totalWeight } = layoutOf(input).decode(words, input.contributors);
      return {
        vectors: vectors.map(({ name, reals: list, integers }) =>
          (list.length ? { name, reals: list } : { name, integers: integers.map(String) })),
        ...(totalWeight === undefined ? {} : { total_weight: `${totalWeight}` }),
      };
    },
  },
  robust: { ...ROBUST, judge_sum: (input) => judgeSum(layoutOf(input), input) },
  sealing: {
    seal: sealed,
    open: opened,
  },
  selection: {
    withstands: (input) => ({
      withstands: withstands({
        n: Number(input.clients), threshold: BigInt(input.threshold), degree: BigInt(input.degree),
        active: input.threat_model === 'active', complete: input.kind === 'complete',
      }, input.corrupt, input.dropout, input.security_bits),
    }),
  },
  sharing: {
    limbs({ secret }) {
      mustBe(hex(secretOf(limbsOf(unhex(secret)))), secret);
      return { limbs: limbsOf(unhex(secret)) };
    },
    shares({ secret, coefficients, points }) {
      const polynomials = limbsOf(unhex(secret)).map((limb, l) => [limb, ...coefficients.map((each) => each[l])]);
      return { shares: points.map((x) => hex(shareAt(polynomials, x))) };
    },
    draw_shares(input) {
      const coefficients = new Coefficients(unhex(input.key), input.threshold);
      const draw = (secret, which) => {
        const polynomials = polynomialsOf(unhex(secret), input.threshold, coefficients, which);
        return input.points.map((x) => hex(shareAt(polynomials, x)));
      };
      return { seed_shares: draw(input.self_mask_seed, 0), mask_key_shares: draw(input.mask_private_key, 1) };
    },
    elements({ key, count }) {
      const coefficients = new Coefficients(unhex(key), 1 + Math.ceil(count / 36));
      return { elements: Array.from({ length: count }, (_, e) => coefficients.element(e)) };
    },
    reconstruct({ threshold, shares }) {
      const rebuilt = rebuild(sharesOf(shares), threshold, () => true);
      if (!rebuilt) throw new Refused('A06');
      return { secret: hex(rebuilt.secret) };
    },
    judge_share({ share }) {
      try {
        elementsOf(unhex(share));
      } catch {
        throw new Refused('S22', 'S51');
      }
      return {};
    },
    recover({ threshold, secret, shares }) {
      if (shares.length < threshold) throw new Refused('A05');
      const rebuilt = rebuild(sharesOf(shares), threshold, (found) => hex(found) === secret);
      if (!rebuilt) throw new Refused('A06');
      return { inconsistent: rebuilt.off };
    },
  },
  signatures: {
    advertisement_input: (input) => ({
      message: hex(crypto.advertisementToSign(unhex(input.session), {
        client: BigInt(input.client), ...advertisementsOf([input]).get(BigInt(input.client)),
      })),
    }),
    confirmation_input: ({ binding, contributors }) => ({
      message: hex(crypto.contributorsToSign(unhex(binding), contributors.map(BigInt))),
    }),
    sign: ({ identity_key: key, message }) => ({
      verification_key: hex(crypto.verificationKey(unhex(key))),
      signature: hex(crypto.sign(unhex(key), unhex(message))),
    }),
    verify(input) {
      const valid = crypto.verify(unhex(input.verification_key), unhex(input.signature), unhex(input.message));
      if (!valid) throw new Refused('C26', 'C59', 'S11', 'S40');
      return {};
    },
  },
  topology: {
    place: ({ permutation_seed: seed, client }) => ({ place: hex(place(unhex(seed), BigInt(client))) }),
    neighbours: (input) => ({
      neighbours: input.of.map((u) => topologyOf(input).neighbours(BigInt(u)).map(String)),
    }),
    share_point: (input) => ({
      point: sharePoints(topologyOf(input).neighbours(BigInt(input.owner))).get(BigInt(input.holder)),
    }),
  },
  wire: {
    message({ received_by: role, message }, { bytes }) {
      if (message.session_offer) {
        mustBe(hex(decodeOffer(unhex(bytes))), message.session_offer.parameters);
        return { bytes: hex(encodeOffer(decodeOffer(unhex(bytes)))) };
      }
      const { session, name, body } = decodeFor(role, unhex(bytes));
      const [key, content] = Object.entries(message.envelope).find(([each]) => each !== 'session');
      mustBe(hex(session), message.envelope.session);
      mustBe(name.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase(), key);
      mustBe(sorted(plain(body)), sorted(prune(content)));
      return { bytes: hex(encodeMessage(session, name, body)) };
    },
    decode({ received_by: role, bytes }) {
      try {
        decodeFor(role, unhex(bytes));
      } catch (error) {
        if (error instanceof DecodeError) throw new Refused(role === 'server' ? 'S02' : 'A08');
        throw error;
      }
      return {};
    },
  },
};

/** A message of a file, without the fields that have their default. */
function prune(value) {
  if (Array.isArray(value)) return value.map(prune);
  if (typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([name, item]) => [name, prune(item)]);
  return Object.fromEntries(entries.filter(([, item]) => !['', '0'].includes(item) && item?.length !== 0));
}

/** The ids of which one refuses an input that made a function throw. */
export function rulesOf(error) {
  if (error instanceof LocalError) return ['R47'];
  if (error instanceof DecodeError) return ['A08', 'R05', 'S02'];
  return error.rules ?? [error.rule];
}

/** What the call Primitive offers: functions that need no output to compare with. */
export const OFFERED = Object.entries(FUNCTIONS).flatMap(([kind, functions]) =>
  Object.entries(functions).filter(([, made]) => made.length < 2).map(([name]) => `${kind}/${name}`));

/**
 * @param {{kind: string, function: string, input: string}} call
 * @returns {Promise<{output: string, refused: string[]}>} JSON, or the ids that refuse the input
 */
export async function compute({ kind, function: name, input }) {
  try {
    return { output: JSON.stringify(await FUNCTIONS[kind][name](JSON.parse(input)) ?? {}), refused: [] };
  } catch (error) {
    if (error instanceof LocalError || error instanceof DecodeError || error.rules || error.rule) {
      return { output: '', refused: rulesOf(error) };
    }
    throw error;
  }
}
