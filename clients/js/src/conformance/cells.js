/**
 * Cells (robust-v1.md §2 to §4): who shares one, what its session is bound to, and what a client takes part in.
 */
import * as c from '../canonical.js';
import { sha256 } from '../crypto.js';
import { encode } from '../parameters.js';
import { require } from '../rules.js';

const LIMIT = 1n << 64n;
const SEED_BYTES = 32;
const NAME = 'secagg/robust/v1';

/** The vector of alarms (§5). */
export const ALARMS = 'alarms';

const hashOf = (purpose, ...values) => sha256(c.canonical(`${NAME} ${purpose}`, ...values));
const isInteger64 = (value) => value >= 0n && value < LIMIT;

/** The cells of an epoch, made of ids in any order. */
export class Partition {
  /** @param {{clients: bigint[], size: number, seed: Uint8Array, epoch: bigint}} given */
  constructor({ clients, size, seed, epoch }) {
    const n = clients.length;
    require(n >= 2 && n < 2 ** 29 && new Set(clients).size === n && clients.every(isInteger64), 'K01');
    require(size >= 2 && size <= n && seed.length === SEED_BYTES && isInteger64(epoch), 'K01');
    const places = clients.map((id) => [hashOf('place', seed, epoch, id), id]);
    places.sort(([a, u], [b, v]) => c.compare(a, b) || (u < v ? -1 : 1));
    const count = Math.floor(n / size);
    this.cells = [];
    for (let start = 0; this.cells.length < count;) {
      const end = start + Math.floor(n / count) + (this.cells.length < n % count ? 1 : 0);
      this.cells.push(c.ascending(places.slice(start, end).map(([, id]) => id)));
      start = end;
    }
    const encoded = c.list(this.cells.map((cell) => c.bytes(c.idBytes(cell))));
    this.digest = sha256(c.concat(c.canonical(`${NAME} partition`, seed, epoch), encoded));
  }

  /** The number of a client's cell; K10 for a client in none. */
  cellOf(client) {
    const number = this.cells.findIndex((cell) => cell.includes(client));
    require(number >= 0, 'K10');
    return number;
  }
}

/** The context of the session of a cell; `plan` is a digest or empty (§3). */
export function roundContext(partition, { model, number, cell, plan }) {
  return c.concat(plan, hashOf('round', model, number, partition.digest, cell));
}

/** A client of a partition, with a Map of what it remembers (§4). */
export class Guard {
  constructor(partition, client, given = {}) {
    const { floor = 5, threatModel = '', regroupings = 0, otherSums = 0, ledger = new Map() } = given;
    Object.assign(this, { partition, client, threatModel, regroupings, otherSums, ledger });
    this.cell = partition.cellOf(client);
    this.members = partition.cells[this.cell];
    require(this.members.length >= floor, 'K10');
  }

  /** The only context that is admitted in a round. */
  contextOf(round) {
    return roundContext(this.partition, { ...round, cell: this.cell });
  }

  /** Judge the parameters of an offer. */
  check(parameters, round) {
    const { cohort, complete, context, minimumContributors, threatModel, threshold, vectors } = parameters;
    const m = this.members.length;
    require(cohort.length === m && cohort.every((id, i) => id === this.members[i]), 'K11');
    require(Number(minimumContributors) === m && complete && Number(threshold) === m - 1, 'K11');
    require(c.equal(context, this.contextOf(round)), 'K11');
    require(!this.threatModel || this.threatModel === threatModel, 'K11');
    require(!round.plan.length || vectors.every(({ name }) => name !== ALARMS), 'K39');
  }

  /** Record partition, sum and round of an offer that was judged. */
  record(parameters, { model, number, plan, kind = '' }) {
    const { digest } = this.partition;
    require(takesSlot(this, digest), 'K12');
    const summed = butForNonce({ ...parameters, context: new Uint8Array() });
    const slotOf = (j) => hashOf('sum slot', digest, kind, j);
    require(plan.length || takesOneOf(this, this.otherSums, slotOf, 'sum', summed), 'K16');
    require(claim(this, hashOf('once', model, number), 'cell', butForNonce(parameters)), 'K13');
  }
}

/** What a session has in common with another try of it, as a hash. */
function butForNonce(parameters) {
  return sha256(encode({ ...parameters, nonce: new Uint8Array(32) }));
}

/** Record that a client is in a session of no cell. */
export function recordWholeCohort(who) {
  require(takesSlot(who, hashOf('whole cohorts')), 'K15');
}

/** Whether a partition has one of a client's slots, or could take one. */
function takesSlot(who, digest) {
  return takesOneOf(who, who.regroupings, (j) => hashOf('partition slot', j), 'partition', digest);
}

/** Whether one of the slots 0 … others holds this hash, or is free and takes it. */
function takesOneOf(who, others, slotOf, phase, digest) {
  return Array.from({ length: others + 1 }, (_, j) => slotOf(j)).some((slot) => claim(who, slot, phase, digest));
}

function claim({ ledger, client }, session, phase, digest) {
  const key = `${c.hex(session)} ${client} ${phase}`;
  if (!ledger.has(key)) ledger.set(key, { session, client, phase, hash: digest });
  return c.equal(ledger.get(key).hash, digest);
}
