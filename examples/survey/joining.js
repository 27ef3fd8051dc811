/**
 * The invitation redeemed, and one session played: the calls of secagg-client that this page needs, and no others.
 */
import {
  DecodeError, DroppedError, IndexedDbLedger, Invitation, SessionAbortedError, SessionEnd, Violation, clientPolicy, integers,
  takePart,
} from '../../clients/js/index.js';
import { hex } from '../../clients/js/src/canonical.js';

export const invitationOf = (link) => Invitation.parse(link);

/**
 * The name of what is kept of a place in a survey. A link of other people's, with the same session and client in it, is of
 * another place: what was answered here must not go there.
 */
export const placeOf = ({ authority, server, session, client }) => `survey ${hex(authority)} ${server} ${session} ${client}`;

const POLL_SECONDS = 1;
const ENDS = [DecodeError, Violation, SessionEnd, SessionAbortedError, DroppedError];
const REFUSED = ['INVITATION_USED', 'ENROLMENT_CLOSED'];
const WAITS = ['retrying', 'offline'];

/** The policy of this page: this question, of enough people, and nothing else, whoever offers it. */
const policyOf = ({ options, minimumCohort, maxDropout }, context) => clientPolicy({
  threatModel: 'active',
  minimumCohort: BigInt(minimumCohort),
  minimumContributors: BigInt(minimumCohort),
  maxDropout,
  context,
  vectors: { answers: integers({ shape: [2, options.length], low: 0, high: 1 }) },
});

/** Takes part, unless the session is not there: an organizer may offer it after the roster was signed. */
async function hasBegun(server, given) {
  try {
    return await takePart(server, given);
  } catch (error) {
    if (error.refusal !== 'UNKNOWN_SESSION') throw error;
    return undefined;
  }
}

/**
 * Redeems an invitation and takes part in its session, from wherever this device has got to before.
 * @throws {Error} a sentence; `over` where this device has no part in the session any more
 */
export async function join(invitation, { input, question, context, signal, onClaimed, onMessage, onTrouble }) {
  // Held from here on: of two tabs with one invitation one goes on.
  const ledger = await IndexedDbLedger.open(invitation.client, placeOf(invitation));
  try {
    const onStep = ({ state, message }) => {
      onTrouble(WAITS.includes(state) ? `${message}. This page goes on trying; nothing is lost.` : '');
      if (state === 'claimed') onClaimed();
    };
    const { server, ...enrolled } = await invitation.waitForRoster({ signal, onStep, pollSeconds: POLL_SECONDS });
    const given = { ...enrolled, policy: policyOf(question, context), input: { answers: input }, ledger, signal, onMessage, onStep };
    while (!await hasBegun(server, given)) {
      onTrouble('The survey has not begun, or was taken away since. This page goes on asking; nothing is lost.');
      await new Promise((resolve) => { setTimeout(resolve, 1000 * POLL_SECONDS); });
    }
  } catch (error) {
    const over = signal.aborted || ENDS.some((kind) => error instanceof kind) || REFUSED.includes(error.refusal);
    // Snapshots have the answer in them. A database that is gone has none.
    if (over) await ledger.forgetAll().catch(() => {});
    throw error instanceof Error ? Object.assign(error, { over }) : error;
  } finally {
    ledger.close();
  }
}
