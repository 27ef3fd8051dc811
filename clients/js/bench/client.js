/**
 * One whole client among 19 others, semi-honest, complete graph, 10^6 entries of 16 bits: milliseconds of each step.
 * `node bench/client.js`, or in a page: `measure()`.
 */
import { ClientSession, MemoryLedger, clientPolicy } from 'secagg-client';
import { Server } from 'secagg-client/conformance';
import { Parameters } from '../src/parameters.js';
import { encodeMessage } from '../src/wire.js';

const CLIENTS = 20;
const LENGTH = 1_000_000;
const policy = clientPolicy({ threatModel: 'semi-honest' });

function parametersOf() {
  const cohort = Array.from({ length: CLIENTS }, (_, i) => BigInt(i + 1));
  return new Parameters({
    version: 1n, suite: 1n, threatModel: 'semi-honest', kind: 'complete', degree: BigInt(CLIENTS - 1),
    permutationSeed: new Uint8Array(0), threshold: 13n, minimumContributors: 2n, maxWeight: 1n,
    nonce: new Uint8Array(32).fill(1), context: new Uint8Array(0), cohort,
    vectors: [{
      name: 'update', kind: 'FixedPoint', shape: [BigInt(LENGTH)], clip: 1, bits: 16n, rounding: 'stochastic', aggregate: 'sum',
    }],
  });
}

/** @param {() => number} clock milliseconds */
async function once(clock) {
  const server = Server.create(parametersOf().encoded);
  const { digest, cohort } = server.parameters;
  const spent = {};
  const timed = async (name, work) => {
    const start = clock();
    const made = await work();
    spent[name] = clock() - start;
    return made;
  };
  const [own, ...others] = cohort;
  const accept = (client) => ClientSession.accept(server.offer, client, policy, { ledger: new MemoryLedger() });
  const peers = new Map();
  for (const id of others) peers.set(id, await accept(id));
  const client = await timed('accept', () => accept(own));
  const update = Float64Array.from({ length: LENGTH }, (_, i) => Math.sin(i));
  await timed('set_input', () => client.setInput({ update }));
  let requests = server.firstRequests;
  for (const round of ['advertise_keys', 'share_keys']) {
    const [{ message }, ...rest] = requests;
    server.receive(own, await timed(round, () => client.receive(message)));
    for (const each of rest) server.receive(each.client, await peers.get(each.client).receive(each.message));
    ({ requests } = await server.closeRound());
  }
  await timed('masked_input', () => client.receive(requests[0].message));
  const asked = encodeMessage(digest, 'UnmaskingRequest', { survivors: others, dropped: [], confirmations: [] });
  await timed('unmasking', () => client.receive(asked));
  spent.whole = Object.values(spent).reduce((sum, each) => sum + each);
  return spent;
}

/** The medians of some sessions, by step, after one that is not counted. */
export async function measure(sessions = 5, clock = () => performance.now()) {
  const runs = [];
  for (let i = 0; i <= sessions; i++) runs.push(await once(clock));
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const steps = Object.keys(runs[0]);
  return Object.fromEntries(steps.map((step) => [step, Number(median(runs.slice(1).map((run) => run[step])).toFixed(1))]));
}

globalThis.measure = measure;
if (globalThis.process?.argv[1]?.endsWith('bench/client.js')) {
  const cpu = () => {
    const { user, system } = globalThis.process.cpuUsage();
    return (user + system) / 1000;
  };
  console.log('CPU ms ', JSON.stringify(await measure(5, cpu)));
  console.log('wall ms', JSON.stringify(await measure()));
}
