/**
 * Stays with a server between sessions, and hears of each one that is open to this client. What the server says here is
 * names: each session is held against the client's own policy. How often the client takes part is the server's choice.
 */
import { LocalError } from '../rules.js';
import { Calls } from './calls.js';
import { Connection } from './connection.js';
import { Endpoint } from './endpoint.js';
import { checkGiven, takePart } from './participation.js';
import { Retries } from './retries.js';

/**
 * The sessions that are open to a client, one after the other, as the server names them; index.d.ts says with what.
 * @param {string} server https://host or https://host:port
 */
export async function* attend(server, given) {
  checkGiven(given);
  if (given.session !== undefined) throw new LocalError('a session is named to takePart; attend hears of all');
  const { client, identityKey, signal, retry, onStep = () => {} } = given;
  const tell = (news) => onStep({ session: '', round: '', ...news });
  const connection = new Connection(new Endpoint(server), { client }, identityKey, { retries: new Retries(retry), signal, tell });
  const calls = new Calls(connection);
  for (let seen = []; ;) {
    tell({ state: 'waiting' });
    const open = await calls.nextSessions(seen);
    const news = open.filter((name) => !seen.includes(name));
    seen = open;
    for (const session of news) {
      yield { session, takePart: (its) => takePart(server, { ...given, ...its, session }) };
    }
  }
}
