/**
 * Rebuilding the secrets that a sum needs (§6.7), whoever lied about their shares (§5.4).
 */
import { KINDS, SHARE, fits, isAdvertised } from '../commitments.js';
import { encodeContradiction, pointsToShow } from '../contradictions.js';
import * as checks from './checks.js';
import { SessionEnd } from '../rules.js';
import { rebuild, rebuildFromAll } from '../sharing.js';

const SEALED = 112;
const SIGNATURE = 64;

/** What holders revealed about one secret: its kind, and by point who revealed what. */
function revealedOf({ parameters, state, topology }, owner) {
  const kind = state.contributors.has(owner) ? KINDS.seed : KINDS.maskKey;
  const points = topology.pointsOf(owner);
  const holders = topology.holders(owner).filter((id) => state.asked.has(id));
  const advertisement = state.advertisements.get(owner);
  return {
    kind,
    advertisement,
    verify: (secret) => isAdvertised(parameters, advertisement, kind, secret),
    revealed: holders.map((holder) => ({
      holder, point: points.get(holder), bytes: state.revealed.get(holder).get(owner),
    })),
  };
}

const sharesOf = (revealed) => new Map(revealed.map(({ point, bytes }) => [point, bytes.slice(0, SHARE)]));

/** Without signed dealings: error correction. */
function rebuildCorrected({ threshold }, owner, { verify, revealed }, found) {
  const rebuilt = rebuild(sharesOf(revealed), threshold, verify);
  if (!rebuilt) throw new SessionEnd('A06');
  found.secrets.set(owner, rebuilt.secret);
  for (const { holder, point } of revealed) {
    if (rebuilt.off.includes(point)) found.inconsistent.push({ holder, owner, rule: 'S52' });
  }
}

/** The evidence from shares that fit (§3.6). */
function contradictionOf({ parameters, state, threshold }, owner, { kind, advertisement, verify }, fitting) {
  const shown = pointsToShow(threshold, sharesOf(fitting), verify);
  const showing = fitting.filter(({ point }) => shown.includes(point));
  const dealt = [...state.ciphertexts.get(owner)].map(([client, ciphertext]) => ({ client, ciphertext }));
  const { blocks, digests } = checks.dealingOf(parameters, state, owner, dealt);
  const places = dealt.flatMap(({ client }, i) => (showing.some(({ holder }) => holder === client) ? [i] : []));
  return encodeContradiction({
    parameters: parameters.encoded,
    binding: state.binding,
    dealer: advertisement,
    digests,
    signature: state.dealingSignatures.get(owner).slice(0, SIGNATURE),
    blocks: blocks.filter((_, b) => places.some((place) => checks.blockOf(place) === b)),
    kind,
    holders: showing.map(({ holder }) => holder),
    shares: showing.map(({ bytes }) => bytes),
  });
}

/** With signed dealings: all shares, or those that fit what the owner dealt. */
function rebuildAsDealt(server, owner, its, found) {
  const { parameters, state, threshold } = server;
  const { kind, verify, revealed } = its;
  let secret = rebuildFromAll(sharesOf(revealed), threshold, verify);
  if (!secret) {
    const fitting = revealed.filter(({ holder, bytes }) => {
      const commitment = state.ciphertexts.get(owner).get(holder).slice(SEALED);
      return fits([parameters.digest, state.binding, owner, holder], kind, bytes, commitment);
    });
    const unfitting = revealed.filter((each) => !fitting.includes(each));
    found.inconsistent.push(...unfitting.map(({ holder }) => ({ holder, owner, rule: 'S53' })));
    secret = rebuildFromAll(sharesOf(fitting), threshold, verify);
    if (fitting.length < threshold) {
      found.hasTooFew = true;
    } else if (!secret) {
      found.blame.push({ client: owner, rule: 'S23', evidence: contradictionOf(server, owner, its, fitting) });
    }
  }
  found.secrets.set(owner, secret);
}

/**
 * Rebuilds every secret that the sum needs, each from all shares that were revealed of it.
 * @param {import('./server.js').Server} server
 * @param {{inconsistent: object[], blame: object[]}} closing gets the reports, or who is blamed
 * @returns {Map<bigint, Uint8Array>} by owner
 * @throws {SessionEnd} A05, A06
 */
export function rebuildSecrets(server, closing) {
  const found = { secrets: new Map(), inconsistent: [], blame: [], hasTooFew: false };
  const rebuildSecret = server.parameters.signsDealings ? rebuildAsDealt : rebuildCorrected;
  for (const owner of server.owners) rebuildSecret(server, owner, revealedOf(server, owner), found);
  if (found.blame.length) {
    closing.blame = found.blame;
    throw new SessionEnd('A06');
  }
  if (found.hasTooFew) throw new SessionEnd('A05');
  closing.inconsistent = found.inconsistent;
  return found.secrets;
}
