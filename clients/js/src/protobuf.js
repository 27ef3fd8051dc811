/**
 * A small codec for protobuf (proto3). It writes each message in the one way that §6 states, and leaves out unknown
 * fields when it reads; `decodeStrictly` refuses them, and every other spelling of a message.
 *
 * A schema is a list of fields; a field is made by one of the functions below. What writes a value returns byte strings.
 */
import { equal, join } from './canonical.js';
import { DecodeError } from './rules.js';

// Far more than a message of few fields has that is read leniently; millions would take minutes.
const MOST_FIELDS = 2048;
const WIRE = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 };

function varint(value) {
  const out = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
  return Uint8Array.from(out);
}

function eightBytes(set, value) {
  const view = new DataView(new ArrayBuffer(8));
  view[set](0, value, true);
  return new Uint8Array(view.buffer);
}

class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  get done() {
    return this.at === this.data.length;
  }

  take(count) {
    if (count > this.data.length - this.at) throw new DecodeError('a field is cut short');
    this.at += count;
    return this.data.slice(this.at - count, this.at);
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const [byte] = this.take(1);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new DecodeError('a varint does not end');
  }

  lengthDelimited() {
    return this.take(Number(this.varint()));
  }

  view() {
    return new DataView(this.take(8).buffer);
  }

  skip(wire) {
    if (wire === WIRE.varint) this.varint();
    else if (wire === WIRE.fixed64) this.take(8);
    else if (wire === WIRE.lengthDelimited) this.lengthDelimited();
    else if (wire === WIRE.fixed32) this.take(4);
    else throw new DecodeError('an unknown wire type');
  }
}

function utf8(data) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new DecodeError('a string is not UTF-8');
  }
}

/** Byte strings one after the other, not joined yet, with their length before them. */
const withLength = (parts) => [varint(parts.reduce((length, part) => length + part.length, 0)), ...parts];
const zigzag = (value) => BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
const unzigzag = (value) => (value >> 1n) ^ -(value & 1n);

const TYPES = {
  bytes: {
    wire: WIRE.lengthDelimited, initial: () => new Uint8Array(0), isDefault: (v) => v.length === 0,
    write: (v) => withLength([v]), read: (reader) => reader.lengthDelimited(),
  },
  string: {
    wire: WIRE.lengthDelimited, initial: () => '', isDefault: (v) => v === '',
    write: (v) => withLength([new TextEncoder().encode(v)]), read: (reader) => utf8(reader.lengthDelimited()),
  },
  fixed64: {
    wire: WIRE.fixed64, packable: true, initial: () => 0n, isDefault: (v) => v === 0n,
    write: (v) => [eightBytes('setBigUint64', v)], read: (reader) => reader.view().getBigUint64(0, true),
  },
  double: {
    wire: WIRE.fixed64, packable: true, initial: () => 0, isDefault: (v) => Object.is(v, 0),
    write: (v) => [eightBytes('setFloat64', v)], read: (reader) => reader.view().getFloat64(0, true),
  },
  uint64: {
    wire: WIRE.varint, packable: true, initial: () => 0n, isDefault: (v) => v === 0n,
    write: (v) => [varint(v)], read: (reader) => reader.varint(),
  },
  sint64: {
    wire: WIRE.varint, packable: true, initial: () => 0n, isDefault: (v) => v === 0n,
    write: (v) => [varint(zigzag(v))], read: (reader) => unzigzag(reader.varint()),
  },
  uint32: {
    wire: WIRE.varint, packable: true, initial: () => 0, isDefault: (v) => v === 0,
    write: (v) => [varint(v)], read: (reader) => Number(BigInt.asUintN(32, reader.varint())),
  },
  bool: {
    wire: WIRE.varint, packable: true, initial: () => false, isDefault: (v) => v === false,
    write: (v) => [varint(v ? 1 : 0)], read: (reader) => reader.varint() !== 0n,
  },
};

function nested(schema) {
  return {
    schema,
    wire: WIRE.lengthDelimited,
    write: (value) => withLength(partsOf(schema, value)),
    read: (reader, strict) => decode(schema, reader.lengthDelimited(), strict),
  };
}

function field(number, name, type, rest) {
  return { number, name, type: typeof type === 'string' ? TYPES[type] : nested(type), ...rest };
}

/** A field without a label: a scalar with its default, or a message that may be absent. */
export const single = (number, name, type) => field(number, name, type, { optional: typeof type !== 'string' });

/** A field that is absent (undefined) or present. */
export const optional = (number, name, type) => field(number, name, type, { optional: true });

/** A repeated field; numbers are packed. */
export const repeated = (number, name, type) => field(number, name, type, { repeated: true });

/** A field of the message's one oneof. */
export const oneOf = (number, name, type) => field(number, name, type, { optional: true, oneOf: true });

function initialValue({ repeated, optional, type }) {
  if (repeated) return [];
  return optional ? undefined : type.initial();
}

function encodeField({ number, repeated, optional, type }, value) {
  const tag = (wire) => varint((number << 3) | wire);
  if (repeated && type.packable) {
    return value.length ? [tag(WIRE.lengthDelimited), ...withLength(value.flatMap(type.write))] : [];
  }
  if (repeated) return value.flatMap((item) => [tag(type.wire), ...type.write(item)]);
  if (value === undefined || (!optional && type.isDefault(value))) return [];
  return [tag(type.wire), ...type.write(value)];
}

/** A message as byte strings one after the other: a long field is copied once, when they are joined. */
const partsOf = (schema, value) =>
  schema.flatMap((each) => encodeField(each, value[each.name] ?? initialValue(each)));

/**
 * Serializes a message. Fields that the value lacks are absent.
 * @param {object[]} schema in ascending order of number
 * @param {object} value
 */
export const encode = (schema, value) => join(partsOf(schema, value));

function decode(schema, data, strict) {
  const value = Object.fromEntries(schema.map((each) => [each.name, initialValue(each)]));
  const reader = new Reader(data);
  for (let fields = 0; !reader.done; fields++) {
    if (!strict && fields === MOST_FIELDS) throw new DecodeError('too many fields');
    const tag = BigInt.asUintN(32, reader.varint());
    const wire = Number(tag & 7n);
    const known = schema.find(({ number }) => BigInt(number) === tag >> 3n);
    const packed = known?.repeated && known.type.packable && wire === WIRE.lengthDelimited;
    if (!known || (known.type.wire !== wire && !packed)) {
      if (strict) throw new DecodeError('an unknown field');
      reader.skip(wire);
    } else if (packed) {
      const items = new Reader(reader.lengthDelimited());
      while (!items.done) value[known.name].push(known.type.read(items, strict));
    } else if (known.repeated) {
      value[known.name].push(known.type.read(reader, strict));
    } else {
      if (known.oneOf) for (const other of schema) if (other.oneOf) value[other.name] = undefined;
      value[known.name] = known.type.read(reader, strict);
    }
  }
  return value;
}

/**
 * Parses a message as proto3 does, but for one of more than MOST_FIELDS fields.
 * @throws {DecodeError}
 */
export const decodeLeniently = (schema, data) => decode(schema, data, false);

/**
 * Parses a message, and refuses bytes that do not serialize back to the same bytes (R19).
 * @throws {DecodeError}
 */
export function decodeStrictly(schema, data) {
  const value = decode(schema, data, true);
  if (!equal(encode(schema, value), data)) throw new DecodeError('not the one encoding of its message');
  return value;
}
