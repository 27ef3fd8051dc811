/** Whole sessions over HTTP with a service that lies, breaks or is away; and arguments that are none. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import {
  DecodeError, DroppedError, LocalError, MemoryLedger, ServiceError, SessionAbortedError, SessionEnd, UnreachableError, Violation,
  attend, clientPolicy, fixedPoint, generateIdentityKey, takePart, verificationKey,
} from 'secagg-client';
import { contribute } from '../examples/http.js';
import { Endpoint } from '../src/http/endpoint.js';
import { Retries } from '../src/http/retries.js';
import { nameAfter, nameFirst, renews } from '../src/http/successors.js';
import { encodeMessage, encodeOffer } from '../src/wire.js';
import { PROTOBUF, Service, refusal } from './http/service.js';
import { filled, parametersOf } from './runner.js';

const update = fixedPoint({ shape: [1000], clip: 1, aggregate: 'mean' });
const VECTORS = [{ ...update, name: 'update' }];
const QUICK = { firstSeconds: 0.001, longestSeconds: 0.002 };
const IMPATIENT = { ...QUICK, giveUpSeconds: 0.05 };
const running = [];
const over = new AbortController();

after(() => {
  // Who waits for others in a test that failed waits no longer.
  over.abort(new Error('the tests are over'));
  return Promise.all(running.map((service) => service.stop()));
});

/** A service with a session of clients 10, 11, …, and what each takes part with. */
async function open(changes = {}) {
  const whole = { n: 3, active: true, threshold: 2, minimum: 2, vectors: VECTORS, maxWeight: 1000n, ...changes };
  const parameters = parametersOf(whole);
  const keys = new Map(parameters.cohort.map((id) => [id, generateIdentityKey()]));
  const roster = new Map([...keys].map(([id, key]) => [id, verificationKey(key)]));
  const service = await new Service(parameters, roster).start();
  running.push(service);
  const policy = clientPolicy({ threatModel: 'active', minimumCohort: 2n, maxCorrupt: 0, maxDropout: 0 });
  const given = (client) => ({
    session: 'round-7', client, identityKey: keys.get(client), roster, policy, ledger: new MemoryLedger(), retry: QUICK,
    signal: over.signal,
    input: { update: new Float32Array(Number(update.shape[0])).fill(Number(client) / 100) }, weight: 5n,
  });
  return { service, parameters, keys, roster, given, changes: whole, stop: new AbortController() };
}

const everybody = ({ service, parameters, given }, changes = () => ({})) =>
  Promise.all(parameters.cohort.map((client) => takePart(service.address, { ...given(client), ...changes(client) })));

/** How the first client ends where the service does this instead of what is honest. */
async function lie(lies, changes = {}) {
  const world = await open();
  Object.assign(world.service.lies, lies);
  const error = await takePart(world.service.address, { ...world.given(10n), retry: IMPATIENT, ...changes }).catch((found) => found);
  return { error, ...world.service, service: world.service };
}

test('the example of README.md takes part over HTTP', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const example = readFileSync(new URL('../examples/http.js', import.meta.url), 'utf8');
  assert.ok(readme.includes(example.replace('// @ts-check\n', '')));
  const { service, parameters, keys, roster } = await open({ n: 10, threshold: 7 });
  const lines = [];
  const outcomes = await Promise.all(parameters.cohort.map((client) => {
    const invitation = { server: service.address, session: 'round-7', client, identityKey: keys.get(client), roster };
    return contribute(invitation, new Float32Array(1000).fill(Number(client) / 100), 5n, (line) => lines.push(line));
  }));
  assert.ok(outcomes.every(({ state }) => state === 'COMPLETED'));
  assert.ok(lines.includes('MASKED_INPUT sending '));
  assert.equal(service.server.result.totalWeight, 50n);
  assert.ok(Math.abs(service.server.result.vectors[0].reals[0] - 0.145) < 1e-4);
});

test('what breaks once is done again, and no answer is another one the second time', async () => {
  for (const name of ['Challenge', 'Login', 'NextRequest', 'Answer']) {
    const world = await open();
    let calls = 0;
    world.service.lies[name] = async (_request, honest) => {
      calls += 1;
      if (calls % 2) return name === 'Answer' && calls % 4 === 1 ? { status: 502, type: 'text/html', body: 'away' } : 'broken';
      return honest();
    };
    const outcomes = await everybody(world);
    assert.ok(outcomes.every(({ state }) => state === 'COMPLETED'), name);
    assert.equal(world.service.answers.length, 5 * 3, name);
  }
});

test('a long answer goes up in parts, from where the service says that it is', async () => {
  const length = 600_000;
  const world = await open({ vectors: [{ ...VECTORS[0], shape: [BigInt(length)] }] });
  const lengths = [];
  let cut = 0;
  world.service.lies.UploadPart = async (part, honest, client) => {
    if (client !== 10n) return honest();
    lengths.push(part.length);
    cut += 1;
    if (cut === 1) {
      // What came counts, although the reply is lost.
      await world.service.giveUploadPart(part.subarray(0, 300_000), client, 0);
      return 'broken';
    }
    return cut === 2 ? refusal(503, { reason: 'TRY_AGAIN', retry: true, message: 'announce it' }) : honest();
  };
  const steps = [];
  await everybody(world, (client) => ({
    input: { update: new Float32Array(length).fill(0.25) }, ...(client === 10n && { onStep: (step) => steps.push(step) }),
  }));
  const [{ bytes }] = steps.filter(({ state, round }) => state === 'sending' && round === 'MASKED_INPUT');
  const whole = 1 << 20;
  assert.deepEqual(lengths, [whole, whole - 300_000, whole - 300_000, whole, bytes - 2 * whole]);
  assert.ok(steps.some(({ state, sent }) => state === 'sending' && sent === 300_000));
  assert.ok(Math.abs(world.service.server.result.vectors[0].reals[0] - 0.25) < 1e-4);
});

test('a token that is forgotten leads to another login', async () => {
  const world = await open();
  const forgotten = new Set();
  world.service.lies.Answer = (_request, honest, client) => {
    if (forgotten.has(client)) return honest();
    forgotten.add(client);
    return refusal(401, { reason: 'TOKEN_UNKNOWN', retry: true, message: 'log in again' });
  };
  await everybody(world);
  assert.equal(world.service.calls.filter((name) => name === 'Login').length, 6);
  const { error } = await lie({ Answer: () => refusal(401, { reason: 'TOKEN_UNKNOWN', retry: true, message: 'who?' }) });
  assert.ok(error instanceof UnreachableError && error.refusal === 'TOKEN_UNKNOWN');
});

test('a service that lies is left with a sentence, and told', async () => {
  const early = ({ parameters }) => encodeMessage(parameters.digest, 'UnmaskingRequest', {});
  const lies = [['Violation', 'A07', early], ['DecodeError', 'A08', () => Uint8Array.of(255)]];
  for (const [kind, reason, lying] of lies) {
    const liar = await open();
    liar.service.lies.NextRequest = () => ({ request: lying(liar) });
    const answers = [];
    liar.service.lies.Answer = async ({ answer }) => {
      answers.push(answer);
      return { outcome: 1 };
    };
    const error = await takePart(liar.service.address, liar.given(10n)).catch((found) => found);
    assert.equal(error.constructor.name, kind);
    assert.match(error.message, /^the server broke a rule of the protocol, and this client has left the session: /);
    const notice = encodeMessage(liar.parameters.digest, 'Abort', { reason });
    assert.deepEqual(answers.slice(1).map((bytes) => [...bytes]), [[...notice]]);
  }
});

test('an offer that the policy does not take is refused with a sentence, and nothing is answered', async () => {
  const policy = clientPolicy({ threatModel: 'active', minimumCohort: 20n });
  const { error, answers } = await lie({}, { policy });
  assert.ok(error instanceof Violation && error.rule === 'C02');
  assert.equal(error.message, 'this client does not take part in round-7: the cohort has 3 clients; the policy wants 20 (rule C02)');
  assert.deepEqual(answers, []);
  const other = encodeOffer(parametersOf({ active: true, vectors: VECTORS, nonce: filled(3), cohort: [1n, 2n, 3n], n: 3 }).encoded);
  const stranger = await lie({ Login: async (_request, honest) => ({ ...await honest(), offer: other }) });
  assert.equal(stranger.error.rule, 'C09');
  assert.deepEqual(stranger.answers, []);
});

test('who asks again what was answered, or gives no reply of the service, is named', async () => {
  const world = await open();
  world.service.lies.Answer = async () => ({ outcome: 1 });
  world.service.lies.NextRequest = () => ({ request: world.service.requests.get(10n) });
  await assert.rejects(takePart(world.service.address, world.given(10n)), /asks again what was answered/);
  const html = () => ({ status: 200, type: 'text/html', body: '' });
  for (const name of ['Challenge', 'Login', 'Answer']) {
    const { error, calls } = await lie({ [name]: html });
    assert.ok(error instanceof ServiceError && !(error instanceof UnreachableError), name);
    assert.match(error.message, /not the service's but of something between/);
    assert.equal(calls.at(-1), name);
  }
  const redirect = { status: 307, type: 'text/plain', body: '', headers: { Location: '/secagg/v1/Login' } };
  assert.match((await lie({ Challenge: () => redirect })).error.message, /HTTP 307 is no reply of secagg/);
  assert.match((await lie({ Login: () => ({ status: 200, type: 'application/x-protobuf', body: Uint8Array.of(255) }) })).error.message,
    /1 bytes are no reply to Login/);
  assert.match((await lie({ Login: async () => ({ status: 403, type: 'text/html', body: 'x'.repeat(70_000) }) })).error.message,
    /a reply of more than 65536 bytes/);
});

test('an offer that is longer than the policy allows is not parsed, whatever it is', async () => {
  const policy = clientPolicy({ threatModel: 'active', maximumCohort: 10n, maximumWords: 10n });
  const ledger = Object.assign(new MemoryLedger(), { snapshotOf: async () => undefined });
  const long = { Login: async (_request, honest) => ({ ...await honest(), offer: new Uint8Array(90_000) }) };
  const { error } = await lie(long, { policy, ledger });
  assert.ok(error instanceof DecodeError);
  assert.match(error.message, /does not take part in round-7: longer than any offer that the policy allows/);
});

test('what a service says moves nothing around it, and does not fill a page', async () => {
  const hostile = `\u001b[2J\u202e${'x'.repeat(60_000)}`;
  const ended = { reasonId: hostile, reason: hostile };
  const lies = [
    { Challenge: () => refusal(403, { reason: 'NO', message: hostile }) },
    { Challenge: () => refusal(403, { reason: hostile }) },
    { NextRequest: () => ({ ended }), Login: async (_request, honest) => ({ ...await honest(), next: undefined }) },
    { NextRequest: () => ({ dropped: ended }), Login: async (_request, honest) => ({ ...await honest(), next: undefined }) },
  ];
  for (const each of lies) {
    const { error: { message } } = await lie(each);
    assert.ok(message.includes('x') && message.length < 700, message.slice(0, 80));
    assert.doesNotMatch(message, /[\u001b\u202e]/);
  }
});

test('nothing but a nonce is signed', async () => {
  for (const length of [0, 31, 513]) {
    const { error, calls } = await lie({ Challenge: () => ({ nonce: new Uint8Array(length) }) });
    assert.match(error.message, new RegExp(`gave a nonce of ${length} bytes`));
    assert.deepEqual(calls, ['Challenge']);
  }
});

test('how a session ends for a client is an error of its own', async () => {
  const news = (next) => ({ Login: async (_request, honest) => ({ ...await honest(), next }) });
  const ended = await lie(news({ ended: { reasonId: 'A03', reason: 'TOO_FEW', successor: '' } }));
  assert.ok(ended.error instanceof SessionAbortedError && ended.error.rule === 'A03');
  assert.equal(ended.error.message, 'the session ended without a sum: TOO_FEW [A03]');
  const dropped = await lie(news({ dropped: { reasonId: 'S05', reason: 'SECOND_ANSWER_DIFFERS' } }));
  assert.ok(dropped.error instanceof DroppedError && dropped.error.rule === 'S05');
  assert.match(dropped.error.message, /two tabs or processes run as this client/);
  const without = await lie(news({ ended: { completed: true } }));
  assert.ok(without.error instanceof DroppedError);
  assert.match(without.error.message, /sent no input to it/);
  const refused = await lie({ Answer: () => refusal(410, { reason: 'DROPPED', ruleId: 'S02', message: 'gone' }) });
  assert.ok(refused.error instanceof DroppedError && refused.error.rule === 'S02');
  const unknown = await lie({ Challenge: () => refusal(404, { reason: 'UNKNOWN_SESSION', message: 'no such session' }) });
  assert.ok(unknown.error instanceof ServiceError && unknown.error.refusal === 'UNKNOWN_SESSION');
  assert.match(unknown.error.message, /no such session$/);
  assert.deepEqual([ended, dropped, without].flatMap(({ answers }) => answers), []);
});

test('a second answer to a round is refused by what is kept, and the server does not hear that the other one left', async () => {
  const world = await open();
  const given = world.given(10n);
  world.service.lies.Answer = () => refusal(403, { reason: 'NOT_IN_COHORT', message: 'go away' });
  await assert.rejects(takePart(world.service.address, given), ServiceError);
  delete world.service.lies.Answer;
  const error = await takePart(world.service.address, given).catch((found) => found);
  assert.ok(error instanceof SessionEnd && error.rule === 'A12');
  assert.match(error.message, /^another answer was given in this round before/);
  assert.deepEqual(world.service.answers, []);
});

test('a service that goes on from what was answered before has broken no rule', async () => {
  const world = await open();
  const stop = new AbortController();
  const onStep = ({ round, state }) => { if (round === 'SHARE_KEYS' && state === 'working') stop.abort(new Error('enough')); };
  const others = [11n, 12n].map((client) => takePart(world.service.address, { ...world.given(client), signal: world.stop.signal }));
  const given = world.given(10n);
  await assert.rejects(takePart(world.service.address, { ...given, signal: stop.signal, onStep }), /enough/);
  // A MemoryLedger keeps what was answered, and no snapshot.
  const error = await takePart(world.service.address, given).catch((found) => found);
  assert.ok(error instanceof SessionEnd && error.rule === 'A12', error.stack);
  assert.equal(world.service.answers.filter(({ client }) => client === 10n).length, 1);
  world.stop.abort(new Error('enough'));
  await Promise.allSettled(others);
});

test('a client goes on from its ledger, gives the same answers, and knows of a session that is over', async () => {
  const world = await open();
  const kept = new Map();
  class Kept extends MemoryLedger {
    async enter(session, client, phase, answer, snapshot) {
      await super.enter(session, client, phase, answer);
      kept.set(client, snapshot());
    }

    snapshotOf() {
      return kept.get(10n);
    }

    forget() {
      kept.delete(10n);
    }
  }
  const ledger = new Kept();
  const rounds = ['ADVERTISE_KEYS', 'SHARE_KEYS', 'MASKED_INPUT', 'CONSISTENCY_CHECK', 'UNMASKING'];
  const others = [11n, 12n].map((client) => takePart(world.service.address, world.given(client)));
  const whole = new Map();
  // What comes with a login may be behind what is kept.
  const first = world.service.requests.get(10n);
  world.service.lies.Login = async (_request, honest) => ({ ...await honest(), next: { request: first } });
  world.service.lies.Answer = ({ answer }, honest, client) => {
    if (client === 10n) whole.set(String(answer), (whole.get(String(answer)) ?? 0) + 1);
    return honest();
  };
  // Stopped before each answer leaves, and after; with the last one the session is over.
  for (const at of rounds.flatMap((round) => [[round, 'sending'], [round, 'done']]).slice(0, -1)) {
    const stop = new AbortController();
    const onStep = ({ round, state }) => { if (round === at[0] && state === at[1]) stop.abort(new Error('the page is gone')); };
    const given = { ...world.given(10n), ledger, signal: stop.signal, onStep };
    await assert.rejects(takePart(world.service.address, given), /the page is gone/, at.join());
  }
  const steps = [];
  const outcome = await takePart(world.service.address, { ...world.given(10n), ledger, onStep: (step) => steps.push(step) });
  assert.deepEqual([outcome.state, steps[0].state, steps[0].resumed], ['COMPLETED', 'joined', true]);
  await Promise.all(others);
  assert.equal(whole.size, rounds.length, 'one answer for each round, whatever how often');
  assert.equal(world.service.server.phase, 'COMPLETED');
  assert.equal(kept.has(10n), false);
  delete world.service.lies.Login;
  assert.equal((await takePart(world.service.address, { ...world.given(10n), ledger })).state, 'COMPLETED');
  // Another session under its name gets nothing of the same input.
  world.service.begin(parametersOf({ ...world.changes, nonce: filled(8) }));
  await assert.rejects(takePart(world.service.address, { ...world.given(10n), ledger }), /shares of this input were revealed \(R57\)/);
});

test('sessions that follow one are called so, and have nothing new but cohort, graph and nonce', () => {
  assert.deepEqual(['a', 'a~1', 'a~9'].map(nameAfter), ['a~1', 'a~2', 'a~10']);
  assert.deepEqual(['a', 'a~12'].map(nameFirst), ['a', 'a']);
  const before = parametersOf({ n: 6 });
  const after = (changes) => parametersOf({ n: 5, cohort: before.cohort.slice(1), threshold: 4, nonce: filled(8), ...changes });
  assert.ok(renews(after({}), before));
  const others = [
    { nonce: before.nonce }, { threshold: 3 }, { maxWeight: 11n }, { context: Uint8Array.of(1) }, { minimum: 2 },
    { cohort: [...before.cohort.slice(2), 99n] }, { vectors: [{ ...before.vectors[0], clip: 2 }, before.vectors[1]] },
  ];
  for (const changes of others) assert.ok(!renews(after(changes), before), Object.keys(changes)[0]);
  assert.ok(!renews(parametersOf({ n: 6, nonce: filled(8) }), before));
  const ring = parametersOf({ n: 6, degree: 3, threshold: 2 });
  const left = (degree) => parametersOf({ n: 5, cohort: ring.cohort.slice(1), degree, threshold: 2, nonce: filled(8) });
  assert.deepEqual([renews(left(2), ring), renews(left(4), ring)], [true, false]);
});

test('a service that names no session that may follow is left with how the one before ended', async () => {
  const world = await open();
  const ended = { reasonId: 'A15', reason: 'CLIENTS_COMPLAINED', successor: 'round-7~1' };
  let logins = 0;
  world.service.lies.Login = async (_request, honest) => {
    logins += 1;
    return { ...await honest(), next: { ended } };
  };
  const joined = [];
  const onStep = ({ state, session }) => { if (state === 'joined') joined.push(session); };
  const error = await takePart(world.service.address, { ...world.given(10n), onStep }).catch((found) => found);
  assert.ok(error instanceof SessionAbortedError && error.rule === 'A15');
  assert.equal(logins, 2);
  assert.deepEqual(joined, ['round-7'], 'the same offer once more is no session that follows');
  world.service.lies.Login = async (_request, honest) => ({ ...await honest(), next: { ended: { ...ended, successor: 'other' } } });
  assert.equal((await takePart(world.service.address, world.given(10n)).catch((found) => found)).successor, 'other');
});

test('who has no more bytes than before, or more than there are, gets no upload without end', async () => {
  const length = 600_000;
  const changes = { vectors: [{ ...VECTORS[0], shape: [BigInt(length)] }] };
  const input = { update: new Float32Array(length) };
  const part = 1 << 20;
  let back = 0;
  // Each with how many parts it is sent at most: after one that arrived, as many failures as are to be borne.
  const lies = [
    [{ UploadPart: () => ({ receivedBytes: 0n }) }, UnreachableError, /has 0 bytes after a part that ends at 1048576/],
    [{ UploadPart: () => ({ receivedBytes: 1n << 40n }) }, ServiceError, /has 1099511627776 bytes/],
    [{
      BeginUpload: () => ({ receivedBytes: 0n }),
      UploadPart: () => ({ receivedBytes: back++ % 2 ? 0n : BigInt(part) }),
    }, UnreachableError, /has 0 bytes after a part that ends at/],
    [{ BeginUpload: () => ({ receivedBytes: 1n }), UploadPart: () => ({ receivedBytes: 2n }) }, UnreachableError, /has 2 bytes/],
  ];
  for (const [lying, kind, message] of lies) {
    const world = await open(changes);
    for (const [name, lie] of Object.entries(lying)) {
      world.service.lies[name] = (given, honest, client) => (client === 10n ? lie() : honest());
    }
    const { signal } = world.stop;
    const others = [11n, 12n].map((client) => takePart(world.service.address, { ...world.given(client), input, signal }));
    const retry = { firstSeconds: 0.02, longestSeconds: 0.02, giveUpSeconds: 1 };
    const error = await takePart(world.service.address, { ...world.given(10n), input, retry }).catch((found) => found);
    assert.equal(error.constructor, kind, error.stack);
    assert.match(error.message, message);
    world.stop.abort(new Error('enough'));
    await Promise.allSettled(others);
  }
});

test('whatever a server asks for, a call that is made again waits, and is given up', () => {
  const retries = new Retries({ firstSeconds: 1, longestSeconds: 2 });
  for (const asked of [NaN, -Infinity, -1, 0]) {
    const seconds = Array.from({ length: 50 }, () => retries.wait(1, asked));
    assert.ok(seconds.every((each) => each >= 0 && each <= 1) && new Set(seconds).size > 1, `${asked}: ${seconds}`);
  }
  assert.deepEqual([3, 1e9, Infinity].map((asked) => retries.wait(9, asked)), [3, 3600, 3600]);
});

test('a call that is made again does not wait, and not sooner than it is asked to', async () => {
  const world = await open();
  const waits = [];
  world.service.lies.Answer = async (_request, honest) => ({ ...await honest(), next: undefined });
  world.service.lies.NextRequest = ({ waitMilliseconds }, honest, client) => {
    if (client !== 10n) return honest();
    waits.push(waitMilliseconds);
    return waits.length === 1 ? refusal(503, { reason: 'TRY_AGAIN', retry: true, retryAfterSeconds: 0.02, message: 'soon' }) : honest();
  };
  const steps = [];
  await everybody(world, (client) => (client === 10n ? { onStep: (step) => steps.push(step) } : {}));
  assert.deepEqual(waits.slice(0, 2), [50_000, 0]);
  const [{ seconds, message }] = steps.filter(({ state }) => state === 'retrying');
  assert.deepEqual([seconds, message], [0.02, 'soon']);
});

test('a device that slept while it called calls again', async () => {
  const world = await open();
  let slept = 0;
  const awake = performance.now.bind(performance);
  performance.now = () => awake() + slept;
  try {
    world.service.lies.Answer = (_request, honest) => {
      if (slept) return honest();
      slept = 3_600_000;
      return 'broken';
    };
    const outcomes = await everybody(world);
    assert.deepEqual(outcomes.map(({ state }) => state), ['COMPLETED', 'COMPLETED', 'COMPLETED']);
  } finally {
    delete performance.now;
  }
});

test('a client that is offline waits until it is not, and says so', async () => {
  const world = await open();
  const before = globalThis.navigator;
  const events = new EventTarget();
  let onLine = true;
  const globals = {
    navigator: { get onLine() { return onLine; } },
    addEventListener: (...given) => events.addEventListener(...given),
    removeEventListener: (...given) => events.removeEventListener(...given),
  };
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true });
  try {
    const steps = [];
    const onStep = (step) => {
      steps.push(step);
      if (step.round === 'SHARE_KEYS' && step.state === 'sending' && onLine) {
        onLine = false;
        world.service.lies.Answer = () => 'broken';
        world.service.lies.NextRequest = () => 'broken';
      }
      if (step.state === 'offline') {
        setImmediate(() => {
          onLine = true;
          world.service.lies = {};
          events.dispatchEvent(new Event('online'));
        });
      }
    };
    const retry = { ...QUICK, giveUpSeconds: 600 };
    await everybody(world, (client) => ({ retry, ...(client === 10n && { onStep }) }));
    const offline = steps.filter(({ state }) => state === 'offline');
    assert.deepEqual(offline.map(({ round, message }) => [round, message]),
      [['SHARE_KEYS', 'this device is offline; waiting until it is not']]);
  } finally {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
    if (before) Object.defineProperty(globalThis, 'navigator', { value: before, configurable: true });
    else delete globalThis.navigator;
  }
});

test('who cannot be reached is named, with what to check', async () => {
  const world = await open();
  await world.service.stop();
  const steps = [];
  const given = { ...world.given(10n), retry: IMPATIENT, onStep: (step) => steps.push(step) };
  const error = await takePart(world.service.address, given).catch((found) => found);
  assert.ok(error instanceof UnreachableError);
  assert.match(error.message, /did not do GetOffer within 0.05 s; the last failure: nothing came from .*ECONNREFUSED/);
  assert.match(error.message, /check whether it runs with \[http\], and host and port are right$/);
  assert.ok(steps.every(({ state, seconds }) => state === 'retrying' && seconds >= 0));
  // Started again on the same port, it is found by the next attempt.
  const again = takePart(world.service.address, world.given(10n));
  await world.service.start();
  await Promise.all([again, ...[11n, 12n].map((client) => takePart(world.service.address, world.given(client)))]);
});

test('it stops at any point', async () => {
  const world = await open();
  const signal = AbortSignal.abort(new Error('not now'));
  await assert.rejects(takePart(world.service.address, { ...world.given(10n), signal }), /not now/);
  assert.deepEqual(world.service.calls, []);
  const stop = new AbortController();
  const onStep = ({ round, state }) => {
    if (round === 'SHARE_KEYS' && state === 'waiting') setImmediate(() => stop.abort(new Error('enough')));
  };
  await assert.rejects(takePart(world.service.address, { ...world.given(10n), signal: stop.signal, onStep }), /enough/);
});

test('a member hears of sessions, and what the server names is bounded', async () => {
  const world = await open();
  const given = { ...world.given(10n), session: undefined, input: undefined };
  const found = [];
  for await (const { session } of attend(world.service.address, given)) {
    found.push(session);
    if (found.length === 2) break;
  }
  assert.deepEqual(found, ['session-0', 'session-1']);
  const lies = { '../x': /can be none: \.\.\/x/, [['a', 'b'].join('/')]: /can be none/ };
  for (const [name, message] of Object.entries(lies)) {
    world.service.lies.NextSession = () => ({ sessions: [name] });
    await assert.rejects(attend(world.service.address, given).next(), message);
  }
  world.service.lies.NextSession = () => ({ sessions: Array.from({ length: 1025 }, (_, i) => `s${i}`) });
  await assert.rejects(attend(world.service.address, given).next(), /names 1025 open sessions, above 1024/);
  // Two bytes for each name: to read them all would keep a page from everything else for most of a minute.
  const endless = new Uint8Array(1 << 26).map((_, i) => (i % 2 ? 0 : 0x0a));
  world.service.lies.NextSession = () => ({ status: 200, type: PROTOBUF, body: endless });
  await assert.rejects(attend(world.service.address, given).next(), /67108864 bytes are no reply to NextSession/);
});

test('arguments that are none are one sentence each, before anything is sent', async () => {
  const world = await open();
  const wrong = {
    '^identity is nothing that is taken here': { identity: filled(1) },
    '^give either worker, a function': { ledger: undefined },
    '^worker is no function': { worker: {} },
    '^the ledger has no enter; give a MemoryLedger': { ledger: {} },
    '^there is no session; give its name': { session: undefined },
    '^the client is a number; ids are bigint': { client: 10 },
    '^the identity key is no Uint8Array of 32 bytes': { identityKey: filled(1).subarray(1) },
    '^giveUpSeconds is 0; give seconds above 0': { retry: { giveUpSeconds: 0 } },
    '^the input is no object': { input: undefined },
  };
  for (const [message, changes] of Object.entries(wrong)) {
    const error = await takePart(world.service.address, { ...world.given(10n), ...changes }).catch((found) => found);
    assert.ok(error instanceof LocalError, `${message}: ${error.stack}`);
    assert.match(error.message, new RegExp(message));
  }
  assert.deepEqual(world.service.answers, []);
  assert.throws(() => verificationKey(filled(1).subarray(1)), { constructor: LocalError, message: /Uint8Array of 32 bytes/ });
});

test('addresses are those of services, with TLS unless they are of this machine', () => {
  const none = [
    '', 'sums.example.org', 'sums.example.org:8443', 'grpc://localhost:1', 'https://a@localhost', 'https://x?y=1', 'https://x#y',
  ];
  for (const address of none) {
    assert.throws(() => new Endpoint(address), { constructor: LocalError, message: /is no address/ }, address);
  }
  assert.throws(() => new Endpoint('http://sums.example.org'), /is without TLS, which is for trials on this machine alone; give https:/);
  for (const address of ['http://localhost:1', 'http://127.0.0.1:1', 'http://[::1]:1']) assert.ok(new Endpoint(address));
  const named = (address) => new Endpoint(address).serverName;
  assert.equal(named('https://Sums.example.org/behind/a/path/'), 'sums.example.org');
  assert.equal(named('https://[::1]:8443'), '::1');
  assert.equal(new Endpoint('https://sums.example.org/behind/a/path/').base, 'https://sums.example.org/behind/a/path/secagg/v1/');
});
