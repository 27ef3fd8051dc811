/**
 * A static server of pages that load the package through an import map, under the policy of content of README.md.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const ROOT = new URL('../../../../', import.meta.url);
const SERVED = /^\/(clients\/js\/(index\.js|bench\/|dist\/|src\/|test\/browser\/|node_modules\/@noble\/)|protocol_specs\/js\/)[\w@/.-]*$/;
const PACKAGES = ['ciphers', 'curves', 'hashes', 'post-quantum'];

const IMPORTS = JSON.stringify({
  imports: {
    'secagg-client': '/clients/js/index.js',
    'secagg-client/conformance': '/clients/js/src/conformance/index.js',
    ...Object.fromEntries(PACKAGES.map((name) => [`@noble/${name}/`, `/clients/js/node_modules/@noble/${name}/`])),
  },
});
const HASH = createHash('sha256').update(IMPORTS).digest('base64');
const ADDRESS = /^https?:\/\/[a-z0-9.]+:\d+$/;

const [, ADVISED] = /^Content-Security-Policy: (.*)$/m.exec(readFileSync(new URL('clients/js/README.md', ROOT), 'utf8'));

/** Where a page may connect to is in its address: these pages are of tests alone. */
const policy = (server) => ADVISED.replace("'sha256-…'", `'sha256-${HASH}'`)
  .replace('https://sums.example.org', ADDRESS.test(server ?? '') ? server : "'none'");

const page = (script) => `<!doctype html><meta charset="utf-8"><title>secagg-client</title>
<script type="importmap">${IMPORTS}</script><script type="module" src="${script}"></script>`;

async function answer({ url }, response) {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const send = (status, type, content) =>
    response.writeHead(status, { 'Content-Type': type, 'Content-Security-Policy': policy(searchParams.get('server')) }).end(content);
  if (pathname === '/') return send(200, 'text/html', page(searchParams.get('script')));
  if (pathname === '/favicon.ico') return send(204, 'image/x-icon', '');
  if (!SERVED.test(pathname) || pathname.includes('..') || !pathname.endsWith('.js')) return send(404, 'text/plain', '');
  try {
    return send(200, 'text/javascript', await readFile(new URL(`.${pathname}`, ROOT)));
  } catch {
    return send(404, 'text/plain', '');
  }
}

/**
 * Serves pages on a port of this machine.
 * @returns {Promise<{origin: string, addressOf: (script: string, server?: string) => string, close: () => void}>} the page
 *   of a script, by its path from the root of the repository, which may connect to one server or none
 */
export async function servePages() {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    origin: `http://127.0.0.1:${port}`,
    addressOf: (script, server = '') => `http://127.0.0.1:${port}/?script=/${script}&server=${encodeURIComponent(server)}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
