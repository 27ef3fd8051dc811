/** Identity keys that a page has drawn, in IndexedDB: on the disk before anybody hears of one. */
import { SystemRandomness } from './randomness.js';

const STORE = 'identities';

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/**
 * The key that is kept under a name, drawn where there is none. Two tabs that ask at once get the same one.
 * @param {string} name
 * @param {string} database
 * @returns {Promise<Uint8Array>} 32 bytes
 */
export async function keptIdentityKey(name, database) {
  const opening = globalThis.indexedDB.open(`${database} identities`, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const opened = await settled(opening);
  try {
    const transaction = opened.transaction([STORE], 'readwrite', { durability: 'strict' });
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const store = transaction.objectStore(STORE);
    let key = await settled(store.get(name));
    if (!key) {
      key = new SystemRandomness().draw(32);
      store.put(key, name);
    }
    await done;
    return key;
  } finally {
    opened.close();
  }
}
