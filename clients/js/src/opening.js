/** A client goes on where it stood in a session, if its ledger has kept that, or accepts the offer. */
import { Client, checkOfferLength } from './client.js';
import { decodeParameters } from './parameters.js';
import { decodeOffer } from './wire.js';

/** The parameters of an offer, unjudged. @throws {DecodeError|Violation} */
export const parametersOf = (offer) => decodeParameters(decodeOffer(offer));

/**
 * @param {{offer: Uint8Array, client: bigint, policy: object, ledger: object}} given with the rest of Client.accept's host
 * @returns {Promise<Client>}
 * @throws what Client.accept and Client.resume throw
 */
export async function openSession({ offer, client, policy, ...host }) {
  checkOfferLength(offer, policy);
  const snapshot = await host.ledger.snapshotOf?.(parametersOf(offer).digest);
  return snapshot ? Client.resume(snapshot, host) : Client.accept(offer, client, policy, host);
}
