/**
 * The cohort digest and the binding of a session (§2.3).
 */
import { ascending, bytes, canonical, concat, integer, join, listHead } from './canonical.js';
import { sha256 } from './crypto.js';

/**
 * The binding: the cohort digest in a complete graph, the session digest in a sparse one.
 * @param {import('./parameters.js').Parameters} parameters
 * @param {Map<bigint, object>} advertisements of all advertised clients; of no matter in a sparse graph
 */
export function bindingOf(parameters, advertisements) {
  if (!parameters.complete) return parameters.digest;
  const records = ascending(advertisements.keys()).map((client) => {
    const { channelPublic, maskPublic, commitment } = advertisements.get(client);
    return concat(integer(client), bytes(channelPublic), bytes(maskPublic), bytes(commitment));
  });
  const head = concat(canonical('secagg/v1 cohort digest', parameters.digest), listHead(records.length));
  return sha256(concat(head, join(records)));
}
