/**
 * Makes dist/worker.js, at once: whoever loads it while it is made again gets one of the two, and no part of one.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const place = (name) => fileURLToPath(new URL(name, import.meta.url));
const made = place(`dist/worker.${process.pid}.new`);
const { outputFiles: [worker] } = await build({
  entryPoints: [place('src/worker/thread.js')],
  bundle: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'inline',
  logLevel: 'warning',
  write: false,
});
mkdirSync(place('dist'), { recursive: true });
writeFileSync(made, worker.contents);
renameSync(made, place('dist/worker.js'));
