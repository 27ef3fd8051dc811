/**
 * Where a client's randomness comes from (§1).
 */
import { randomBytes } from '@noble/hashes/utils.js';

/** The secure generator of the system. */
export class SystemRandomness {
  draw(count) {
    return randomBytes(count);
  }
}
