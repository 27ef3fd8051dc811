"""Live cases with long session vectors: the mask streams of Specification §3.4 beyond the first block or segment.

The vectors of the files are short, so that a counter that wraps, or segments that repeat, would not show there. Here
one field fills one word, and nearly all inputs are 0. Parameters, tapes and inputs are fixed; what must come out is
what this library does with them. Must not know how a testee is reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from typing import Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import CLIENT, SERVER, Case, Desk, Table
from secagg.conformance.live import MASKED_INPUT, LiveSession, Victim, round_names
from secagg.conformance.vectors import RoundVector, SessionVector
from secagg.parameters import SessionParameters, SuiteId
from secagg.parameters.vectors import Integers
from secagg.wire.messages_pb2 import SessionOffer

WORDS: Final = {SuiteId.X25519_AES128CTR: 2**19 + 3, SuiteId.X25519_AEGIS128X2: 2 * 2**15 + 3}
"""Above 2^18 blocks of AES, in messages of more than 2 MiB, and above two segments of AEGIS."""

_REQUIREMENTS: Final = ("R44", "R19")
_COHORT: Final = (1, 2, 3, 4)  # with one silent, two others still hold shares of each
_SILENT: Final = 4
_PLAYED: Final = 2
_HIGH: Final = 2**33 - 1  # two fields of more than 32 bits do not fit into a word
_TAPE_BYTES: Final = 1024


def long_stream_cases(suites: Collection[int]) -> Iterator[Case]:
    """Return the cases of those suites that this library has, too: it plays the honest others."""
    for suite in WORDS:
        if suite in suites:
            needs = {} if suite is SuiteId.X25519_AES128CTR else {"suite": int(suite)}
            name = f"suite-{int(suite)}"
            yield Case(f"live-long-stream-client-{name}", _REQUIREMENTS, CLIENT, _ClientPlay(suite).play, needs)
            yield Case(f"live-long-stream-server-{name}", _REQUIREMENTS, SERVER, _ServerPlay(suite).play, needs)


class _ClientPlay:
    """One client of the testee gets what the library's client gets, and must answer byte for byte as that one does."""

    def __init__(self, suite: SuiteId) -> None:
        self._suite = suite

    def play(self, table: Table) -> None:
        session = _session(self._suite)
        rounds = _play(session, table.ours, table.ours)
        Victim(table.testee, replace(session, rounds=rounds), _PLAYED).play(len(rounds))


class _ServerPlay:
    """The testee's server loses a client that shared keys, and must still release the exact sum of the others."""

    def __init__(self, suite: SuiteId) -> None:
        self._suite = suite

    def play(self, table: Table) -> None:
        _play(_session(self._suite), table.testee, table.ours)


def _play(session: SessionVector, server: Desk, clients: Desk) -> tuple[RoundVector, ...]:
    """Play a session in which one client never sends its masked input; returns what was delivered."""
    live = LiveSession(session, server, dict.fromkeys(session.clients, clients))
    rounds: list[RoundVector] = []
    gone: tuple[int, ...] = ()
    for round_ in round_names(live.parameters):
        gone = (_SILENT,) if round_ == MASKED_INPUT else gone
        requests = dict(live.requests)
        answers = {client: live.ask(client).answer for client in requests if client not in gone}
        live.deliver_all(answers)
        rounds.append(RoundVector(requests, answers))
        live.close()
    live.hold_sum([client for client in session.clients if client != _SILENT])
    return tuple(rounds)


@cache
def _session(suite: SuiteId) -> SessionVector:
    """Everything that is fixed before a session begins."""
    parameters = SessionParameters.choose(
        clients=_COHORT,
        vectors={"long": Integers(0, _HIGH, length=WORDS[suite])},
        topology="complete",
        threshold=2,
        max_dropout=0.0,
        max_corrupt=0.0,
        minimum_contributors=2,
        suite=suite,
        nonce=_drawn(suite, "nonce", 32),
    )
    offer = SessionOffer(parameters=parameters.encode()).SerializeToString(deterministic=True)
    policy = pb.Policy(
        threat_model="semi-honest",
        smallest_cohort=2,
        largest_cohort=len(_COHORT),
        smallest_threshold=1,
        smallest_minimum_contributors=2,
        suites=[int(suite)],
        largest_vector=WORDS[suite],
        security_bits=40,
        topologies=["complete"],
    )
    clients = {
        client: pb.CreateClient(
            offer=offer, client=client, policy=policy, tape=_drawn(suite, f"tape {client}", _TAPE_BYTES)
        )
        for client in _COHORT
    }
    return SessionVector(
        id=f"long-stream-suite-{int(suite)}",
        requirements=_REQUIREMENTS,
        needs={},
        server=pb.CreateServer(parameters=parameters.encode()),
        clients=clients,
        inputs={client: _input(client, WORDS[suite]) for client in _COHORT},
        rounds=(),
        expect=pb.Outcome(),
        transcript_digest=b"",
    )


def _input(client: int, length: int) -> pb.SetInput:
    """Zeros, but for a few entries at both ends and in the middle."""
    entries = [0] * length
    entries[0], entries[length // 2], entries[-1] = client, _HIGH - client, _HIGH
    given = pb.SetInput(weight=1)
    given.vectors.add(name="long", integers=entries)
    return given


def _drawn(suite: SuiteId, label: str, length: int) -> bytes:
    return hashlib.shake_256(f"secagg long stream, suite {int(suite)}, {label}".encode()).digest(length)
