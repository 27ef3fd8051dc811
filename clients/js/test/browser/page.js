/** A page with one client, for session.test.js, which is its server. Bytes are hexadecimal. */
import { hex, unhex } from '/clients/js/src/canonical.js';
import { ClientSession, IndexedDbLedger, Invitation, WorkerSession, clientPolicy } from 'secagg-client';

const scripts = (globalThis.trustedTypes ?? { createPolicy: (name, rules) => rules })
  .createPolicy('worker', { createScriptURL: (name) => `/clients/js/${name}` });
const policy = clientPolicy({ threatModel: 'semi-honest', maxWeight: 10n });
let session;

/** The value of a promise, or the name of what it throws with its message. */
const outcome = (promise) => promise.catch((error) => `${error.constructor.name}: ${error.message}`);

Object.assign(globalThis, {
  open: (offer, client, script = 'dist/worker.js') => outcome((async () => {
    const worker = new Worker(scripts.createScriptURL(script), { type: 'module' });
    session = await WorkerSession.open(worker, { offer: unhex(offer), client, policy });
    return session.phase;
  })()),
  setInput: (length = 5) => {
    const update = new Float64Array(length);
    update[0] = 0.5;
    return outcome(session.setInput({ update, counts: new BigInt64Array(6) }, 2n));
  },
  receive: (message, work) => outcome((async () => {
    const answer = await session.receive(unhex(message), work);
    return answer && hex(answer);
  })()),
  async interrupted(message) {
    const progress = [];
    const onProgress = (done, total) => progress.push(done / total);
    const first = await globalThis.receive(message, { signal: AbortSignal.abort(), onProgress });
    return [first, session.phase, await globalThis.receive(message, { onProgress }), progress];
  },
  /** Begins to handle a message; resolves once a part of the masking is done. `clicked` is what happened then, in order. */
  begin: (message) => new Promise((resolve) => {
    const happened = [];
    const interrupt = new AbortController();
    const happens = (what) => {
      happened.push(what);
      resolve();
    };
    globalThis.addEventListener('click', () => {
      happens('a click');
      interrupt.abort();
    });
    const onProgress = (done, total) => happens(done < total ? 'a part' : 'all');
    globalThis.clicked = globalThis.receive(message, { signal: interrupt.signal, onProgress })
      .then((answer) => [...happened, answer.slice(0, 60), session.phase]);
  }),
  forget: () => outcome(session.forget()),
  /** The keys with which this browser redeems a link that is opened several times at once. */
  async keysOf(link, database) {
    return (await Promise.all([1, 2, 3].map(() => Invitation.parse(link).identityKey(database)))).map(hex);
  },
  phase: () => [session.phase, session.abortReason],
  close: () => session.close(),
  /** Two sessions of one client that answer one request, over one ledger: what each returns. */
  async twice(offer, message) {
    const ledger = await IndexedDbLedger.open(10n, 'twice');
    const answers = [];
    for (let i = 0; i < 2; i++) {
      const client = await ClientSession.accept(unhex(offer), 10n, policy, { ledger });
      answers.push(await outcome(client.receive(unhex(message)).then(hex)));
    }
    ledger.close();
    return answers;
  },
});
