/**
 * A headless Chromium, driven by the DevTools protocol over two pipes: no port, and no package.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The command of a Chromium: that of the environment variable CHROMIUM, or one that is installed; undefined if none is. */
export function findChromium() {
  const candidates = process.env.CHROMIUM ? [process.env.CHROMIUM] : NAMES;
  return candidates.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** A browser that runs; `close` ends it. */
export class Chromium {
  #last = 0;
  #waiting = new Map();
  #listeners = new Set();
  #pending = '';
  #gone;

  /** Use Chromium.start. */
  constructor(command, flags = []) {
    this.profile = mkdtempSync(join(tmpdir(), 'secagg-chromium-'));
    // Its sandbox needs what containers, and root, do not have; the pages are our own.
    this.process = spawn(command, [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-background-networking', '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
      '--remote-debugging-pipe', `--user-data-dir=${this.profile}`, ...flags, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true });
    [, , , this.input, this.output] = this.process.stdio;
    this.output.setEncoding('utf8').on('data', (text) => this.#read(text));
    this.input.on('error', () => {}); // The browser has ended: `exit` says so.
    this.ended = new Promise((resolve) => this.process.once('exit', (code) => {
      this.#gone = new Error(`Chromium ended with ${code}`);
      for (const { reject } of this.#waiting.values()) reject(this.#gone);
      this.#waiting.clear();
      resolve();
    }));
  }

  static async start(command, flags) {
    const browser = new Chromium(command, flags);
    await browser.call('Browser.getVersion');
    return browser;
  }

  #read(text) {
    const messages = (this.#pending + text).split('\0');
    this.#pending = messages.pop();
    for (const message of messages.map((each) => JSON.parse(each))) {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(`DevTools: ${message.error.message}`));
      else if (waiting) waiting.resolve(message.result);
      else for (const listener of this.#listeners) listener(message);
    }
  }

  /** Calls a method of the DevTools protocol, of the browser or of the page of a session. */
  call(method, params = {}, sessionId = undefined) {
    if (this.#gone) return Promise.reject(this.#gone);
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** A context, which shares no storage with others; `Target.disposeBrowserContext` ends it with its tabs. */
  async context() {
    return (await this.call('Target.createBrowserContext')).browserContextId;
  }

  /** Opens a page, in a tab of this browser or of a context of its own. */
  async open(url, browserContextId = undefined) {
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(this, targetId, sessionId);
    this.#listeners.add((message) => tab.hear(message));
    await tab.call('Page.enable');
    await tab.call('Page.setLifecycleEventsEnabled', { enabled: true });
    await tab.call('Runtime.enable');
    await tab.call('Log.enable');
    await tab.go(url);
    return tab;
  }

  async close() {
    // Its own processes too, which would go on writing into the profile; those that are about to die may do so once more.
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
    await this.ended;
    await rm(this.profile, { recursive: true, force: true, maxRetries: 100 });
  }
}

/** One tab: `complaints` has what the page logged as an error, was denied, or threw. */
class Tab {
  complaints = [];
  #loads = new Set();
  #loaded = () => {};

  constructor(browser, targetId, sessionId) {
    Object.assign(this, { browser, targetId, sessionId });
  }

  call(method, params) {
    return this.browser.call(method, params, this.sessionId);
  }

  hear({ sessionId, method, params }) {
    if (sessionId !== this.sessionId) return;
    if (method === 'Page.lifecycleEvent' && params.name === 'load') {
      this.#loads.add(params.loaderId);
      this.#loaded();
    }
    if (method === 'Log.entryAdded' && params.entry.level === 'error') this.complaints.push(params.entry.text);
    if (method === 'Runtime.exceptionThrown') {
      const { exception, text } = params.exceptionDetails;
      this.complaints.push(exception?.description ?? text);
    }
  }

  /** Goes to a page, or loads the present one again; waits until its modules have run. */
  async go(url = undefined) {
    // By the loader: the page before, the first one of a tab included, may say that it is loaded after this one is called.
    const before = this.#loads.size;
    const { loaderId, errorText } = await (url ? this.call('Page.navigate', { url }) : this.call('Page.reload'));
    if (errorText || (url && !loaderId)) return;
    const isThere = () => (loaderId ? this.#loads.has(loaderId) : this.#loads.size > before);
    while (!isThere()) {
      const next = new Promise((resolve) => { this.#loaded = resolve; });
      if (await Promise.race([next, this.browser.ended.then(() => 'ended')]) === 'ended') return;
    }
  }

  /**
   * The value of an expression in the page, or of the promise that it is.
   * @throws {Error} what it threw
   */
  async evaluate(expression) {
    const { result, exceptionDetails: failed } =
      await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (failed) throw new Error(failed.exception?.description ?? failed.text);
    return result.value;
  }

  /** Takes the network from the page, or gives it back. */
  async offline(is) {
    await this.call('Network.enable');
    await this.call('Network.emulateNetworkConditions', { offline: is, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  }

  close() {
    return this.browser.call('Target.closeTarget', { targetId: this.targetId });
  }
}
