/**
 * The client role of secagg, protocol version 1. Bytes in, bytes out: the transport is the host's. See README.md.
 */
import { SystemRandomness } from './src/randomness.js';

export { Client as ClientSession } from './src/client.js';
export { verificationKey } from './src/crypto.js';
export { IndexedDbLedger } from './src/indexeddb.js';
export { DecodeError, Interrupted, LocalError, SessionEnd, Violation } from './src/rules.js';
export { clientPolicy, fixedPoint, integers } from './src/settings.js';
export { Ledger as MemoryLedger } from './src/snapshot.js';
export { WorkerSession } from './src/worker/page.js';

/** A new identity key: 32 bytes, to be kept by this client alone. */
export const generateIdentityKey = () => new SystemRandomness().draw(32);
