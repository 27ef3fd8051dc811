/**
 * Links that invite one client (Specification §3.2): it draws a key of its own, claims its place with it, and waits for the
 * roster that the authority of the link has signed. The service can keep it waiting, and can make up no roster.
 */
import { CanonicalReader, canonical, equal, hex } from './canonical.js';
import { sha256, sign, verificationKey } from './crypto.js';
import { CALL_SECONDS, Connection } from './http/connection.js';
import { Endpoint } from './http/endpoint.js';
import { ServiceError } from './http/errors.js';
import { Retries, pause } from './http/retries.js';
import { keptIdentityKey } from './identities.js';
import { verifyRoster } from './roster.js';
import { DecodeError, LocalError } from './rules.js';

const MARK = '#secagg=';
const LINK = 'secagg/v1 link of an invitation';
const CLAIM = 'secagg/v1 claim to an invitation';
const LONGEST_WORD = 4096;
const LONGEST_TEXT = 255;
const LONGEST_LABEL = 64;
const CHECKSUM = 4;
const POLL_SECONDS = 5;
const SESSION_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(~[1-9][0-9]?)?$/;
// An address that a page shows hides nothing, and is the one that other clients read in this link.
const UNPRINTABLE = /[\p{C}\p{Z}]/u;
const COPY = 'copy the whole link as it was sent';

/** The bytes of base64url without padding; of each spelling but one, none. */
function decoded(word) {
  if (word.length > LONGEST_WORD || !/^[A-Za-z0-9_-]+$/.test(word)) return new Uint8Array(0);
  const plain = word.replaceAll('-', '+').replaceAll('_', '/');
  try {
    const binary = atob(plain);
    return btoa(binary).replace(/=+$/, '') === plain ? Uint8Array.from(binary, (sign) => sign.charCodeAt(0)) : new Uint8Array(0);
  } catch {
    return new Uint8Array(0); // Of a length that no bytes have.
  }
}

function fieldsIn(data) {
  const reader = new CanonicalReader(data);
  const label = new TextDecoder('utf-8', { ignoreBOM: true }).decode(reader.bytes(LONGEST_LABEL));
  const fields = {
    server: reader.text(LONGEST_TEXT), session: reader.text(LONGEST_TEXT), client: reader.integer(),
    authority: reader.bytes(32), seed: reader.bytes(32),
  };
  reader.end();
  if (label !== LINK || fields.authority.length !== 32 || fields.seed.length !== 32) throw new DecodeError('another kind');
  return fields;
}

/** What a link says; as secret as a password until it is redeemed. */
export class Invitation {
  #seed;

  /** Use Invitation.parse. */
  constructor({ seed, ...fields }) {
    this.#seed = seed;
    Object.assign(this, fields);
    this.endpoint = new Endpoint(this.server);
  }

  /**
   * @param {string} link all of it; a page gives location.href
   * @returns {Invitation}
   * @throws {LocalError} no invitation, or one that is cut short or changed
   */
  static parse(link) {
    const at = link.indexOf(MARK);
    if (at < 0) throw new LocalError(`this link has no invitation behind its #; ${COPY}`);
    const data = decoded(link.slice(at + MARK.length).trim());
    const fields = data.slice(0, -CHECKSUM);
    if (data.length <= CHECKSUM || !equal(sha256(fields).slice(0, CHECKSUM), data.slice(-CHECKSUM))) {
      throw new LocalError(`the invitation of this link is cut short or changed; ${COPY}`);
    }
    try {
      const found = fieldsIn(fields);
      if (!SESSION_NAME.test(found.session)) throw new DecodeError('no name of a session');
      if (UNPRINTABLE.test(found.server)) throw new DecodeError('no address');
      return new Invitation(found);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      throw new LocalError('the invitation of this link is of a kind that this release does not know; get a newer page');
    }
  }

  /**
   * The key of this client, drawn by this browser and kept in its IndexedDB: a page that is loaded again has the same one.
   * @param {string} [database]
   * @returns {Promise<Uint8Array>}
   */
  identityKey(database = 'secagg') {
    return keptIdentityKey(hex(verificationKey(this.#seed)), database);
  }

  /**
   * Claims this client's place, or asks what became of it; the same key again changes nothing. See index.d.ts.
   * @returns {Promise<Map<bigint, Uint8Array>|undefined>} the roster, once the authority has signed it
   */
  async claim({ identityKey, database, signal, retry, onStep = () => {} } = {}) {
    const key = identityKey ?? await this.identityKey(database);
    const { client, session } = this;
    const how = { retries: new Retries(retry), signal, tell: (news) => onStep({ session, round: '', ...news }) };
    const connection = new Connection(this.endpoint, { client }, key, how);
    const request = this.#claimOf(key);
    const call = (post) => post('Enrol', request, CALL_SECONDS);
    const { roster } = await connection.call('Enrol', call, { stranger: true });
    return roster?.length ? this.#checked(roster, request.publicKey) : undefined;
  }

  /**
   * Claims this client's place, and waits until the authority has signed the roster. See index.d.ts.
   * @returns {Promise<{server: string, session: string, client: bigint, identityKey: Uint8Array, roster: Map<bigint, Uint8Array>}>}
   */
  async waitForRoster({ pollSeconds = POLL_SECONDS, ...given } = {}) {
    if (!(pollSeconds > 0)) throw new LocalError(`pollSeconds is ${pollSeconds}; give seconds above 0`);
    const { server, session, client } = this;
    const identityKey = given.identityKey ?? await this.identityKey(given.database);
    for (;;) {
      const roster = await this.claim({ ...given, identityKey });
      if (roster) return { server, session, client, identityKey, roster };
      given.onStep?.({ session, round: '', state: 'claimed' });
      await pause(pollSeconds, given.signal);
    }
  }

  #claimOf(identityKey) {
    if (!(identityKey instanceof Uint8Array && identityKey.length === 32)) {
      throw new LocalError('the identity key is no Uint8Array of 32 bytes; leave it out, and this browser draws one');
    }
    const { server, session, client, authority } = this;
    const [invitation, publicKey] = [verificationKey(this.#seed), verificationKey(identityKey)];
    if (equal(invitation, publicKey)) throw new LocalError('the key of an invitation is known to whoever sent it; draw another one');
    const text = (role) => canonical(CLAIM, role, server, session, client, authority, invitation, publicKey);
    const signatures = {
      invitationSignature: sign(this.#seed, text('invitation')), keySignature: sign(identityKey, text('key')),
    };
    return { session, client, publicKey, ...signatures };
  }

  #checked(content, publicKey) {
    let roster;
    try {
      roster = verifyRoster(content, this.authority);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      throw new ServiceError(`${this.server} gave a roster that is not to be used: ${error.message}`);
    }
    if (!roster.has(this.client) || !equal(roster.get(this.client), publicKey)) {
      throw new ServiceError(`${this.server} gave a roster without this key of client ${this.client}`);
    }
    return roster;
  }
}
