/**
 * A ledger in IndexedDB, and with it the snapshots of sessions (§9): what is entered is on the disk before an answer
 * leaves. One page or worker at a time has it for a client (Web Locks).
 */
import { hex } from './canonical.js';
import { sha256OfMessage } from './crypto.js';
import { LocalError, SessionEnd } from './rules.js';

const VERSION = 1;
const STORES = ['answers', 'inputs', 'snapshots'];

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

function openDatabase(name) {
  const request = globalThis.indexedDB.open(name, VERSION);
  request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store));
  return settled(request);
}

/** Waits for the lock of a client; what it returns lets go of it. */
function take(name) {
  return new Promise((resolve, reject) => {
    globalThis.navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock) return new Promise((release) => resolve(release));
      return reject(new LocalError('another tab goes on with sessions of this client; go on there, or close it first'));
    }).catch(reject);
  });
}

/** The ledger of one client of this site. */
export class IndexedDbLedger {
  #database;
  #client;
  #release;

  /** Use IndexedDbLedger.open. */
  constructor(database, client, release) {
    [this.#database, this.#client, this.#release] = [database, client, release];
  }

  /**
   * Opens the ledger of a client, and makes it where there is none.
   * @param {bigint} client
   * @param {string} [name] of the database
   * @returns {Promise<IndexedDbLedger>}
   * @throws {LocalError} another tab has it
   */
  static async open(client, name = 'secagg') {
    const release = await take(`${name} ${client}`);
    try {
      return new IndexedDbLedger(await openDatabase(name), client, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Lets go of the client, for another tab. */
  close() {
    this.#database.close();
    this.#release();
  }

  #begin(...what) {
    try {
      return this.#database.transaction(...what);
    } catch (error) {
      if (error.name !== 'InvalidStateError') throw error;
      throw new Error('what this browser has kept of this client was removed while it was in use: it can answer no more');
    }
  }

  /** One transaction, which is on the disk when this is done; what `work` throws undoes it. */
  async #transact(work) {
    const transaction = this.#begin(STORES, 'readwrite', { durability: 'strict' });
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new LocalError('the database gave up a transaction'));
    });
    const store = (name) => transaction.objectStore(name);
    try {
      await work(store);
    } catch (error) {
      done.catch(() => {}); // What was thrown says more.
      transaction.abort();
      throw error;
    }
    await done;
  }

  /** Enters an answer with the snapshot of who gave it. @throws {SessionEnd} A12 */
  async enter(session, client, phase, answer, snapshot) {
    this.#mustBe(client);
    const place = `${client} ${hex(session)}`;
    const hash = hex(await sha256OfMessage(answer));
    const frozen = snapshot();
    await this.#transact(async (store) => {
      const before = await settled(store('answers').get(`${place} ${phase}`));
      if ((before ?? hash) !== hash) throw new SessionEnd('A12');
      store('answers').put(hash, `${place} ${phase}`);
      store('snapshots').put(frozen, place);
    });
  }

  /** Enters a session behind the others of its input (R57). @throws {LocalError} */
  async enterSession(input, client, session, repeatedSums) {
    await this.#changeInput(input, client, (record) => {
      if (record.entered.includes(hex(session))) return;
      if (record.revealed.length > repeatedSums) throw new LocalError('shares of this input were revealed (R57)');
      record.entered.push(hex(session));
    });
  }

  /** Lets an input or shares leave, before they do (R57). @throws {SessionEnd} A10 */
  async letLeave(input, client, session, reveals) {
    await this.#changeInput(input, client, (record) => {
      if (record.entered.at(-1) !== hex(session)) throw new SessionEnd('A10');
      if (reveals && !record.revealed.includes(hex(session))) record.revealed.push(hex(session));
    });
  }

  async #changeInput(input, client, change) {
    this.#mustBe(client);
    const place = `${client} ${input}`;
    await this.#transact(async (store) => {
      const record = await settled(store('inputs').get(place)) ?? { entered: [], revealed: [] };
      change(record);
      store('inputs').put(record, place);
    });
  }

  /** Whether this client has answered in a phase of a session. */
  async answered(session, client, phase) {
    this.#mustBe(client);
    const store = this.#begin(['answers']).objectStore('answers');
    return await settled(store.get(`${client} ${hex(session)} ${phase}`)) !== undefined;
  }

  /** The last snapshot of a session, if there is one. */
  async snapshotOf(session) {
    const store = this.#begin(['snapshots']).objectStore('snapshots');
    return settled(store.get(`${this.#client} ${hex(session)}`));
  }

  /** Removes the snapshot of a session, with the secrets in it; what was answered stays entered. */
  async forget(session) {
    await this.#transact(async (store) => { store('snapshots').delete(`${this.#client} ${hex(session)}`); });
  }

  /** Removes all snapshots of this client: whoever has left for good goes on in no session. What was answered stays entered. */
  async forgetAll() {
    const own = globalThis.IDBKeyRange.bound(`${this.#client} `, `${this.#client}!`); // '!' comes after a space.
    await this.#transact(async (store) => { store('snapshots').delete(own); });
  }

  #mustBe(client) {
    if (client !== this.#client) throw new LocalError(`this ledger is that of client ${this.#client}, not of ${client}`);
  }
}
