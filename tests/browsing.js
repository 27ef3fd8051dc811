/**
 * A headless Chromium for a program in another language: one request a line of standard input, one reply a line of output.
 *
 *   {id, tab, open: URL} | {id, tab, go: URL or ""} | {id, tab, evaluate: EXPRESSION} | {id, tab, call: METHOD, params}
 *   | {id, tab, close: true}, for {id, value, complaints} or {id, error}
 *
 * Ends with its input. Exit code 69: there is no Chromium.
 */
import { createInterface } from 'node:readline';
import { Chromium, findChromium } from '../clients/js/test/browser/chromium.js';

const command = findChromium();
if (!command) process.exit(69);
const browser = await Chromium.start(command);
const tabs = new Map();

async function done({ tab: name, open, go, evaluate, call, params, close }) {
  if (open !== undefined) {
    const tab = await browser.open('about:blank');
    tabs.set(name, tab);
    return tab.go(open);
  }
  const tab = tabs.get(name);
  if (go !== undefined) return tab.go(go || undefined);
  if (evaluate !== undefined) return tab.evaluate(evaluate);
  if (call !== undefined) return tab.call(call, params);
  return close && tab.close().then(() => undefined);
}

async function answer(line) {
  const { id, ...request } = JSON.parse(line);
  const reply = { id };
  try {
    reply.value = await done(request) ?? null;
  } catch (error) {
    reply.error = error.message;
  }
  reply.complaints = tabs.get(request.tab)?.complaints ?? [];
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

try {
  // What is still asked for then is not waited for: a page may never have it.
  for await (const line of createInterface({ input: process.stdin })) void answer(line);
} finally {
  await browser.close();
}
