/**
 * Rosters that an authority has signed: JSON for people and tools, of which the signature covers the values. It does not
 * know where a roster comes from.
 */
import { bytes, canonical, concat, hex, integer, list, unhex } from './canonical.js';
import { verify } from './crypto.js';
import { LocalError } from './rules.js';

const LABEL = 'secagg/v1 roster';
const FIELDS = ['authority', 'clients', 'expires', 'format', 'issued', 'serial', 'signature', 'version'];
const VERSION = 1n;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const LONGEST = 1 << 26;
const SKEW_SECONDS = 300;
const LARGEST = 1n << 64n;

const fail = (why) => {
  throw new LocalError(`this is no roster: ${why}; get it again from the authority`);
};

/** Whole numbers, which JSON.parse would round, become texts. */
const withExactNumbers = (text) => text.replace(/("(?:id|serial|version)"\s*:\s*)(\d+)/g, '$1"$2"');

function parsed(content) {
  let fields;
  try {
    const text = typeof content === 'string' ? content : new TextDecoder('utf-8', { fatal: true }).decode(content);
    fields = JSON.parse(withExactNumbers(text));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return fail('it is not JSON in UTF-8');
  }
  if (fields?.format !== 'secagg roster') fail('its format is another one');
  if (Object.keys(fields).sort().join() !== FIELDS.join()) fail('it lacks fields, or has some that it may not have');
  return fields;
}

function number(fields, name) {
  const text = fields[name];
  if (typeof text !== 'string' || !/^(0|[1-9]\d{0,19})$/.test(text) || BigInt(text) >= LARGEST) fail(`its ${name} is no whole number`);
  return BigInt(text);
}

function byteString(fields, name, length) {
  const text = fields[name];
  if (typeof text !== 'string' || text.length !== 2 * length || !/^[0-9a-f]*$/.test(text)) fail(`its ${name} is not ${length} bytes`);
  return unhex(text);
}

function seconds(fields, name) {
  const time = TIME.test(fields[name]) ? Date.parse(fields[name]) : NaN;
  if (!(time >= 0)) fail(`its ${name} is no time`);
  return time / 1000;
}

function clientsIn({ clients }) {
  if (!Array.isArray(clients)) fail('its clients are no list');
  const entries = clients.map((entry) => {
    if (Object.keys(entry ?? {}).sort().join() !== 'id,key') fail('it lists what is not one id and one key');
    return [number(entry, 'id'), byteString(entry, 'key', 32)];
  });
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const found = new Map(entries);
  if (found.size !== entries.length) fail('a client stands in it twice');
  if (new Set(entries.map(([, key]) => hex(key))).size !== entries.length) fail('two clients have one key in it');
  return found;
}

/**
 * The keys of a roster that the authority signed, and that is valid now.
 * @param {Uint8Array|string} content of the file of `secagg enroll`
 * @param {Uint8Array} authority its 32-byte public key, from elsewhere than the roster
 * @param {Date} [at] now unless given
 * @returns {Map<bigint, Uint8Array>} by client id
 * @throws {LocalError} another authority's, changed, expired or no roster
 */
export function verifyRoster(content, authority, at = new Date()) {
  if (!(authority instanceof Uint8Array && authority.length === 32)) {
    throw new LocalError("an authority's key is a Uint8Array of 32 bytes");
  }
  if (content.length > LONGEST) fail(`it is longer than ${LONGEST} bytes`);
  const fields = parsed(content);
  if (number(fields, 'version') !== VERSION) throw new LocalError(`the roster has version ${fields.version}; this release reads 1`);
  if (hex(byteString(fields, 'authority', 32)) !== hex(authority)) {
    throw new LocalError('the roster is signed by another authority than the one to trust; get the roster of this deployment');
  }
  const [serial, issued, expires] = [number(fields, 'serial'), seconds(fields, 'issued'), seconds(fields, 'expires')];
  const clients = clientsIn(fields);
  const entries = [...clients].map(([client, key]) => list([integer(client), bytes(key)]));
  const signed = concat(canonical(LABEL, VERSION, authority, serial, issued, expires), list(entries));
  if (!verify(authority, byteString(fields, 'signature', 64), signed)) {
    throw new LocalError("the roster's signature does not fit its content: it was changed; get it again from the authority");
  }
  const now = at.getTime() / 1000;
  if (!(issued - SKEW_SECONDS <= now && now < expires)) {
    throw new LocalError(`the roster is valid from ${fields.issued} to ${fields.expires}, and it is ${at.toISOString()} here; `
      + 'have the authority sign it again, or set this clock');
  }
  return clients;
}
