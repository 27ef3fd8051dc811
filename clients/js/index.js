/**
 * The client role of secagg, protocol version 1. Sessions are bytes in, bytes out; takePart and attend
 * carry them over HTTP. See README.md.
 */
import { verificationKey as publicOf } from './src/crypto.js';
import { SystemRandomness } from './src/randomness.js';
import { LocalError } from './src/rules.js';

export { Client as ClientSession } from './src/client.js';
export { attend } from './src/http/attendance.js';
export { DroppedError, ServiceError, SessionAbortedError, UnreachableError } from './src/http/errors.js';
export { takePart } from './src/http/participation.js';
export { IndexedDbLedger } from './src/indexeddb.js';
export { Invitation } from './src/invitations.js';
export { verifyRoster } from './src/roster.js';
export { DecodeError, Interrupted, LocalError, SessionEnd, Violation } from './src/rules.js';
export { clientPolicy, fixedPoint, integers } from './src/settings.js';
export { Ledger as MemoryLedger } from './src/snapshot.js';
export { WorkerSession } from './src/worker/page.js';

/** A new identity key: 32 bytes, to be kept by this client alone. */
export const generateIdentityKey = () => new SystemRandomness().draw(32);

/** What the others' rosters have for an identity key. */
export function verificationKey(identityKey) {
  if (identityKey instanceof Uint8Array && identityKey.length === 32) return publicOf(identityKey);
  throw new LocalError('an identity key is a Uint8Array of 32 bytes; make one by generateIdentityKey()');
}
