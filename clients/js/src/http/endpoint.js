/**
 * A server that is reached by HTTP: one attempt of one call, its bounds, and what a failure says. It does not know what
 * calls mean, nor who makes them.
 */
import { join } from '../canonical.js';
import { decodeLeniently, encode } from '../protobuf.js';
import { DecodeError, LocalError } from '../rules.js';
import { quoted } from './errors.js';
import { CALLS, ErrorDetail } from './messages.js';

const PATH = 'secagg/v1/';
const PROTOBUF = 'application/x-protobuf';
const LONGEST_REPLY = 1 << 26;
const LONGEST_FAILURE = 1 << 16;
// What whatever is between says when the server is away or has too much to do.
const BROKEN = [408, 425, 429, 499, 500, 502, 503, 504];
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const CERTIFICATE = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(VERIFY|GET_ISSUER))/;

/** An attempt of a call failed. */
export class CallFailure extends Error {
  /**
   * @param {string} message
   * @param {{again?: boolean, detail?: object, broken?: boolean}} [about] whether the same call may succeed later, what
   *   the server said for programs, and whether it was the connection that failed
   */
  constructor(message, { again = false, detail = undefined, broken = false } = {}) {
    super(message);
    Object.assign(this, { again, detail, broken });
  }
}

/** Where a server is. */
export class Endpoint {
  /**
   * @param {string} address https://host, with a port and a path before that of the service where there are any
   * @throws {LocalError}
   */
  constructor(address) {
    let url;
    try {
      url = new URL(address);
    } catch {
      throw new LocalError(`${address} is no address; give https://host or https://host:port`);
    }
    if (!['https:', 'http:'].includes(url.protocol) || url.search || url.hash || url.username || url.password) {
      throw new LocalError(`${address} is no address of a service; give https://host or https://host:port`);
    }
    if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
      throw new LocalError(`${address} is without TLS, which is for trials on this machine alone; give https://`);
    }
    this.address = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
    this.base = `${this.address}/${PATH}`;
    /** What is signed in a login: the host as it is dialled. */
    this.serverName = url.hostname.replace(/^\[|\]$/g, '');
  }

  /**
   * Makes a call once.
   * @param {string} name of the call, with what stands in its query
   * @param {object|Uint8Array} request
   * @param {{token?: string, seconds: number, signal?: AbortSignal}} how `seconds` are for all of it
   * @returns {Promise<object>} the reply
   * @throws {CallFailure} and the reason of the signal
   */
  async call(name, request, { token, seconds, signal }) {
    const [schema, replied] = CALLS[name.split('?')[0]];
    const type = schema ? PROTOBUF : 'application/octet-stream';
    const body = schema ? encode(schema, request) : request;
    const headers = { Accept: PROTOBUF, 'Content-Type': type, ...(token && { Authorization: `Bearer ${token}` }) };
    const [reply, content] = await this.#send(name, { method: 'POST', headers, body }, seconds, signal);
    if (!reply.ok) throw refused(reply, content);
    if (!isOurs(reply)) {
      // Nothing at all would be a message, too.
      const said = quoted(reply.headers.get('content-type') ?? '', 80);
      throw new CallFailure(`a reply of type '${said}' is not the service's but of something between: is this its address?`);
    }
    const found = decoded(replied, content);
    if (!found) throw new CallFailure(`${content.length} bytes are no reply to ${name}: is this a server of secagg?`);
    return found;
  }

  async #send(name, init, seconds, signal) {
    signal?.throwIfAborted();
    const cut = new AbortController();
    const abort = () => cut.abort(signal.reason);
    const offline = () => cut.abort(new CallFailure('this device went offline', { again: true, broken: true }));
    const late = () => cut.abort(new CallFailure(`no reply in ${seconds} s`, { again: true, broken: true }));
    const timer = setTimeout(late, 1000 * seconds);
    signal?.addEventListener('abort', abort);
    globalThis.addEventListener?.('offline', offline);
    try {
      const reply = await fetch(this.base + name, {
        ...init, signal: cut.signal, redirect: 'manual', credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer',
      });
      return [reply, await contentOf(reply)];
    } catch (error) {
      if (cut.signal.aborted) throw cut.signal.reason;
      if (error instanceof CallFailure) throw error;
      throw this.#broken(error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      globalThis.removeEventListener?.('offline', offline);
    }
  }

  /** What happened to a connection. Browsers do not say whether it broke, or whether they kept the page from it. */
  #broken(error) {
    const { code, message } = error.cause ?? {};
    const why = [error.message, code, code ? '' : message].filter(Boolean).join(', ');
    if (CERTIFICATE.test(code ?? '')) {
      return new CallFailure(`its certificate is not accepted for ${this.serverName}; check its dates and names, and give `
        + `its authority (NODE_EXTRA_CA_CERTS): ${why}`);
    }
    const page = globalThis.location?.origin;
    const check = page
      ? `its [http] origins name ${page}, its certificate is one that browsers accept for ${this.serverName}, and this `
        + "page's Content-Security-Policy has it in connect-src"
      : 'it runs with [http], and host and port are right';
    return new CallFailure(`nothing came from ${this.address} (${why}); check whether ${check}`, { again: true, broken: true });
  }
}

async function contentOf(reply) {
  const most = reply.ok ? LONGEST_REPLY : LONGEST_FAILURE;
  const parts = [];
  let size = 0;
  if (!reply.body) return new Uint8Array(0);
  const reader = reply.body.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new CallFailure(`a reply of more than ${most} bytes`);
    }
    parts.push(value);
  }
  return join(parts);
}

const isOurs = (reply) =>
  (reply.headers.get('content-type') ?? '').split(';')[0].trim().toLowerCase() === PROTOBUF;

function decoded(schema, content) {
  try {
    return decodeLeniently(schema, content);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** What a reply says that is no success. */
function refused(reply, content) {
  const detail = isOurs(reply) ? decoded(ErrorDetail, content) : undefined;
  if (detail?.reason) return new CallFailure(quoted(detail.message || detail.reason), { again: detail.retry, detail });
  const said = reply.type === 'opaqueredirect' ? 'a redirect' : `HTTP ${reply.status}`;
  return new CallFailure(`${said} is no reply of secagg: check host, port and path of the address, and proxies`,
    { again: BROKEN.includes(reply.status) });
}
