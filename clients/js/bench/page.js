/** A page with one client in a worker, for browser.js, which is its server: how long input waits. Bytes are hexadecimal. */
import { hex, unhex } from '/clients/js/src/canonical.js';
import { WorkerSession, clientPolicy } from 'secagg-client';
import { madeUp } from './client.js';

const scripts = (globalThis.trustedTypes ?? { createPolicy: (name, rules) => rules })
  .createPolicy('worker', { createScriptURL: () => '/clients/js/dist/worker.js' });
const policy = clientPolicy({ threatModel: 'semi-honest' });
const delays = [];
let longTasks = 0;
let session;
let update;

globalThis.addEventListener('keydown', ({ timeStamp }) => delays.push(performance.now() - timeStamp));
new PerformanceObserver((list) => { longTasks += list.getEntries().length; }).observe({ type: 'longtask' });

Object.assign(globalThis, {
  makeUp: (length) => { update = madeUp(length); },
  async join(offer, client) {
    const worker = new Worker(scripts.createScriptURL(''), { type: 'module' });
    session = await WorkerSession.open(worker, { offer: unhex(offer), client, policy, database: 'bench' });
  },
  answer: async (message) => hex(await session.receive(unhex(message))),
  /** The two long steps; what they answer stays here. */
  async finish(masking, unmasking) {
    await session.setInput({ update });
    const { length } = await session.receive(unhex(masking));
    await session.receive(unhex(unmasking));
    await session.forget();
    await session.close();
    return length;
  },
  /** How long each key that was pressed since waited for its event, in milliseconds, and tasks above 50 ms. */
  waited: () => ({ delays: delays.splice(0), longTasks }),
});
