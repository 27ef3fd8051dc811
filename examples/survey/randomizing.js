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

/**
 * What is promised of randomized answers, of the coins themselves: the probability with which what leaves the device is the
 * answer, how many times as likely it is at most from one answer as from any other, and the logarithm of that, epsilon. The
 * last two are rounded up.
 */
export function promised({ options, keep }) {
  const likelier = 1 + (keep * options) / (COINS - keep);
  const up = (value, digits) => Math.ceil(value * 10 ** digits) / 10 ** digits;
  return { told: keep / COINS + (1 - keep / COINS) / options, likelier: up(likelier, 1), epsilon: up(Math.log(likelier), 2) };
}
