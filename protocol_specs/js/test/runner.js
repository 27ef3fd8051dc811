/** A small runner: whole sessions of testees' clients with a testee's server, over Call and Reply bytes. */
import { ascending } from '../canonical.js';
import { Call, Reply, STATUS } from '../conformance.js';
import { verificationKey } from '../crypto.js';
import { Parameters } from '../parameters.js';
import { decodeLeniently, encode } from '../protobuf.js';
import { Testee } from '../testee.js';

export const filled = (byte) => new Uint8Array(32).fill(byte);

const VECTORS = [
  { name: 'update', kind: 'FixedPoint', shape: [5n], clip: 1, bits: 16n, rounding: 'stochastic', aggregate: 'mean' },
  { name: 'counts', kind: 'Integers', low: -5n, high: 10n, shape: [2n, 3n] },
];

/** Parameters of a session of clients 10, 11, …; changes are fields of Parameters. */
export function parametersOf({
  n = 6, active = false, degree, kind, threshold, minimum = 3, maxWeight = 10n, ...changes
}) {
  const complete = degree === undefined;
  return new Parameters({
    version: 1n,
    suite: 1n,
    threatModel: active ? 'active' : 'semi-honest',
    kind: kind ?? (complete ? 'complete' : 'sparse'),
    degree: BigInt(degree ?? n - 1),
    permutationSeed: complete || kind ? new Uint8Array(0) : filled(7),
    threshold: BigInt(threshold ?? Math.floor((2 * n) / 3)),
    minimumContributors: BigInt(minimum),
    maxWeight,
    nonce: filled(9),
    context: new Uint8Array(0),
    cohort: Array.from({ length: n }, (_, i) => BigInt(10 + i)),
    vectors: VECTORS.map((vector) => ({ ...vector })),
    ...changes,
  });
}

export const policyFor = (parameters, changes = {}) => ({
  threatModel: parameters.threatModel, corruptFraction: 0, smallestCohort: 2n, largestCohort: 1000n,
  smallestThreshold: 1n, smallestMinimumContributors: 2n, suites: [Number(parameters.suite)],
  largestVector: 10000n, securityBits: 40,
  vectors: [], maxWeight: 0n,
  dropoutFraction: 0.1, topologies: ['complete', 'sparse', 'chosen'],
  ...changes,
});

/** One session; every call goes through the bytes of conformance.proto. */
export class Session {
  constructor(parameters) {
    this.parameters = parameters;
    this.testee = new Testee();
    this.identityKeys = new Map(parameters.cohort.map((id) => [id, filled(Number(id))]));
    this.roster = parameters.active
      ? [...this.identityKeys].map(([client, key]) => ({ client, verificationKey: verificationKey(key) }))
      : [];
    const { outcome } = this.call({ createServer: { parameters: parameters.encoded, roster: this.roster } });
    this.server = outcome.handle;
    this.offer = outcome.offer;
    this.requests = outcome.requests;
    this.inputs = new Map(parameters.cohort.map((id, i) => [id, inputOf(i, parameters)]));
    this.handles = new Map(parameters.cohort.map((id) => [id, this.createClient(id).handle]));
  }

  call(call) {
    return decodeLeniently(Reply, this.testee.handle(encode(Call, call)));
  }

  createClient(client, changes = {}, policyChanges = {}) {
    const identityKey = this.parameters.active ? this.identityKeys.get(client) : undefined;
    const policy = policyFor(this.parameters, policyChanges);
    const call = { offer: this.offer, client, identityKey, roster: this.roster, policy, ledger: 'shared', ...changes };
    return this.call({ createClient: call }).outcome;
  }

  step(handle, event) {
    return this.call({ step: { handle, ...event } }).outcome;
  }

  /** Every handle is frozen and goes on from its snapshot. */
  refreeze() {
    const again = (handle, server, identityKey) => {
      const { frozen } = this.call({ snapshot: { handle } });
      const restore = { ...frozen, server, identityKey, roster: this.roster, ledger: 'shared' };
      return this.call({ restore }).outcome.handle;
    };
    this.server = again(this.server, true);
    for (const [id, handle] of this.handles) this.handles.set(id, again(handle, false, this.identityKeys.get(id)));
  }

  setInputs() {
    for (const [id, input] of this.inputs) this.step(this.handles.get(id), { setInput: input });
  }

  /** Delivers the requests and the answers of a round, without the silent clients; then closes it. */
  round(silent = [], change = (client, answer) => answer) {
    for (const { client, message } of this.requests) {
      if (silent.includes(client)) {
        this.handles.delete(client);
        continue;
      }
      const { answer } = this.step(this.handles.get(client), { message });
      if (answer) this.deliver(client, change(client, answer));
    }
    return this.close();
  }

  deliver(client, message) {
    return this.step(this.server, { clientMessage: { client, message } });
  }

  close() {
    const outcome = this.step(this.server, { closeRound: {} });
    this.requests = outcome.requests;
    return outcome;
  }

  /** What the result should be. */
  expected(contributors) {
    const inputs = ascending(contributors).map((id) => this.inputs.get(id));
    const weight = inputs.reduce((sum, input) => sum + input.weight, 0n);
    return {
      weight,
      update: inputs[0].vectors[0].reals.map((_, e) =>
        inputs.reduce((sum, { vectors, weight: g }) => sum + vectors[0].reals[e] * Number(g), 0) / Number(weight)),
      counts: inputs[0].vectors[1].integers.map((_, e) =>
        inputs.reduce((sum, { vectors }) => sum + vectors[1].integers[e], 0n)),
    };
  }
}

function inputOf(i, { maxWeight }) {
  return {
    weight: 1n + (BigInt(i) % maxWeight),
    vectors: [
      { name: 'update', reals: [0, 1, 2, 3, 4].map((e) => ((i * 7 + e * 3) % 19) / 10 - 0.9) },
      { name: 'counts', integers: [0, 1, 2, 3, 4, 5].map((e) => BigInt(((i * 5 + e) % 16) - 5)) },
    ],
  };
}

export { STATUS };
