/**
 * Digests of shares, and commitments to pairs of them (§3.6). `ends` are session digest, binding, owner and holder.
 */
import { canonical, equal } from './canonical.js';
import * as crypto from './crypto.js';

/** The kinds of shares: of the self-mask seed, and of the mask_secret. */
export const KINDS = { seed: 1n, maskKey: 2n };
export const SHARE = 36;
/** A share, and the digest of the other one of its pair. */
export const REVEALED = 68;

/** The digest of a share. */
export const shareDigest = (ends, kind, share) =>
  crypto.sha256(canonical('secagg/v1 share digest', ...ends, kind, share));

/** The pair commitment of the digests of both shares. */
export const joined = (seedDigest, maskKeyDigest) =>
  crypto.sha256(canonical('secagg/v1 share commitment', seedDigest, maskKeyDigest));

/** The digests of a pair of shares, 72 bytes: that of the seed share first. */
export const digestsOfPair = (ends, pair) => [
  shareDigest(ends, KINDS.seed, pair.slice(0, SHARE)), shareDigest(ends, KINDS.maskKey, pair.slice(SHARE)),
];

/** The commitment to a pair of shares. */
export const commitmentTo = (ends, pair) => joined(...digestsOfPair(ends, pair));

/** Whether a share of a kind, and the digest of the other one behind it, fit a commitment. */
export function fits(ends, kind, revealed, commitment) {
  const [own, other] = [shareDigest(ends, kind, revealed.slice(0, SHARE)), revealed.slice(SHARE)];
  return equal(kind === KINDS.seed ? joined(own, other) : joined(other, own), commitment);
}

/** Whether a secret, of which there are shares of a kind, is the one that its owner advertised (§5.3). */
export function isAdvertised({ hybrid, digest }, { client, maskPublic, commitment }, kind, secret) {
  if (kind === KINDS.seed) return equal(crypto.commitment(digest, client, secret), commitment);
  const maskPrivate = hybrid ? crypto.maskPrivateKey(secret, digest) : secret;
  return equal(crypto.agreementPublicKey(maskPrivate), maskPublic);
}
