/**
 * What conformance needs beyond a client: the server role, tapes, and the testee. NO SECURITY: not for applications.
 */
export { Call, Reply, STATUS } from './schema.js';
export { Server } from './server.js';
export { Tape } from './tape.js';
export { Testee } from './testee.js';
