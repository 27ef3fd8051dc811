/**
 * The testee of conformance.md in a real browser, on standard input and output: `node protocol_specs/js/browser.js`.
 *
 * The page loads the same modules as `testee.js`, through an import map and under a strict policy of content. Calls reach
 * it over the DevTools protocol. Exit code 69 when there is no Chromium.
 */
import { Chromium, findChromium } from '../../clients/js/test/browser/chromium.js';
import { servePages } from '../../clients/js/test/browser/pages.js';
import { framed, frames } from './frames.js';

const UNAVAILABLE = 69;

const command = findChromium();
if (!command) {
  process.stderr.write('there is no Chromium: install it, or name its command in the environment variable CHROMIUM\n');
  process.exit(UNAVAILABLE);
}
const pages = await servePages();
const browser = await Chromium.start(command);
try {
  const tab = await browser.open(pages.addressOf('protocol_specs/js/page.js'));
  for await (const call of frames(process.stdin)) {
    const reply = await tab.evaluate(`handle(${JSON.stringify(Buffer.from(call).toString('base64'))})`);
    if (tab.complaints.length) throw new Error(`the page complains: ${tab.complaints.join('; ')}`);
    process.stdout.write(framed(Buffer.from(reply, 'base64')));
  }
} finally {
  await browser.close();
  pages.close();
}
