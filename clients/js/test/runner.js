/** A small runner: whole sessions of testees' clients with a testee's server, over Call and Reply bytes. */
import { ascending } from '../src/canonical.js';
import { Call, Reply, STATUS } from '../src/conformance/schema.js';
import { verificationKey } from '../src/crypto.js';
import { Parameters } from '../src/parameters.js';
import { decodeLeniently, encode } from '../src/protobuf.js';
import { Testee } from '../src/conformance/testee.js';

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
  }

  /** A session with its server and its clients. */
  static async open(...given) {
    const session = new this(...given);
    await session.begin();
    return session;
  }

  async begin() {
    const { parameters } = this;
    const { outcome } = await this.call({ createServer: { parameters: parameters.encoded, roster: this.roster } });
    this.server = outcome.handle;
    this.offer = outcome.offer;
    this.requests = outcome.requests;
    this.inputs = new Map(parameters.cohort.map((id, i) => [id, inputOf(i, parameters)]));
    this.handles = new Map();
    for (const id of parameters.cohort) this.handles.set(id, (await this.createClient(id)).handle);
  }

  async call(call) {
    return decodeLeniently(Reply, await this.testee.handle(encode(Call, call)));
  }

  async createClient(client, changes = {}, policyChanges = {}) {
    const identityKey = this.parameters.active ? this.identityKeys.get(client) : undefined;
    const policy = policyFor(this.parameters, policyChanges);
    const call = { offer: this.offer, client, identityKey, roster: this.roster, policy, ledger: 'shared', ...changes };
    return (await this.call({ createClient: call })).outcome;
  }

  async step(handle, event) {
    return (await this.call({ step: { handle, ...event } })).outcome;
  }

  /** Every handle is frozen and goes on from its snapshot. */
  async refreeze() {
    const again = async (handle, server, identityKey) => {
      const { frozen } = await this.call({ snapshot: { handle } });
      const restore = { ...frozen, server, identityKey, roster: this.roster, ledger: 'shared' };
      return (await this.call({ restore })).outcome.handle;
    };
    this.server = await again(this.server, true);
    for (const [id, handle] of this.handles) {
      this.handles.set(id, await again(handle, false, this.identityKeys.get(id)));
    }
  }

  async setInputs() {
    for (const [id, input] of this.inputs) await this.step(this.handles.get(id), { setInput: input });
  }

  /** Delivers the requests and the answers of a round, without the silent clients; then closes it. */
  async round(silent = [], change = (client, answer) => answer) {
    for (const { client, message } of this.requests) {
      if (silent.includes(client)) {
        this.handles.delete(client);
        continue;
      }
      const { answer } = await this.step(this.handles.get(client), { message });
      if (answer) await this.deliver(client, change(client, answer));
    }
    return this.close();
  }

  async deliver(client, message) {
    return this.step(this.server, { clientMessage: { client, message } });
  }

  async close() {
    const outcome = await this.step(this.server, { closeRound: {} });
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
