/**
 * Randomized response, as secagg.privacy.RandomizedResponse has it, coin by coin.
 */
const COINS = 2 ** 32;

const fresh = (length) => globalThis.crypto.getRandomValues(new Uint8Array(length));

/**
 * What to give instead of an answer. Never twice for one answer.
 * @param {{options: number, keep: number}} response of 2^32 coins, `keep` keep the answer
 * @param {number} answer from 0 on
 * @param {(length: number) => Uint8Array} [draw] random bytes; those of the browser unless given
 */
export function randomize({ options, keep }, answer, draw = fresh) {
  const coin = () => {
    const bytes = draw(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  };
  if (coin() < keep) return answer;
  const even = COINS - (COINS % options);
  for (;;) {
    const given = coin();
    if (given < even) return given % options;
  }
}

/** The probability with which what leaves the device is the answer. */
export const told = ({ options, keep }) => keep / COINS + (1 - keep / COINS) / options;
