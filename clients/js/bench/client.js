/**
 * One whole client among others, semi-honest, complete graph, entries of 16 bits, from the offer to the shares it reveals:
 * what it draws is drawn again each time, so that one server's requests serve all sessions. Like secagg.bench.sessions,
 * without a ledger. `node bench/client.js` shows milliseconds of each step; browser.js measures the same in a page.
 */
import { ClientSession, clientPolicy } from 'secagg-client';
import { Server } from 'secagg-client/conformance';
import { Parameters } from '../src/parameters.js';
import { encodeMessage } from '../src/wire.js';

const ROUNDS = ['advertise_keys', 'share_keys', 'masked_input', 'unmasking'];
const policy = clientPolicy({ threatModel: 'semi-honest' });

/** A server whose first client is measured. */
export function serve(clients, length, nonce = 1) {
  const cohort = Array.from({ length: clients }, (_, i) => BigInt(i + 1));
  return Server.create(new Parameters({
    version: 1n, suite: 1n, threatModel: 'semi-honest', kind: 'complete', degree: BigInt(clients - 1),
    permutationSeed: new Uint8Array(0), threshold: BigInt(Math.floor((2 * clients) / 3)), minimumContributors: 2n,
    maxWeight: 1n, nonce: new Uint8Array(32).fill(nonce), context: new Uint8Array(0), cohort,
    vectors: [{
      name: 'update', kind: 'FixedPoint', shape: [BigInt(length)], clip: 1, bits: 16n, rounding: 'stochastic', aggregate: 'sum',
    }],
  }).encoded);
}

/** Entry i is (i · 2654435761 mod 2^16) / 2^15 − 1, as in secagg.bench.sessions. */
export const madeUp = (length) =>
  Float32Array.from({ length }, (_, i) => (Math.imul(i, 2_654_435_761) & 0xffff) / 2 ** 15 - 1);

/** Plays a server and its other clients up to the masked inputs. Returns all requests to the first. */
export async function lead(server, answer) {
  const { digest, cohort: [own, ...others] } = server.parameters;
  const sessions = new Map();
  for (const id of others) sessions.set(id, await ClientSession.accept(server.offer, id, policy));
  const seen = [];
  let requests = server.firstRequests;
  for (let round = 0; round < 2; round++) {
    const [{ message }, ...rest] = requests;
    seen.push(message);
    server.receive(own, await answer(message));
    for (const each of rest) server.receive(each.client, await sessions.get(each.client).receive(each.message));
    ({ requests } = await server.closeRound());
  }
  const last = encodeMessage(digest, 'UnmaskingRequest', { survivors: others, dropped: [], confirmations: [] });
  return [...seen, requests[0].message, last];
}

/** What one client draws, from the first on. */
class Drawn {
  constructor(kept = []) {
    Object.assign(this, { kept, next: 0 });
  }

  draw(count) {
    if (this.next === this.kept.length) this.kept.push(globalThis.crypto.getRandomValues(new Uint8Array(count)));
    return this.kept[this.next++].slice();
  }
}

/** The offer and all requests of a session to its first client, what that draws, and its input. */
export async function record(clients, length) {
  const server = serve(clients, length);
  const [own] = server.parameters.cohort;
  const drawn = new Drawn();
  const client = await ClientSession.accept(server.offer, own, policy, { randomness: drawn });
  const requests = await lead(server, (message) => client.receive(message));
  return { offer: server.offer, own, requests, drawn: drawn.kept, update: madeUp(length) };
}

/** Plays a whole client that was recorded. Returns milliseconds of each step, by the clock. */
async function play({ offer, own, requests, drawn, update }, clock) {
  const spent = {};
  let last = clock();
  const lap = (name) => {
    const now = clock();
    spent[name] = now - last;
    last = now;
  };
  const client = await ClientSession.accept(offer, own, policy, { randomness: new Drawn(drawn) });
  lap('accept');
  client.setInput({ update });
  lap('set_input');
  for (const [i, name] of ROUNDS.entries()) {
    await client.receive(requests[i]);
    lap(name);
  }
  return { ...spent, whole: Object.values(spent).reduce((sum, each) => sum + each) };
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** The medians of some sessions, by step. */
export async function measure(recorded, sessions, clock = () => performance.now()) {
  const runs = [];
  for (let i = 0; i < sessions; i++) runs.push(await play(recorded, clock));
  const steps = Object.keys(runs[0]);
  return Object.fromEntries(steps.map((step) => [step, Number(median(runs.map((run) => run[step])).toFixed(2))]));
}

let recorded;
Object.assign(globalThis, {
  prepare: async (clients, length) => { recorded = await record(clients, length); },
  run: (sessions) => measure(recorded, sessions),
});

if (globalThis.process?.argv[1]?.endsWith('bench/client.js')) {
  const cpu = () => {
    const { user, system } = globalThis.process.cpuUsage();
    return (user + system) / 1000;
  };
  recorded = await record(20, 1_000_000);
  await measure(recorded, 5);
  console.log('CPU ms ', JSON.stringify(await measure(recorded, 20, cpu)));
  console.log('wall ms', JSON.stringify(await measure(recorded, 20)));
}
