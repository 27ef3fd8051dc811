/** What browsers load has nothing of Node, and nothing that a strict policy of content forbids. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const ENTRIES = ['../index.js', '../src/conformance/index.js', '../src/worker/thread.js'];
const OF_NODE = /\b(Buffer|process|__dirname|__filename|setImmediate|node:)\b|\bimport\s*\(|\beval\b|new Function\b/;

/** Every module that is reached from an entry, by its address. */
function reached(url, found = new Map()) {
  if (found.has(url.href)) return found;
  const source = readFileSync(url, 'utf8');
  found.set(url.href, source);
  for (const [, name] of source.matchAll(/\bfrom '([^']+)'/g)) {
    if (name.startsWith('@noble/')) continue;
    assert.ok(name.startsWith('.') && name.endsWith('.js'), `${url}: ${name} is no module that a browser finds`);
    reached(new URL(name, url), found);
  }
  return found;
}

const withoutComments = (source) => source.replaceAll(/\/\*[^]*?\*\/|\/\/[^\n]*/g, '');

for (const entry of ENTRIES) {
  test(`${entry} and all that it imports`, () => {
    const modules = reached(new URL(entry, import.meta.url));
    assert.ok(modules.size > 10);
    for (const [href, source] of modules) {
      assert.doesNotMatch(withoutComments(source), OF_NODE, href);
    }
  });
}

test('what applications import has no server and no tape', () => {
  const modules = [...reached(new URL('../index.js', import.meta.url)).keys()];
  assert.deepEqual(modules.filter((href) => href.includes('/conformance/')), []);
});

test('the licence goes with the package', () => {
  const [ours, whole] = ['../LICENSE', '../../../LICENSE'].map((name) => readFileSync(new URL(name, import.meta.url), 'utf8'));
  assert.equal(ours, whole);
});

test('the package has every file that it names, but for what is built', () => {
  const { exports, files } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const named = [...files, ...Object.values(exports).flatMap((each) => (typeof each === 'string' ? each : Object.values(each)))];
  for (const name of named.filter((each) => !each.includes('dist'))) assert.ok(existsSync(new URL(`../${name}`, import.meta.url)), name);
});
