/**
 * A service over HTTP on loopback, with the session of a conformance server: as honest as a test lets it be. NO SECURITY.
 */
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { Server } from 'secagg-client/conformance';
import { canonical, concat, equal, hex } from '../../src/canonical.js';
import { sha256, verify } from '../../src/crypto.js';
import { CALLS, ErrorDetail } from '../../src/http/messages.js';
import { decodeLeniently, encode } from '../../src/protobuf.js';

const OUTCOMES = { ACCEPTED: 1, REPEATED: 2, LATE: 3 };
export const PROTOBUF = 'application/x-protobuf';

/** A failure with its ErrorDetail. */
export const refusal = (status, detail) => ({ status, type: PROTOBUF, body: encode(ErrorDetail, detail) });

export class Service {
  /** In order: the name of each call that came. */
  calls = [];
  /** Each answer that came, with who sent it. */
  answers = [];
  /** By the name of a call, what is replied instead: takes the request and a function that gives the honest reply. */
  lies = {};
  #waiting = [];
  #nonces = new Map();
  #tokens = new Map();
  #uploads = new Map();

  constructor(parameters, roster) {
    this.roster = roster;
    this.begin(parameters);
  }

  /** Offers a session, in the place of the one before. */
  begin(parameters) {
    this.server = Server.create(parameters.encoded, this.roster);
    this.#ask(this.server.firstRequests);
  }

  async start() {
    this.http = createServer((request, response) => this.#serve(request, response));
    await new Promise((resolve) => this.http.listen(this.port ?? 0, '127.0.0.1', resolve));
    this.port = this.http.address().port;
    return this;
  }

  get address() {
    return `http://127.0.0.1:${this.port}`;
  }

  stop() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }

  async #serve(incoming, response) {
    const body = new Uint8Array(await buffer(incoming).catch(() => new ArrayBuffer(0)));
    const url = new URL(incoming.url, this.address);
    const name = url.pathname.replace('/secagg/v1/', '');
    this.calls.push(name);
    const [asked, replied] = CALLS[name];
    const request = asked ? decodeLeniently(asked, body) : body;
    const client = this.#tokens.get(incoming.headers.authorization?.replace('Bearer ', ''));
    const honest = () => this[`give${name}`](request, client, Number(url.searchParams.get('offset')));
    const found = await (this.lies[name]?.(request, honest, client) ?? honest());
    if (found === 'broken') return response.destroy();
    const made = found.status ? found : { status: 200, type: PROTOBUF, body: encode(replied, found) };
    return response.writeHead(made.status, { 'Content-Type': made.type, ...made.headers }).end(made.body);
  }

  giveChallenge({ client, member }) {
    const nonce = sha256(canonical('nonce', this.calls.length));
    this.#nonces.set(hex(nonce), client ?? member);
    return { nonce };
  }

  giveLogin({ nonce, serverName, signature, next }) {
    const { session, client } = this.#nonces.get(hex(nonce));
    const whom = session === undefined ? ['member', serverName, client] : ['client', serverName, session, client];
    const signed = verify(this.roster.get(client), signature, canonical('secagg/v1 login', ...whom, nonce));
    if (serverName !== '127.0.0.1' || !signed) return refusal(401, { reason: 'SIGNATURE_INVALID', message: 'not its key' });
    const token = sha256(canonical('token', client, this.#tokens.size));
    this.#tokens.set(hex(token), client);
    return { token, ...(next && { offer: this.server.offer, next: this.#news(client, next.seen) }) };
  }

  giveGetOffer() {
    return { offer: this.server.offer };
  }

  giveNextSession({ seen }) {
    return { sessions: [...seen, `session-${seen.length}`] };
  }

  async giveNextRequest({ seen, waitMilliseconds }, client) {
    while (waitMilliseconds && !this.#news(client, seen)) await new Promise((resolve) => { this.#waiting.push(resolve); });
    return this.#news(client, seen) ?? {};
  }

  async giveAnswer({ answer, next }, client) {
    this.answers.push({ client, answer });
    const { status, rule } = this.server.phase === 'COMPLETED' ? { status: 'LATE' } : this.server.receive(client, answer);
    if (status === 'DROPPED') return refusal(410, { reason: 'DROPPED', ruleId: rule, message: 'the server dropped this client' });
    const { asked, accepted } = this.server.state;
    if (asked && accepted.size === asked.size) this.#ask((await this.server.closeRound()).requests);
    return { outcome: OUTCOMES[status], ...(next && { next: await this.giveNextRequest(next, client) }) };
  }

  giveBeginUpload({ totalBytes, sha256: digest, next }, client) {
    const kept = this.#uploads.get(client);
    if (!kept || !equal(kept.digest, digest)) this.#uploads.set(client, { totalBytes, digest, next, bytes: new Uint8Array(0) });
    return { receivedBytes: BigInt(this.#uploads.get(client).bytes.length) };
  }

  async giveUploadPart(part, client, offset) {
    const kept = this.#uploads.get(client);
    if (offset === kept.bytes.length) kept.bytes = concat(kept.bytes, part);
    if (BigInt(kept.bytes.length) < kept.totalBytes) return { receivedBytes: BigInt(kept.bytes.length) };
    return { answer: await this.giveAnswer({ answer: kept.bytes, next: kept.next }, client) };
  }

  #ask(requests) {
    this.requests = new Map(requests.map(({ client, message }) => [client, message]));
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #news(client, seen) {
    if (this.server.phase === 'COMPLETED') return { ended: { completed: true } };
    const request = this.requests.get(client);
    return equal(sha256(request), seen) ? undefined : { request };
  }
}
