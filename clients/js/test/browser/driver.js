/**
 * A browser for tests that are no Node: lines of JSON in, `{id, call, ...}`, and `{id, value}` or `{id, error}` out. Pages
 * are those of pages.js, and its arguments flags of Chromium. It ends with its standard input; without Chromium, with 69.
 */
import { createInterface } from 'node:readline';
import { Chromium, findChromium } from './chromium.js';
import { servePages } from './pages.js';

const command = findChromium();
if (!command) process.exit(69);
const pages = await servePages();
const browser = await Chromium.start(command, process.argv.slice(2));
const tabs = new Map();
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const CALLS = {
  context: () => browser.context(),
  async open({ script, server, context }) {
    const tab = await browser.open(pages.addressOf(script, server), context);
    tabs.set(tab.targetId, tab);
    return tab.targetId;
  },
  evaluate: ({ tab, expression }) => tabs.get(tab).evaluate(expression),
  reload: ({ tab }) => tabs.get(tab).go(),
  offline: ({ tab, is }) => tabs.get(tab).offline(is),
  complaints: ({ tab }) => tabs.get(tab).complaints,
  close: ({ tab }) => tabs.get(tab).close(),
  dispose: ({ context }) => browser.call('Target.disposeBrowserContext', { browserContextId: context }),
};

say({ origin: pages.origin });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, call, ...given } = JSON.parse(line);
  Promise.resolve(given).then(CALLS[call]).then((value) => say({ id, value }), ({ message }) => say({ id, error: message }));
}
await browser.close();
pages.close();
