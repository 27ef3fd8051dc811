/**
 * Where a client's randomness comes from (§1), or a tape in its place (conformance.md).
 */
import { randomBytes } from 'node:crypto';

/** The secure generator of the system. */
export class SystemRandomness {
  draw(count) {
    return new Uint8Array(randomBytes(count));
  }
}

/** Fixed bytes, front to back. For conformance cases only: there is no security. */
export class Tape {
  constructor(data) {
    this.rest = data;
  }

  draw(count) {
    if (count > this.rest.length) throw new Error('the tape has ended');
    const drawn = this.rest.slice(0, count);
    this.rest = this.rest.slice(count);
    return drawn;
  }
}
