/**
 * Clients of a session over HTTP, in one process: what is to be done comes as JSON on the standard input, and what happens
 * goes as lines of JSON to the standard output. Byte strings are hexadecimal.
 */
import { text } from 'node:stream/consumers';
import { Invitation, MemoryLedger, attend, clientPolicy, generateIdentityKey, takePart } from 'secagg-client';
import { unhex } from '../../src/canonical.js';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { server, session, clients, roster, policy, retry, leaveBefore } = JSON.parse(await text(process.stdin));

const keys = roster && new Map(Object.entries(roster).map(([id, key]) => [BigInt(id), unhex(key)]));
const bounds = Object.fromEntries(Object.entries(policy)
  .map(([name, value]) => [name, name.startsWith('minimum') ? BigInt(value) : value]));

function given({ client, identityKey, input, link }) {
  return {
    client: link ? undefined : BigInt(client), identityKey: identityKey && unhex(identityKey), roster: keys, policy: clientPolicy(bounds), retry,
    ledger: new MemoryLedger(), input: { v: BigInt64Array.from(input, BigInt) },
    onStep(news) {
      say({ client, ...news });
      // To everybody else this process is gone from one moment to the next.
      if (news.state === 'working' && news.round === leaveBefore) process.exit(0);
    },
  };
}

/** Comes by a link, with a key that is drawn here. */
async function redeem({ client, link }) {
  const onStep = (news) => say({ client, ...news });
  const how = { identityKey: generateIdentityKey(), retry, pollSeconds: 0.02, onStep };
  return Invitation.parse(link).waitForRoster(how);
}

/** The outcome of the session of a link, of the one that is named, or of the next one that is open. */
async function play(one) {
  if (one.link) {
    const { server: its, ...enrolled } = await redeem(one);
    say({ client: one.client, state: 'enrolled' });
    return takePart(its, { ...given(one), ...enrolled });
  }
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
