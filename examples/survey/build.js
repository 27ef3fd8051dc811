/**
 * Makes survey.bundle.js, all code of the page in one file, and writes the digests of code and style into index.html.
 *
 *   npm ci --prefix clients/js && node examples/survey/build.js
 *
 * The same sources give the same bytes, on every machine.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = new URL('.', import.meta.url);
const { build } = createRequire(new URL('../../clients/js/package.json', import.meta.url))('esbuild');

/** Builds into a directory, given as a URL that ends with a slash. */
export async function make(directory) {
  await build({
    entryPoints: [fileURLToPath(new URL('survey.js', here))],
    outfile: fileURLToPath(new URL('survey.bundle.js', directory)),
    bundle: true,
    format: 'iife',
    target: 'es2022',
    loader: { '.json': 'text' },
    minify: true,
    legalComments: 'inline',
    charset: 'utf8',
    logLevel: 'warning',
  });
  const digest = (name, place) => `sha256-${createHash('sha256').update(readFileSync(new URL(name, place))).digest('base64')}`;
  const page = readFileSync(new URL('index.html', here), 'utf8')
    .replace(/(style\.css" integrity=")[^"]*/, `$1${digest('style.css', here)}`)
    .replace(/(bundle\.js" integrity=")[^"]*/, `$1${digest('survey.bundle.js', directory)}`);
  writeFileSync(new URL('index.html', directory), page);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await make(here);
