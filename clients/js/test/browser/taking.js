/** A page with one client over HTTP, for tests that are its servers. Byte strings are hexadecimal. */
import { unhex } from '/clients/js/src/canonical.js';
import { clientPolicy, takePart } from 'secagg-client';

const server = new URL(location.href).searchParams.get('server');
const send = globalThis.fetch;
const scripts = (globalThis.trustedTypes ?? { createPolicy: (name, rules) => rules })
  .createPolicy('worker', { createScriptURL: (name) => `/clients/js/${name}` });
const steps = [];
let round = '';
let held;

/** Takes part; the promise is for how it ended, which the page shows, too. */
function take({ client, identityKey, roster, policy, input, ...given }) {
  const bounds = Object.entries(policy).map(([name, value]) => [name, name.startsWith('minimum') ? BigInt(value) : value]);
  globalThis.ended = takePart(server, {
    ...given,
    client: BigInt(client),
    identityKey: unhex(identityKey),
    roster: new Map(Object.entries(roster).map(([id, key]) => [BigInt(id), unhex(key)])),
    policy: clientPolicy(Object.fromEntries(bounds)),
    input: { v: BigInt64Array.from(input, BigInt) },
    worker: () => new Worker(scripts.createScriptURL('dist/worker.js'), { type: 'module' }),
    onStep(step) {
      steps.push(step);
      if (step.round) round = step.round;
    },
  }).catch((error) => ({ error: error.constructor.name, message: error.message, rule: error.rule })).then((end) => {
    document.body.textContent = end.message ?? end.state;
    return { ...end, client };
  });
}

/**
 * Keeps an answer of a round from the server ('before'), or its reply from the page ('after'), for ever, or an answer from the
 * server until there is no network ('offline'); the promise is for when it does.
 */
function hold(where, when) {
  held = new Promise((resolve) => {
    globalThis.fetch = async (url, init) => {
      if (round !== where || !url.endsWith('/Answer')) return send(url, init);
      if (when === 'after') await (await send(url, init)).arrayBuffer();
      resolve(true);
      if (when !== 'offline') return new Promise(() => {});
      globalThis.fetch = send;
      await new Promise((gone) => { addEventListener('offline', gone, { once: true }); });
      return send(url, init);
    };
  });
}

/** Waits for a step. */
async function reach(where, state) {
  while (!steps.some((step) => step.round === where && step.state === state)) {
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
  return true;
}

Object.assign(globalThis, { take, hold, reach, steps, held: () => held, shown: () => document.body.textContent });
