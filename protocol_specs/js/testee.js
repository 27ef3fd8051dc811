/**
 * The testee of conformance.md, on standard input and output: `node protocol_specs/js/testee.js`.
 */
import { Testee } from '../../clients/js/src/conformance/index.js';
import { frames, framed } from './frames.js';

const testee = new Testee();
for await (const call of frames(process.stdin)) process.stdout.write(framed(await testee.handle(call)));
