"""Pitfall 31: what a server tells clients of an end must not hold a number that follows from the inputs of others."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from secagg import AbortReason, FixedPoint, Round, ServerPhase
from secagg.encoding.layout import Layout
from secagg.hosting import Ended, EndKind, Receipt, ResultNotReadyError
from secagg.protocol.messages import Abort
from secagg.store.memory import MemoryStore
from secagg.transport import service_pb2 as pb
from secagg.wire.codec import encode
from tests.harness import Harness, alter, decode_answer
from tests.hosting.support import Played, hosting

MEAN: Final = FixedPoint(4, clip=1.0, bits=8, aggregate="mean")
CLIENTS, MAX_WEIGHT, LIAR = 5, 10, 1


def shifted(answer: bytes, shift: int) -> bytes:
    """An upload to whose masked weight a corrupt client has added."""
    section = Layout.build((("m", MEAN),), CLIENTS, MAX_WEIGHT).sections[-1]
    payload = bytearray(decode_answer(answer).payload)
    word = int.from_bytes(payload[section.byte_slice], "little") + shift
    payload[section.byte_slice] = (word % (1 << section.ring_bits)).to_bytes(section.packed_bytes, "little")
    return alter(answer, payload=bytes(payload))


def weighing(model: str, shift: int, weights: int) -> Harness:
    """A session in which client 1 shifts its weight, and the others have these weights."""
    harness = Harness(CLIENTS, threat_model=model, threshold=3, vectors={"m": MEAN}, max_weight=MAX_WEIGHT)
    harness.weights = dict.fromkeys(harness.cohort, weights)
    harness.run_to(Round.MASKED_INPUT)
    for client in harness.cohort:
        answer = harness.ask(client)
        assert answer is not None
        harness.deliver(client, shifted(answer, shift) if client == LIAR else answer)
    harness.close()
    return harness.finish()


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_pitfall_31_no_client_can_weigh_the_others(model: str) -> None:
    """One shift, light and heavy honest clients: the operator is told of A13, and nobody hears a difference."""
    light, heavy = (weighing(model, 9, weights) for weights in (1, 10))
    assert light.server.phase is ServerPhase.COMPLETED
    assert heavy.server.abort_reason is AbortReason.RESULT_NOT_DECODABLE
    for client in light.cohort:
        told = [
            [sent.data for sent in harness.transcript if sent.client == client and not sent.to_server]
            for harness in (light, heavy)
        ]
        assert [len(data) for data in told[0]] == [len(data) for data in told[1]]
        assert light.clients[client].phase is heavy.clients[client].phase
    assert dict(light.requests) == dict(heavy.requests) == {}
    (event,) = heavy.server.take_events()[-1:] or heavy.events[-1:]
    assert "add up to" in getattr(event, "detail", "")


def test_pitfall_31_every_other_end_is_told_by_its_id_alone() -> None:
    harness = Harness(CLIENTS, threshold=3)
    harness.play_round(silent={1, 2, 3})
    reason = harness.server.abort_reason
    assert reason is AbortReason.TOO_FEW_ADVERTISED
    assert set(harness.requests.values()) == {encode(Abort(harness.session, reason))}


def test_pitfall_31_a_host_tells_clients_ids_and_the_operator_sentences() -> None:
    async def body(weights: int) -> tuple[set[object], AbortReason | None, str]:
        harness = Harness(CLIENTS, threshold=3, vectors={"m": MEAN}, max_weight=MAX_WEIGHT)
        harness.weights = dict.fromkeys(harness.cohort, weights)
        played, store = Played(harness), MemoryStore()
        told: set[object] = set()
        async with hosting(store) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
            state = session.status().state
            for client in harness.cohort:
                answer = await played.answer(session, client)
                told.add(await played.give(session, client, state, shifted(answer, 9) if client == LIAR else answer))
            await played.turned(session, LIAR)
            told |= set((await played.play_round(session)).values())
            await session.wait_ended()
            told |= {await session.next_request(client, b"", 0) for client in harness.cohort}
            status = session.status()
            if status.abort_reason is not None:
                with pytest.raises(ResultNotReadyError, match="add up to"):
                    await session.result()
        async with hosting(store) as host:
            told |= {await host.session("round-1").next_request(client, b"", 0) for client in harness.cohort}
        return told, status.abort_reason, status.detail

    light, heavy = asyncio.run(body(1)), asyncio.run(body(10))
    assert light[0] == heavy[0]
    assert Ended(EndKind.COMPLETED) in light[0]
    assert (light[1], heavy[1]) == (None, AbortReason.RESULT_NOT_DECODABLE)
    assert "the weights of 5 contributors add up to 59" in heavy[2]


def test_pitfall_31_there_is_no_room_for_a_sentence() -> None:
    """Of the replies to clients, and of an abort on the wire, every field is named here."""
    # A client follows no successor but the one whose name is its session's with a number.
    assert [field.name for field in pb.Ended.DESCRIPTOR.fields] == ["completed", "reason_id", "reason", "successor"]
    assert [field.name for field in pb.Dropped.DESCRIPTOR.fields] == ["reason_id", "reason"]
    assert [field.name for field in pb.AnswerReply.DESCRIPTOR.fields] == ["outcome", "next"]
    assert pb.AnswerReply.DESCRIPTOR.fields_by_name["next"].message_type is pb.NextRequestReply.DESCRIPTOR
    assert [field.name for field in pb.NextRequestReply.DESCRIPTOR.fields] == ["request", "ended", "dropped"]
    assert set(Abort.__dataclass_fields__) == {"session", "reason"}
    assert set(Ended.__dataclass_fields__) == {"kind", "reason", "successor"}
    assert set(Receipt.__dataclass_fields__) == {"kind", "reason"}
