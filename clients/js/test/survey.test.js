/** The code of the survey's page is what its sources make, byte for byte, and the page names no other. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { make } from '../../../examples/survey/build.js';

test('the committed bundle and page are what build.js makes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'secagg-survey-'));
  try {
    await make(new URL(`file://${directory}/`));
    for (const name of ['survey.bundle.js', 'index.html']) {
      const committed = readFileSync(new URL(`../../../examples/survey/${name}`, import.meta.url), 'utf8');
      assert.ok(readFileSync(join(directory, name), 'utf8') === committed, `${name} is old: node examples/survey/build.js`);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
