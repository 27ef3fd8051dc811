/**
 * What one client sends to another: the sealed pair, with signed dealings a commitment behind it, and in hybrid suites
 * ciphertexts around it (§3.3).
 */
import { DecodeError } from './rules.js';

const SEALED = 112;
const COMMITMENT = 32;
const CIPHERTEXT = 1088;
const WRAP = 32;

/**
 * Cuts a parcel into its parts; those that the suite or the direction does not have are empty. With signed dealings
 * `sealed` is the committed pair.
 * @param {import('./parameters.js').Parameters} parameters
 * @param {bigint} sender
 * @param {bigint} receiver
 * @param {Uint8Array} parcel
 * @param {boolean} toServer whether the wrap is there
 * @throws {DecodeError}
 */
export function splitParcel({ hybrid, signsDealings }, sender, receiver, parcel, toServer) {
  const channelEnd = hybrid ? CIPHERTEXT : 0;
  const sealedEnd = channelEnd + SEALED + (signsDealings ? COMMITMENT : 0);
  const upwards = hybrid && sender < receiver;
  const maskEnd = sealedEnd + (upwards ? CIPHERTEXT : 0);
  const end = maskEnd + (upwards && toServer ? WRAP : 0);
  if (parcel.length !== end) throw new DecodeError('a parcel has another length');
  return {
    channelCiphertext: parcel.slice(0, channelEnd),
    sealed: parcel.slice(channelEnd, sealedEnd),
    maskCiphertext: parcel.slice(sealedEnd, maskEnd),
    wrap: parcel.slice(maskEnd),
    forwarded: parcel.slice(0, maskEnd),
  };
}

/**
 * Refuses public keys of another suite (§3.1).
 * @throws {DecodeError}
 */
export function checkPublicKeys({ hybrid }, { channelPublic, maskPublic }) {
  const expected = hybrid ? 1216 : 32;
  if (channelPublic.length !== expected || maskPublic.length !== expected) {
    throw new DecodeError('a public key has another length');
  }
}
