/** The testee of conformance.md in a page: calls and replies as base64, for who drives the browser. */
import { Testee } from 'secagg-client/conformance';

const testee = new Testee();
const unpack = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function pack(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

globalThis.handle = async (call) => pack(await testee.handle(unpack(call)));
