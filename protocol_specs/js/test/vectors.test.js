/** The scripts and sessions of ../vectors, as far as they are there. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { bytes, canonical, concat, hex, join, uint64, unhex } from '../canonical.js';
import { Call, Reply, STATUS } from '../conformance.js';
import { decodeParameters } from '../parameters.js';
import { decodeLeniently, encode } from '../protobuf.js';
import { Testee } from '../testee.js';

const root = new URL('../../vectors/', import.meta.url);
const NEEDS = { suite: (id) => id === 1, client_snapshots: () => true, server_snapshots: () => true };

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const schemaOf = (schema, name) => schema.find((field) => field.name === name).type.schema;
const Outcome = schemaOf(Reply, 'outcome');

function valueFromJson({ type }, json) {
  if (type.schema) return fromJson(type.schema, json);
  const initial = type.initial();
  if (initial instanceof Uint8Array) return unhex(json);
  if (typeof initial === 'bigint') return BigInt(json);
  if (typeof initial === 'number') return typeof json === 'string' ? STATUS[json] ?? Number(json) : json;
  return json;
}

/** The message that stands in a file field by field. */
function fromJson(schema, json) {
  const value = {};
  for (const [key, item] of Object.entries(json)) {
    const field = schema.find(({ name }) => snake(name) === key);
    assert.ok(field, `unknown field ${key}`);
    value[field.name] = field.repeated ? item.map((each) => valueFromJson(field, each)) : valueFromJson(field, item);
  }
  return value;
}

function files(folder) {
  const url = new URL(`${folder}/`, root);
  if (!existsSync(url)) return [];
  return readdirSync(url).filter((name) => name.endsWith('.json')).map((name) => {
    const { cases } = JSON.parse(readFileSync(new URL(name, url), 'utf8'));
    return [name, cases];
  });
}

const isSupported = ({ needs = {} }) => Object.entries(needs).every(([name, value]) => NEEDS[name](value));

class Runner {
  constructor() {
    this.testee = new Testee();
  }

  call(call) {
    return decodeLeniently(Reply, this.testee.handle(encode(Call, call)));
  }

  step(handle, event) {
    return this.call({ step: { handle, ...event } }).outcome;
  }
}

function checkResult(actual, expected, clips) {
  assert.deepEqual(actual.contributors, expected.contributors);
  assert.equal(actual.totalWeight, expected.totalWeight);
  assert.deepEqual(actual.vectors.map(({ name }) => name), expected.vectors.map(({ name }) => name));
  actual.vectors.forEach(({ name, reals, integers }, i) => {
    assert.deepEqual(integers, expected.vectors[i].integers ?? []);
    const others = expected.vectors[i].reals ?? [];
    assert.equal(reals.length, others.length);
    const bound = 2 ** -30 * (clips?.get(name) ?? 1) * actual.contributors.length;
    reals.forEach((x, e) => assert.ok(Math.abs(x - others[e]) <= (others[e] && bound), `${x} and ${others[e]}`));
  });
}

function checkOutcome(actual, json) {
  const { rules, result, ...rest } = json;
  const expected = decodeLeniently(Outcome, encode(Outcome, fromJson(Outcome, rest)));
  const compared = { ...actual, handle: 0n, result: undefined };
  if (rules) {
    assert.ok(rules.includes(actual.rule), `rule ${actual.rule} is not among ${rules}`);
    compared.rule = expected.rule;
  }
  if (actual.status === STATUS.REFUSED && actual.phase === 'ABORTED') {
    assert.equal(actual.abortReason, actual.rule.startsWith('C') ? 'A07' : actual.rule);
    compared.abortReason = expected.abortReason;
  }
  if (rules?.length > 1 || actual.phase === '') compared.notice = expected.notice;
  assert.deepEqual(compared, expected);
  assert.equal(actual.result === undefined, result === undefined);
  if (result) checkResult(actual.result, fromJson(schemaOf(Outcome, 'result'), result));
}

function playScript({ role, create, expect, steps }) {
  const runner = new Runner();
  const name = role === 'client' ? 'createClient' : 'createServer';
  const { outcome } = runner.call({ [name]: fromJson(schemaOf(Call, name), create) });
  checkOutcome(outcome, expect);
  const snapshots = new Map();
  let { handle } = outcome;
  steps.forEach((step, i) => {
    try {
      if (step.snapshot !== undefined) {
        snapshots.set(step.snapshot, runner.call({ snapshot: { handle } }).frozen.snapshot);
      } else if (step.beside) {
        const createClient = fromJson(schemaOf(Call, 'createClient'), step.beside);
        checkOutcome(runner.call({ createClient }).outcome, step.expect);
      } else if (step.restore) {
        const { snapshot, ...rest } = step.restore;
        const restore = { ...fromJson(schemaOf(Call, 'restore'), rest), snapshot: snapshots.get(snapshot) };
        const restored = runner.call({ restore }).outcome;
        checkOutcome(restored, step.expect);
        handle = restored.handle;
      } else {
        checkOutcome(runner.step(handle, fromJson(schemaOf(Call, 'step'), step.step)), step.expect);
      }
    } catch (error) {
      error.message = `step ${i}: ${error.message}`;
      throw error;
    }
  });
}

for (const [name, cases] of files('scripts')) {
  for (const each of cases) {
    test(`${name}: ${each.id}`, { skip: !isSupported(each) }, () => playScript(each));
  }
}

function transcript(digest, messages) {
  return hex(createHash('sha256').update(
    concat(canonical('secagg/v1 conformance transcript', digest), join(messages.map(bytes))),
  ).digest());
}

const ACTIVE = ['AdvertiseKeys', 'ShareKeys', 'MaskedInputCollection', 'ConsistencyCheck', 'Unmasking'];

/** A whole session; every message is compared, and the digest of all. */
function playSession({ parameters, roster, policy, clients, silent, rounds, expect }) {
  const runner = new Runner();
  const rosterEntries = (entries) => fromJson(schemaOf(Call, 'createServer'), { roster: entries }).roster;
  const createServer = { parameters: unhex(parameters), roster: rosterEntries(roster) };
  const created = runner.call({ createServer }).outcome;
  const handles = new Map(clients.map(({ client, identity_key: key, tape, set_input: input }) => {
    const create = {
      client, tape, roster, policy, ledger: 'answers', offer: hex(created.offer), ...(key === undefined ? {} : { identity_key: key }),
    };
    const { handle } = runner.call({ createClient: fromJson(schemaOf(Call, 'createClient'), create) }).outcome;
    const setInput = fromJson(schemaOf(schemaOf(Call, 'step'), 'setInput'), input);
    assert.equal(runner.step(handle, { setInput }).status, STATUS.ACCEPTED);
    return [BigInt(client), handle];
  }));
  const names = roster.length ? ACTIVE : ACTIVE.filter((name) => name !== 'ConsistencyCheck');
  const delivered = [];
  const gone = new Set();
  let { requests } = created;
  let outcome;
  const dropped = [];
  const plain = (messages) => messages.map(({ client, message }) => ({ client: `${client}`, message: hex(message) }));
  const enter = (direction, messages) => messages.forEach(({ client, message }) =>
    delivered.push(concat(Uint8Array.of(direction), uint64(client), message)));
  rounds.forEach((round, i) => {
    for (const client of silent[names[i]] ?? []) gone.add(BigInt(client));
    assert.deepEqual(plain(requests), round.requests);
    const answers = requests.filter(({ client }) => !gone.has(client)).map(({ client, message }) => {
      const { answer } = runner.step(handles.get(client), { message });
      return { client, message: answer };
    });
    assert.deepEqual(plain(answers), round.answers);
    enter(0, requests);
    enter(1, answers);
    for (const { client, message } of answers) {
      assert.equal(runner.step(created.handle, { clientMessage: { client, message } }).status, STATUS.ACCEPTED);
    }
    outcome = runner.step(created.handle, { closeRound: {} });
    dropped.push(...outcome.dropped);
    requests = outcome.requests;
  });
  const expected = fromJson(Outcome, {
    dropped: expect.dropped, inconsistent: expect.inconsistent, ...(expect.result ? { result: expect.result } : {}),
  });
  const byClient = (list) => [...list].sort((a, b) => (a.client < b.client ? -1 : 1));
  assert.deepEqual(byClient(dropped), byClient(expected.dropped));
  assert.deepEqual(outcome.inconsistent, expected.inconsistent);
  assert.equal(outcome.abortReason, expect.abort_reason ?? '');
  if (expected.result) checkResult(outcome.result, expected.result);
  const { digest } = decodeParameters(unhex(parameters));
  assert.equal(transcript(digest, delivered), expect.transcript_digest);
}

for (const [name, cases] of files('sessions')) {
  for (const each of cases) {
    test(`${name}: ${each.id}`, { skip: !isSupported(each) }, () => playSession(each));
  }
}
