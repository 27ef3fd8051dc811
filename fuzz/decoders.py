"""Targets: everything that reads bytes of a peer into plain data.

Invariant: arbitrary bytes are refused with a SecAggError or decoded; whatever decodes encodes to the very same
bytes; a decoded offer is judged by a client session without any other exception; decoded parameters and vector
specifications give a layout or a SecAggError.
"""

from __future__ import annotations

from functools import partial

from fuzz.invariant import Program, attempt, hold, succeeds
from secagg.canonical import Reader, Writer
from secagg.encoding.layout import Layout
from secagg.parameters import SessionParameters
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.vectors import VectorSpec, read_vector, write_vector
from secagg.session.client import ClientSession
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, decode_offer, decode_server_message, encode, encode_offer

_POLICY = ClientPolicy(minimum_cohort=2, minimum_threshold=1, maximum_cohort=64, maximum_words=1 << 16)
_MAX_STEPS = 24


def offer(data: bytes) -> None:
    """decode_offer, and a client's judgement of the offer."""
    decoded = attempt(lambda: decode_offer(data))
    if decoded is not None:
        hold(encode_offer(decoded) == data, "an offer decodes and encodes to other bytes")
    client = decoded.parameters.cohort[0] if decoded else 1
    session = attempt(
        lambda: ClientSession(data, client, policy=_POLICY, randomness=DeterministicRandomSource(b"offer"))
    )
    hold(session is None or decoded is not None, "a client accepts an offer that does not decode")
    if session is not None and decoded is not None:
        hold(session.parameters == decoded.parameters, "a client takes part in another session than was offered")


def server_message(data: bytes) -> None:
    """decode_server_message."""
    decoded = attempt(lambda: decode_server_message(data))
    hold(decoded is None or encode(decoded) == data, "a server's message decodes and encodes to other bytes")


def client_message(data: bytes) -> None:
    """decode_client_message."""
    decoded = attempt(lambda: decode_client_message(data))
    hold(decoded is None or encode(decoded) == data, "a client's message decodes and encodes to other bytes")


def parameters(data: bytes) -> None:
    """SessionParameters.decode, and the layout that follows."""
    decoded = attempt(lambda: SessionParameters.decode(data))
    if decoded is None:
        return
    hold(decoded.encode() == data, "parameters decode and encode to other bytes")
    layout = attempt(lambda: Layout.build(decoded.vectors, decoded.clients, decoded.max_weight))
    if layout is not None:
        hold(layout.words == sum(section.words for section in layout.sections), "a layout loses words")


def vector_spec(data: bytes) -> None:
    """read_vector, after three bytes that choose clients and max_weight of a field width."""
    program = Program(data)
    clients, max_weight, body = program.number(), program.byte(), program.rest()

    def read() -> tuple[str, VectorSpec]:
        reader = Reader(body)
        found = read_vector(reader)
        reader.finish()
        return found

    decoded = attempt(read)
    if decoded is None:
        return
    name, spec = decoded
    writer = Writer()
    write_vector(writer, name, spec)
    hold(writer.finish() == body, "a vector specification decodes and encodes to other bytes")
    width = attempt(lambda: spec.field_width(clients, max_weight))
    if width is not None:
        hold(1 <= width <= 64, "a field width is outside 1 .. 64")
        hold(spec.largest_sum(clients, max_weight) < 1 << width, "the largest sum overflows its field")


def canonical(data: bytes) -> None:
    """Reader under a schema that the input itself chooses: one byte of length, that many steps, then the bytes."""
    program = Program(data)
    steps = program.take(program.byte() % _MAX_STEPS)
    body = program.rest()
    reader, writer = Reader(body), Writer()
    for step in steps:
        if not succeeds(partial(_step, reader, writer, step)):
            return
        hold(body.startswith(writer.finish()), "canonical fields decode and encode to other bytes")
    if succeeds(reader.finish):
        hold(writer.finish() == body, "a reader that is at the end has not read everything")


def _step(reader: Reader, writer: Writer, step: int) -> None:
    """Read one value of a kind and a bound, check the bound, and write the value again."""
    bound = (0, 1, 8, 32, 255, 65_535, 2**31, 2**32 - 1)[step >> 2 & 7]
    match step & 3:
        case 0:
            value = reader.integer(bound)
            hold(0 <= value <= bound, "an integer is above its bound")
            writer.integer(value)
        case 1:
            exact = step & 0x20 and bound <= 32
            octets = reader.data(bound) if exact else reader.data(maximum=bound)
            hold(len(octets) == bound if exact else len(octets) <= bound, "a byte string is above its bound")
            writer.data(octets)
        case 2:
            text = reader.text(bound)
            hold(len(text.encode()) <= bound, "a text is above its bound")
            writer.text(text)
        case _:
            length = reader.sequence(bound)
            hold(length <= bound, "a list is above its bound")
            writer.sequence(length)
