/**
 * What the page needs of a browser.
 */
const NEEDS = [
  [() => globalThis.isSecureContext, 'This page came over an address that others can read and change (http). Open it over https:, or on the machine that serves it: browsers give no cryptography to such pages.'],
  [() => globalThis.crypto?.subtle, 'This browser has no WebCrypto, with which answers are masked. Take a current Firefox, Chrome, Edge or Safari.'],
  [() => globalThis.indexedDB && globalThis.navigator.locks && globalThis.localStorage, 'This browser keeps nothing for this page, so that it could not remember what it has answered. Leave the private window, allow site data, or take a current Firefox, Chrome, Edge or Safari.'],
  [() => globalThis.BigInt64Array && globalThis.AbortSignal?.timeout, 'This browser is too old for this page. Take a current Firefox, Chrome, Edge or Safari.'],
];

/** Whether something is there: what a browser was told to block may throw. */
function isThere(has) {
  try {
    return has();
  } catch {
    return false;
  }
}

/** What is lacking, in a sentence; '' where nothing is. */
export const lacking = () => NEEDS.find(([has]) => !isThere(has))?.[1] ?? '';
