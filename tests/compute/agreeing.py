"""What every executor has to make the same bytes of: masks, agreements of pairs, and whole sessions.

Each check holds executors against what no executor made: the streams themselves, the keys as the peers derive them, the
sum of the inputs. Must not know which executors there are.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import Executor, Integers, Round, ServerSession, SuiteId
from secagg.compute import ray
from secagg.crypto import key_schedule
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.prg import SEGMENT_WORDS, AesCtrPrg, MaskPrg
from secagg.crypto.suites import get_suite
from secagg.masking.engine import MaskTerm, add_masks
from secagg.protocol import server_unmasking
from secagg.protocol.pairwise_keys import KEY_WORDS, Pairs, PairwiseKeys
from secagg.protocol.topology import neighbourhoods
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness, Sent

CLIENTS: Final = 9
_AEGIS: Final = importlib.util.find_spec("pyaegis") is not None
_SUITES: Final = [suite for suite in SuiteId if _AEGIS or "AEGIS" not in suite.name]
_LENGTH: Final = 2 * SEGMENT_WORDS + 5
_LEAVE_IN: Final = (Round.SHARE_KEYS, Round.MASKED_INPUT, Round.UNMASKING)
_CHOSEN: Final = "chosen, active"
_SEMI_HONEST: Final[Mapping[str, Mapping[str, Any]]] = {
    "complete": {"topology": "complete", "threshold": 3},
    "sparse": {"topology": "sparse", "degree": 6, "threshold": 3},
}
_GRAPHS: Final[Mapping[str, Mapping[str, Any]]] = {
    **_SEMI_HONEST,
    "complete, active": {"topology": "complete", "threat_model": "active", "threshold": 5},
    _CHOSEN: {"topology": "chosen", "threat_model": "active", "degree": 6, "threshold": 4},
}
_SESSION, _BINDING = b"s" * 32, b"b" * 32


@dataclass(frozen=True)
class Cut:
    """How small the parts are that work is cut into, where that is not the caller's to say.

    Attributes:
        pairs: in a piece of agreements.
        words: in a part for Ray.
        job_bytes: of a job in a part for Ray.
    """

    pairs: int
    words: int
    job_bytes: int

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(server_unmasking, "_PAIRS", self.pairs)
        patch.setattr(ray, "_MOST_WORDS", self.words)
        patch.setattr(ray, "_MOST_JOB_BYTES", self.job_bytes)


CUTS: Final = st.builds(
    Cut, st.integers(1, 8), st.sampled_from([1, SEGMENT_WORDS, 1 << 19]), st.sampled_from([1, 3000, 90_000])
)


@dataclass(frozen=True)
class Masks:
    """Masks over a slice of a session vector.

    Attributes:
        prg: of all.
        count: of masks; every third is subtracted.
        offset: of the slice's first word.
        words: of the slice.
        cuts: where it is cut when it is done in parts.
    """

    prg: MaskPrg
    count: int
    offset: int
    words: int
    cuts: tuple[int, ...]


MASKS: Final = st.builds(
    Masks,
    prg=st.sampled_from([get_suite(suite).prg for suite in _SUITES]),
    count=st.integers(0, 5) | st.just(259),  # more than a batch of open streams
    offset=st.integers(0, 2**40),
    words=st.integers(0, 4 * SEGMENT_WORDS),
    cuts=st.lists(st.integers(0, 4 * SEGMENT_WORDS), max_size=3).map(tuple),
)


def agree_about_masks(executors: Sequence[Executor], case: Masks, cut: Cut) -> None:
    """The words of a slice and of its parts are those of the streams, one after the other."""
    words = case.words if case.count <= 5 else min(case.words, 1000)
    terms = [MaskTerm(DeterministicRandomSource(n).secret(16), negative=n % 3 == 0) for n in range(case.count)]
    bounds = sorted({0, words, *(place for place in case.cuts if place < words)})
    before = np.random.default_rng(words).integers(0, 2**64, words, dtype=np.uint64)
    expected, stream = before.copy(), np.zeros(words, dtype=np.uint64)
    for term in terms:
        case.prg.open(term.key).fill(stream, case.offset)
        expected = expected - stream if term.negative else expected + stream
    with pytest.MonkeyPatch.context() as patch:
        cut.apply(patch)
        for executor in executors:
            whole, parts = before.copy(), before.copy()
            add_masks(whole, terms, case.prg, case.offset, executor=executor)
            for start, stop in pairwise(bounds):
                add_masks(parts[start:stop], terms, case.prg, case.offset + start, executor=executor)
            assert whole.tobytes() == parts.tobytes() == expected.tobytes(), executor


@dataclass(frozen=True)
class Agreements:
    """The pairs of who left and who stayed in a graph.

    Attributes:
        graph: of a semi-honest session.
        left: clients.
        cuts: where the pairs are cut into pieces.
    """

    graph: str
    left: frozenset[int]
    cuts: tuple[int, ...]


AGREEMENTS: Final = st.builds(
    Agreements,
    graph=st.sampled_from(sorted(_SEMI_HONEST)),
    left=st.frozensets(st.integers(1, CLIENTS), min_size=1, max_size=CLIENTS),
    cuts=st.lists(st.integers(1, CLIENTS**2 // 4), min_size=2, max_size=9).map(tuple),
)


def agree_about_pairs(executors: Sequence[Executor], case: Agreements, cut: Cut) -> None:
    """The keys are those that the peers derive, and take out of a sum what the peers put into it."""
    parameters = Harness(CLIENTS, **_SEMI_HONEST[case.graph]).parameters
    staying = np.array([client for client in parameters.cohort if client not in case.left], dtype=np.uint64)
    graph, prg = neighbourhoods(parameters), AesCtrPrg()
    pairs = Pairs.of({client: graph.neighbours_among(client, staying) for client in sorted(case.left)})
    keys = {client: AgreementKey.generate(DeterministicRandomSource(client)) for client in parameters.cohort}
    publics = {client: key.public for client, key in keys.items()}
    of_peers = [
        MaskTerm(
            key_schedule.pairwise_mask_key(keys[peer], publics[owner], _SESSION, _BINDING, peer, owner),
            negative=owner < peer,
        )
        for owner, peer in pairs.listed()
    ]
    masked = np.zeros(100, dtype=np.uint64)
    add_masks(masked, of_peers, prg)
    bounds = sorted({0, len(pairs), *(place for place in case.cuts if place < len(pairs))})
    pieces = [range(start, stop) for start, stop in pairwise(bounds)]
    with pytest.MonkeyPatch.context() as patch:
        cut.apply(patch)
        for executor in executors:
            secrets = {client: keys[client].secret for client in sorted(case.left)}
            words = np.zeros(KEY_WORDS * len(pairs), dtype=np.uint64)
            executor.run(PairwiseKeys(secrets, publics, _SESSION, _BINDING, pairs), words, pieces)
            assert words.tobytes() == b"".join(bytes(term.key.expose()) for term in of_peers), executor
            removed = masked.copy()
            add_masks(removed, pairs.opposite(words), prg, executor=executor)
            assert not removed.any(), executor


@dataclass(frozen=True)
class Whole:
    """A session.

    Attributes:
        suite: of the session.
        graph: and threat model.
        leaving: round in which a client leaves; few enough that each secret has shares.
    """

    suite: SuiteId
    graph: str
    leaving: dict[int, Round]


SESSIONS: Final = st.builds(
    Whole,
    suite=st.sampled_from(_SUITES),
    graph=st.sampled_from(sorted(_GRAPHS)),
    leaving=st.dictionaries(st.integers(1, CLIENTS), st.sampled_from(_LEAVE_IN), max_size=2),
).filter(lambda case: case.graph != _CHOSEN or not get_suite(case.suite).hybrid)


def agree_about_sessions(executors: Sequence[Executor], case: Whole, cut: Cut) -> None:
    """Every message and the sum are the same; the sum is that of the contributors' inputs."""
    found = list[tuple[list[Sent] | None, NDArray[np.uint64]]]()
    with pytest.MonkeyPatch.context() as patch:
        cut.apply(patch)
        for executor in executors:
            harness = _played(executor, case)
            # OpenSSL draws for an encapsulation, whatever the seed is.
            sent = None if get_suite(case.suite).hybrid else harness.transcript
            found.append((sent, harness.server.result.session_vector.copy()))
    (sent, vector), *others = found
    for executor, other in zip(executors[1:], others, strict=True):
        assert other[0] == sent, executor
        assert other[1].tobytes() == vector.tobytes(), executor


def _played(executor: Executor, case: Whole) -> Harness:
    harness = Harness(
        CLIENTS,
        suite=case.suite,
        vectors={"v": Integers(-50, 2**50, length=_LENGTH)},  # a word for each
        **_GRAPHS[case.graph],
    )
    harness.clients = {client: harness.make_client(client, executor=executor) for client in harness.cohort}
    harness.server = ServerSession(
        harness.parameters, roster=harness.roster if harness.active else None, executor=executor
    )
    left = set[int]()
    while harness.round is not None:
        left |= {client for client, round_ in case.leaving.items() if round_ is harness.round}
        harness.play_round(silent=left)
    harness.assert_exact(
        {client for client in harness.cohort if case.leaving.get(client, Round.UNMASKING) is Round.UNMASKING}
    )
    return harness
