/**
 * The graph of a session (§2.5): who shares masks with whom, and at which points.
 */
import { ascending, canonical, compare } from './canonical.js';
import { edge } from './chosen.js';
import { sha256 } from './crypto.js';

/** The graph of a session. The parameters decide it, or in a chosen graph what clients drew. */
export class Topology {
  /**
   * @param {import('./parameters.js').Parameters} parameters
   * @param {Map<bigint, bigint[]>} [drawn] the holders of each client that drew, in a chosen graph
   * @param {Set<string>} [cut] edges of it that were taken away
   */
  constructor(parameters, drawn = new Map(), cut = new Set()) {
    this.parameters = parameters;
    if (parameters.chosen) this.#chooseFrom(parameters, drawn, cut);
    else if (!parameters.complete) this.#makeRing(parameters);
  }

  #chooseFrom({ cohort }, drawn, cut) {
    this.drawn = drawn;
    this.held = new Map(cohort.map((id) => [id, (drawn.get(id) ?? []).filter((holder) => !cut.has(edge(id, holder)))]));
    this.owned = new Map(cohort.map((id) => [id, []]));
    for (const [owner, holders] of this.held) {
      for (const holder of holders) this.owned.get(holder).push(owner);
    }
  }

  /** The clients that are to hold shares of a client's secrets, in ascending order of id. */
  holders(client) {
    return this.parameters.chosen ? this.held.get(client) : this.neighbours(client);
  }

  /** The clients of whose secrets a client is to hold shares, in ascending order of id. */
  owners(client) {
    return this.parameters.chosen ? this.owned.get(client) : this.neighbours(client);
  }

  /** The share point of each holder of a client. */
  pointsOf(owner) {
    return sharePoints(this.parameters.chosen ? this.drawn.get(owner) : this.neighbours(owner));
  }

  #makeRing({ cohort, permutationSeed }) {
    const places = cohort.map((id) => [place(permutationSeed, id), id]);
    places.sort(([a, u], [b, v]) => compare(a, b) || (u < v ? -1 : 1));
    this.ring = places.map(([, id]) => id);
    this.position = new Map(this.ring.map((id, position) => [id, position]));
  }

  /**
   * The neighbours of a client of the cohort, in ascending order of id.
   * @param {bigint} client
   * @returns {bigint[]}
   */
  neighbours(client) {
    const { cohort, complete, chosen, degree, n } = this.parameters;
    if (chosen) return ascending(new Set([...this.held.get(client), ...this.owned.get(client)]));
    if (complete) return cohort.filter((id) => id !== client);
    const p = this.position.get(client);
    const k = Number(degree);
    const found = [];
    for (let i = 1; i <= Math.floor(k / 2); i++) found.push(this.ring[(p + i) % n], this.ring[(p - i + n) % n]);
    if (k % 2) found.push(this.ring[(p + n / 2) % n]);
    return ascending(found);
  }

  /**
   * The connected parts of the graph of these clients.
   * @param {Iterable<bigint>} members
   * @returns {bigint[][]}
   */
  parts(members) {
    const found = [];
    const rest = new Set(members);
    for (const first of rest) {
      const part = [first];
      rest.delete(first);
      for (const client of part) {
        for (const peer of this.neighbours(client)) if (rest.delete(peer)) part.push(peer);
      }
      found.push(part);
    }
    return found;
  }
}

/** The place of a client on the ring (§2.5). */
export const place = (permutationSeed, client) =>
  sha256(canonical('secagg/v1 topology permutation', permutationSeed, client));

/** The share point of each holder: its place in the list of all, counted from 1 (§2.5). */
export const sharePoints = (holders) => new Map(holders.map((id, i) => [id, i + 1]));
