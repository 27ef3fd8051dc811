/**
 * The graph of a session (§2.5): who shares masks with whom, and at which points.
 */
import { ascending, canonical } from './canonical.js';
import { sha256 } from './crypto.js';

/** The graph of the parameters. Only the parameters decide it. */
export class Topology {
  /** @param {import('./parameters.js').Parameters} parameters */
  constructor(parameters) {
    this.parameters = parameters;
    if (!parameters.complete) this.#makeRing(parameters);
  }

  #makeRing({ cohort, permutationSeed }) {
    const places = cohort.map((id) => [place(permutationSeed, id), id]);
    places.sort(([a, u], [b, v]) => Buffer.compare(a, b) || (u < v ? -1 : 1));
    this.ring = places.map(([, id]) => id);
    this.position = new Map(this.ring.map((id, position) => [id, position]));
  }

  /**
   * The neighbours of a client of the cohort, in ascending order of id.
   * @param {bigint} client
   * @returns {bigint[]}
   */
  neighbours(client) {
    const { cohort, complete, degree, n } = this.parameters;
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

/** The share point of each neighbour: its place in the list of all, counted from 1 (§2.5). */
export const sharePoints = (neighbours) => new Map(neighbours.map((id, i) => [id, i + 1]));
