/**
 * Byte strings, and the canonical encoding of §2.2: what is hashed, signed, or mixed into a key.
 */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { DecodeError } from './rules.js';

const TAG = { integer: 1, bytes: 2, text: 3, list: 4 };
const LIMIT = 1n << 64n;

/** A list of byte strings, which may be long, as one (§1). */
export function join(parts) {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** a ‖ b ‖ … (§1) */
export const concat = (...parts) => join(parts);

/** Whether two byte strings are the same. */
export function equal(a, b) {
  return a.length === b.length && compare(a, b) === 0;
}

/** Below, at, or above 0, as the first byte string sorts before the second, with it, or after it. */
export function compare(a, b) {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** The hexadecimal form of a byte string. */
export const hex = (bytes) => bytesToHex(bytes);

/** The byte string that a hexadecimal text stands for. */
export const unhex = (text) => hexToBytes(text);

/** An unsigned 64-bit integer as 8 big-endian bytes. */
export function uint64(value) {
  const out = new Uint8Array(8);
  if (value < 0n || value >= LIMIT) throw new RangeError(`${value} is no unsigned 64-bit integer`);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/** Client ids, 8 big-endian bytes each, without tags (§2.2, §3.5). */
export const idBytes = (ids) => join(ids.map(uint64));

/** Ids, or anything else that < orders, in ascending order. */
export const ascending = (ids) => [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

/** Whether ids ascend without repeats (§1). */
export const isAscending = (ids) => ids.every((id, i) => i === 0 || ids[i - 1] < id);

function tagged(tag, length, content) {
  const head = new Uint8Array(5);
  head[0] = tag;
  new DataView(head.buffer).setUint32(1, length);
  return concat(head, content);
}

/** A value of kind integer (§2.2). */
export const integer = (value) => concat(Uint8Array.of(TAG.integer), uint64(BigInt(value)));

/** A value of kind bytes (§2.2). */
export const bytes = (value) => tagged(TAG.bytes, value.length, value);

/** A value of kind text (§2.2). */
export function text(value) {
  const form = new TextEncoder().encode(value);
  return tagged(TAG.text, form.length, form);
}

/** The head of a list of this many items or records (§2.2). */
export const listHead = (count) => tagged(TAG.list, count, new Uint8Array(0));

/** A value of kind list; the items are encoded already (§2.2). */
export const list = (items) => join([listHead(items.length), ...items]);

/**
 * canonical(label, v1, v2, …) of §2.2.
 * @param {string} label
 * @param {...(bigint|number|string|Uint8Array)} values numbers become integers, strings texts, byte strings bytes
 */
export function canonical(label, ...values) {
  const encode = (value) => {
    if (typeof value === 'string') return text(value);
    return value instanceof Uint8Array ? bytes(value) : integer(value);
  };
  return concat(bytes(new TextEncoder().encode(label)), ...values.map(encode));
}

/** Reads canonical values one after the other, and refuses what §2.2 says a decoder must refuse. */
export class CanonicalReader {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.view = new DataView(data.buffer, data.byteOffset, data.length);
    this.at = 0;
  }

  #take(count) {
    const start = this.at;
    if (count > this.view.byteLength - start) throw new DecodeError('a value is cut short');
    this.at += count;
    return start;
  }

  #tag(tag) {
    if (this.view.getUint8(this.#take(1)) !== tag) throw new DecodeError('another tag is expected');
  }

  #length(tag, longest) {
    this.#tag(tag);
    const length = this.view.getUint32(this.#take(4));
    if (length > longest) throw new DecodeError('a length is beyond its bound');
    return length;
  }

  #content(length) {
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.#take(length), length).slice();
  }

  /** @returns {bigint} */
  integer() {
    this.#tag(TAG.integer);
    return this.view.getBigUint64(this.#take(8));
  }

  /** @returns {Uint8Array} */
  bytes(longest) {
    return this.#content(this.#length(TAG.bytes, longest));
  }

  /** @returns {string} */
  text(longest) {
    const form = this.#content(this.#length(TAG.text, longest));
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(form);
    } catch {
      throw new DecodeError('a text is not UTF-8');
    }
  }

  /** @returns {number} the number of items or records that follow */
  listHead(longest) {
    return this.#length(TAG.list, longest);
  }

  /** Refuses bytes after the last value. */
  end() {
    if (this.at !== this.view.byteLength) throw new DecodeError('bytes follow the last value');
  }
}
