/** The files of ../vectors/primitives, but for §2.4, of which this implementation has what a client needs. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { FUNCTIONS, rulesOf } from '../src/conformance/primitives.js';

const root = new URL('../../../protocol_specs/vectors/primitives/', import.meta.url);

function compare(actual, expected, key, exactly) {
  if (exactly && typeof expected === 'number') {
    assert.ok(Object.is(actual, expected), `${key}: ${actual}, ${expected}`);
  } else if (typeof expected === 'number' && !Number.isInteger(expected)) {
    const bound = 2 ** -30 * Math.max(1, Math.abs(expected));
    assert.ok(Math.abs(actual - expected) <= bound, `${key}: ${actual}, ${expected}`);
  } else if (typeof expected === 'object') {
    for (const [name, item] of Object.entries(expected)) compare(actual[name], item, `${key}.${name}`, exactly);
  } else {
    assert.ok(actual === expected || (typeof expected === 'number' && Math.abs(actual - expected) < 1e-6),
      `${key}: ${actual}, ${expected}`);
  }
}

async function check({ function: name, input, output, refused, flags }, functions) {
  if (!refused) {
    compare(await functions[name](input, output), output, name, flags.includes('Level'));
    return;
  }
  await assert.rejects(async () => functions[name](input), (error) => {
    const rules = rulesOf(error);
    assert.ok(rules.some((rule) => refused.includes(rule)), `${error.stack} and not ${refused}`);
    return true;
  });
}

for (const file of existsSync(root) ? readdirSync(root).sort() : []) {
  const { kind, cases } = JSON.parse(readFileSync(new URL(file, root), 'utf8'));
  for (const each of cases) {
    const implemented = FUNCTIONS[kind]?.[each.function] && each.input.suite !== 2;
    test(each.id, { skip: !implemented }, () => check(each, FUNCTIONS[kind]));
  }
}
