/**
 * Looks at a page with a headless Chromium, at each width in light and dark, and says what is wrong with it.
 *
 *   node tests/look.js URL [--wait SELECTOR] [--do SCRIPT] [--out PREFIX] [--widths 390,1280] [--schemes light,dark]
 *
 * --wait names what is there once the page is ready; --do is run in the page then, may be repeated, and is waited for.
 * --do "press: Tab Tab Enter" presses these keys, and gives the text, or the name, of what has the focus then.
 * --out writes PREFIX-WIDTH-SCHEME.png. Prints {values, complaints}: what each --do is, and sentences about errors and
 * breaches of the policy of content, what is wider than the page, text whose contrast is below 4.5, and controls and
 * images without a name. Exit code 69: there is no Chromium.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { Chromium, findChromium } from '../clients/js/test/browser/chromium.js';

const LEAST_CONTRAST = 4.5;
const NAMED = new Set(['button', 'link', 'textbox', 'searchbox', 'combobox', 'listbox', 'checkbox', 'radio', 'slider',
  'spinbutton', 'switch', 'tab', 'menuitem', 'image', 'img', 'progressbar', 'table', 'dialog', 'Date', 'ColorWell']);
// A guard against hangs: a page that is never ready is told apart from one that is slow by nothing else.
const READY_MS = 300_000;

/** In the page: returns once the selector finds something, and all fonts and styles are there. */
async function ready(selector, milliseconds) {
  await document.fonts.ready;
  if (document.querySelector(selector)) return true;
  return new Promise((resolve) => {
    const watch = new MutationObserver(() => document.querySelector(selector) && resolve(true));
    watch.observe(document, { subtree: true, childList: true, attributes: true });
    setTimeout(() => resolve(document.querySelector(selector) !== null), milliseconds);
  });
}

/** In the page: what is wider than it, and text that is hard to read. */
function faults(least) {
  const root = document.documentElement;
  const name = (element) => `<${element.localName}${element.id && ` id=${element.id}`}${element.className && ` class=${element.className}`}>`;
  const found = [];
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > root.clientWidth + 0.5);
    found.push(`the page is ${root.scrollWidth} wide, above ${root.clientWidth}: ${wide.slice(-3).map(name).join(', ')}`);
  }
  const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((each, i) => each * a + under[i] * (1 - a));
  const canvas = getComputedStyle(root).colorScheme.includes('dark') && matchMedia('(prefers-color-scheme: dark)').matches
    ? [18, 18, 18] : [255, 255, 255];
  const behind = (element) => {
    if (!element) return canvas;
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((each) => each / 255).map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || seen.has(element) || element.closest(':disabled')) continue;
    seen.add(element);
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const under = behind(element);
    const measured = contrast(over(rgba(getComputedStyle(element).color), under), under);
    if (measured < least) found.push(`contrast ${measured.toFixed(2)} is below ${least}: ${name(element)} ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  return found;
}

async function unnamed(tab) {
  const { nodes } = await tab.call('Accessibility.getFullAXTree');
  return nodes
    .filter((node) => !node.ignored && NAMED.has(node.role?.value) && !node.name?.value?.trim())
    .map((node) => `a ${node.role.value} has no name`);
}

const KEYS = {
  Tab: { windowsVirtualKeyCode: 9 },
  Enter: { windowsVirtualKeyCode: 13, text: '\r' },
  Space: { windowsVirtualKeyCode: 32, text: ' ', key: ' ' },
  ArrowDown: { windowsVirtualKeyCode: 40 },
  Escape: { windowsVirtualKeyCode: 27 },
};

async function press(tab, names) {
  for (const name of names) {
    const key = { key: name, code: name, ...KEYS[name] };
    await tab.call('Input.dispatchKeyEvent', { type: 'keyDown', ...key });
    await tab.call('Input.dispatchKeyEvent', { type: 'keyUp', ...key, text: undefined });
  }
  return tab.evaluate('(document.activeElement.innerText || document.activeElement.name || document.activeElement.localName).trim()');
}

const { values: options, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    wait: { type: 'string', default: 'body' },
    do: { type: 'string', multiple: true, default: [] },
    out: { type: 'string' },
    widths: { type: 'string', default: '390,1280' },
    schemes: { type: 'string', default: 'light,dark' },
  },
});
const command = findChromium();
if (!command) process.exit(69);
const browser = await Chromium.start(command);
try {
  const tab = await browser.open(url);
  await tab.call('Emulation.setScrollbarsHidden', { hidden: true });
  const complaints = [];
  const run = (script, ...given) => tab.evaluate(`(${script})(${given.map((each) => JSON.stringify(each)).join()})`);
  if (!await run(ready, options.wait, READY_MS)) complaints.push(`${options.wait} did not appear`);
  const values = [];
  for (const script of options.do) {
    const [, keys] = /^press: (.+)$/.exec(script) ?? [];
    values.push(await (keys ? press(tab, keys.split(' ')) : tab.evaluate(script)));
  }
  for (const width of options.widths.split(',').map(Number)) {
    await tab.call('Emulation.setDeviceMetricsOverride', { width, height: 800, deviceScaleFactor: 1, mobile: false });
    for (const scheme of options.schemes.split(',')) {
      await tab.call('Emulation.setEmulatedMedia', {
        features: [{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }],
      });
      await tab.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))');
      const wrong = [...await run(faults, LEAST_CONTRAST), ...await unnamed(tab)];
      complaints.push(...wrong.map((each) => `${width} ${scheme}: ${each}`));
      if (options.out) {
        const { data } = await tab.call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
        await writeFile(`${options.out}-${width}-${scheme}.png`, Buffer.from(data, 'base64'));
      }
    }
  }
  complaints.push(...tab.complaints);
  process.stdout.write(`${JSON.stringify({ values, complaints })}\n`);
} finally {
  await browser.close();
}
