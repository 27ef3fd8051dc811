/**
 * Clients of a session over HTTP, in one process: what is to be done comes as JSON on the standard input, and what happens
 * goes as lines of JSON to the standard output. Byte strings are hexadecimal.
 */
import { text } from 'node:stream/consumers';
import { MemoryLedger, attend, clientPolicy, takePart } from 'secagg-client';
import { unhex } from '../../src/canonical.js';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { server, session, clients, roster, policy, retry, leaveBefore } = JSON.parse(await text(process.stdin));

const keys = roster && new Map(Object.entries(roster).map(([id, key]) => [BigInt(id), unhex(key)]));
const bounds = Object.fromEntries(Object.entries(policy)
  .map(([name, value]) => [name, name.startsWith('minimum') ? BigInt(value) : value]));

function given({ client, identityKey, input }) {
  return {
    client: BigInt(client), identityKey: identityKey && unhex(identityKey), roster: keys, policy: clientPolicy(bounds), retry,
    ledger: new MemoryLedger(), input: { v: BigInt64Array.from(input, BigInt) },
    onStep(news) {
      say({ client, ...news });
      // To everybody else this process is gone from one moment to the next.
      if (news.state === 'working' && news.round === leaveBefore) process.exit(0);
    },
  };
}

/** The outcome of the one session that is named, or of the next one that is open. */
async function play(one) {
  if (session) return takePart(server, { ...given(one), session });
  for await (const open of attend(server, { ...given(one), input: undefined })) {
    return open.takePart({ input: given(one).input });
  }
  throw new Error('there was no session');
}

await Promise.all(clients.map(async (one) => {
  try {
    say({ client: one.client, outcome: { ...await play(one), client: one.client } });
  } catch (error) {
    say({ client: one.client, error: error.constructor.name, message: error.message, rule: error.rule, refusal: error.refusal });
  }
}));
