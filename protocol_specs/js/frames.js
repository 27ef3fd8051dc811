/**
 * Frames of the transport of conformance.md: four bytes of length, big-endian, and the bytes of a call or a reply.
 */
const HEAD = 4;

/** The contents of the frames of a stream, one after the other. */
export async function* frames(input) {
  let pending = Buffer.alloc(0);
  for await (const chunk of input) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= HEAD && pending.length >= HEAD + pending.readUInt32BE()) {
      const end = HEAD + pending.readUInt32BE();
      yield new Uint8Array(pending.subarray(HEAD, end));
      pending = pending.subarray(end);
    }
  }
}

/** A frame with this content. */
export function framed(content) {
  const head = Buffer.alloc(HEAD);
  head.writeUInt32BE(content.length);
  return Buffer.concat([head, content]);
}
