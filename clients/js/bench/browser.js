/**
 * One whole client in a headless Chromium, for `secagg bench run browser`: prints one JSON object. Linux only (/proc).
 *
 *   node bench/browser.js --clients 20 --length 1000000 --repeats 5
 *
 * `cpu_ms`: CPU time of all processes of the browser while a page plays sessions one after the other, for each session;
 * some were played before, and the first of these is `first_ms`. `delay_ms`: the longest that a pressed key waited for its
 * event in a page whose worker played whole sessions, over a ledger in IndexedDB. Exit code 69: there is no Chromium.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hex, unhex } from '../src/canonical.js';
import { Chromium, findChromium } from '../test/browser/chromium.js';
import { servePages } from '../test/browser/pages.js';
import { lead, serve } from './client.js';

const UNAVAILABLE = 69;
const TICK = 10; // milliseconds, of the system's clock of processes
const WARM_UP = 9;
const BATCH = 10;

/** What /proc says of each process: its parent, and its CPU time in ticks. */
function processes() {
  const found = new Map();
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').at(-1).split(' ');
      found.set(Number(id), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes(error.code)) throw error; // It has ended.
    }
  }
  return found;
}

/** CPU time of a process and all under it, in milliseconds. */
function cpuTime(root) {
  const all = processes();
  const isUnder = (id) => id === root || (all.has(id) && isUnder(all.get(id).parent));
  return [...all].reduce((sum, [id, { ticks }]) => sum + (isUnder(id) ? TICK * ticks : 0), 0);
}

async function measureCpu(browser, pages, { clients, length, repeats }) {
  const tab = await browser.open(pages.addressOf('clients/js/bench/client.js'));
  await tab.evaluate(`prepare(${clients}, ${length})`);
  const spend = async (sessions) => {
    const before = cpuTime(browser.process.pid);
    const steps = await tab.evaluate(`run(${sessions})`);
    return [(cpuTime(browser.process.pid) - before) / sessions, steps];
  };
  const [first] = await spend(1);
  await spend(WARM_UP);
  const found = [];
  for (let i = 0; i < repeats; i++) found.push(await spend(BATCH));
  await tab.close();
  return { first_ms: first, cpu_ms: found.map(([each]) => each), wall_ms: found.at(-1)[1] };
}

/** Presses a key again and again; returns what ends that. */
function press(tab) {
  let isGoing = true;
  const key = { key: 'a', code: 'KeyA', windowsVirtualKeyCode: 65 };
  const pressing = (async () => {
    while (isGoing) for (const type of ['rawKeyDown', 'keyUp']) await tab.call('Input.dispatchKeyEvent', { type, ...key });
  })();
  return () => {
    isGoing = false;
    return pressing;
  };
}

async function measureDelay(browser, pages, { clients, length, repeats }) {
  const tab = await browser.open(pages.addressOf('clients/js/bench/page.js'));
  await tab.call('Page.bringToFront');
  await tab.evaluate(`makeUp(${length})`);
  let keys = 0;
  let longest = 0;
  let longTasks = 0;
  for (let i = 0; i < repeats; i++) {
    const server = serve(clients, length, 2 + i);
    const call = (name, ...given) => tab.evaluate(`${name}(${given.map((each) => `'${hex(each)}'`).join()})`);
    await tab.evaluate(`join('${hex(server.offer)}', 1n)`);
    const requests = await lead(server, async (message) => unhex(await call('answer', message)));
    const before = await tab.evaluate('waited()');
    const release = press(tab);
    await call('finish', ...requests.slice(2));
    await release();
    const after = await tab.evaluate('waited()');
    keys += after.delays.length;
    longest = Math.max(longest, ...after.delays);
    longTasks += after.longTasks - before.longTasks;
  }
  await tab.close();
  return { delay_ms: longest, keys, long_tasks: longTasks };
}

const { values } = parseArgs({ options: Object.fromEntries(['clients', 'length', 'repeats'].map((n) => [n, { type: 'string' }])) });
const sizes = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
const command = findChromium();
if (!command) {
  process.stderr.write('there is no Chromium: install it, or name its command in the environment variable CHROMIUM\n');
  process.exit(UNAVAILABLE);
}
execFileSync('npm', ['run', 'build', '--silent'], { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: 'ignore' });
const pages = await servePages();
const browser = await Chromium.start(command);
try {
  const { product } = await browser.call('Browser.getVersion');
  const found = { ...await measureCpu(browser, pages, sizes), ...await measureDelay(browser, pages, sizes) };
  process.stdout.write(`${JSON.stringify({ browser: product, ...sizes, ...found })}\n`);
} finally {
  await browser.close();
  pages.close();
}
