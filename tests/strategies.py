"""Hypothesis strategies for parameters and messages, each valid by itself (not of one session).

Draw from these; what a test wants invalid, it breaks itself with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    RevealedShares,
    ServerMessage,
    SessionOffer,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)

_T = TypeVar("_T")

SEALED_BYTES = 24 + 2 * 36 + 16
SHARE_BYTES = 36

MAX_ID = 2**64 - 1
client_ids: SearchStrategy[int] = st.one_of(st.integers(0, 7), st.integers(0, MAX_ID), st.just(MAX_ID))
digests = st.binary(min_size=32, max_size=32)
public_keys = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
sealed_shares = st.binary(min_size=SEALED_BYTES, max_size=SEALED_BYTES)
shares = st.binary(min_size=SHARE_BYTES, max_size=SHARE_BYTES).map(SecretBytes)


def ascending_ids(min_size: int = 0, max_size: int = 5) -> SearchStrategy[tuple[int, ...]]:
    """Client ids in strictly ascending order."""
    return st.sets(client_ids, min_size=min_size, max_size=max_size).map(lambda ids: tuple(sorted(ids)))


def by_client(values: SearchStrategy[_T]) -> SearchStrategy[tuple[tuple[int, _T], ...]]:
    """(client, value) pairs in strictly ascending order of client."""
    return ascending_ids().flatmap(lambda ids: st.tuples(*(st.tuples(st.just(client), values) for client in ids)))


def advertisements_of(clients: SearchStrategy[int]) -> SearchStrategy[Advertisement]:
    """Advertisements of these clients, signed or not."""
    return st.builds(Advertisement, clients, public_keys, public_keys, digests, st.one_of(st.just(b""), signatures))


advertisements = advertisements_of(client_ids)
advertise_keys_requests = st.builds(AdvertiseKeysRequest, digests)
advertise_keys_responses = st.builds(AdvertiseKeysResponse, digests, advertisements)
share_keys_requests = st.builds(
    ShareKeysRequest,
    digests,
    ascending_ids().flatmap(lambda ids: st.tuples(*(advertisements_of(st.just(client)) for client in ids))),
)
share_keys_responses = st.builds(ShareKeysResponse, digests, by_client(sealed_shares))
masked_input_requests = st.builds(MaskedInputCollectionRequest, digests, by_client(sealed_shares))
masked_input_responses = st.builds(MaskedInputCollectionResponse, digests, st.binary(min_size=1, max_size=400))
consistency_check_requests = st.builds(ConsistencyCheckRequest, digests, ascending_ids())
consistency_check_responses = st.builds(ConsistencyCheckResponse, digests, signatures)
unmasking_requests = st.builds(UnmaskingRequest, digests, ascending_ids(), ascending_ids(), by_client(signatures))
revealed_shares = by_client(shares).map(RevealedShares.of)
unmasking_responses = st.builds(UnmaskingResponse, digests, revealed_shares, revealed_shares)
aborts = st.builds(Abort, digests, st.sampled_from(AbortReason))

server_messages: SearchStrategy[ServerMessage] = st.one_of(
    advertise_keys_requests,
    share_keys_requests,
    masked_input_requests,
    consistency_check_requests,
    unmasking_requests,
    aborts,
)
client_messages: SearchStrategy[ClientMessage] = st.one_of(
    advertise_keys_responses,
    share_keys_responses,
    masked_input_responses,
    consistency_check_responses,
    unmasking_responses,
    aborts,
)

vector_names = st.text("abzAZ09_.-/", min_size=1, max_size=8)
shapes = st.lists(st.integers(1, 50), min_size=1, max_size=3).map(tuple)
fixed_points = st.builds(
    FixedPoint,
    shape=shapes,
    clip=st.floats(2.0**-512, 2.0**512),
    bits=st.integers(2, 32),
    rounding=st.sampled_from(["stochastic", "nearest"]),
    aggregate=st.sampled_from(["sum", "mean"]),
)
small_integers = st.integers(-(2**31), 2**31)
integer_vectors = st.builds(
    lambda ends, shape: Integers(min(ends), max(ends), shape=shape),
    st.lists(small_integers, min_size=2, max_size=2, unique=True),
    shapes,
)
vector_specs: SearchStrategy[VectorSpec] = st.one_of(fixed_points, integer_vectors)


@st.composite
def session_parameters(draw: DrawFn) -> SessionParameters:
    """Any parameters that a session may have, small enough to print."""
    cohort = draw(ascending_ids(min_size=2, max_size=9))
    clients = len(cohort)
    vectors = tuple(draw(st.dictionaries(vector_names, vector_specs, min_size=1, max_size=3)).items())
    # Active: more than half of two clients is two, and a secret of one of them has one holder.
    model = draw(st.sampled_from(ThreatModel)) if clients > 2 else ThreatModel.SEMI_HONEST
    topology = Topology(TopologyKind.COMPLETE, clients - 1)
    if model is ThreatModel.SEMI_HONEST and clients > 2 and draw(st.booleans()):
        degree = draw(st.sampled_from(range(2, clients, 2)))
        topology = Topology(TopologyKind.SPARSE, degree, draw(digests))
    smallest = clients // 2 + 1 if model is ThreatModel.ACTIVE else 1
    weighted = any(spec.weighted for _, spec in vectors)
    return SessionParameters(
        cohort=cohort,
        vectors=vectors,
        threat_model=model,
        topology=topology,
        threshold=draw(st.integers(smallest, topology.degree)),
        minimum_contributors=draw(st.integers(2, clients)),
        nonce=draw(digests),
        context=draw(st.binary(max_size=40)),
        max_weight=draw(st.integers(1, 2**20)) if weighted else 1,
        suite=draw(st.sampled_from(SuiteId)),
    )


offers = st.builds(SessionOffer, session_parameters())


@st.composite
def damaged(draw: DrawFn, encoder: Callable[[Any], bytes], values: SearchStrategy[Any]) -> bytes:
    """An encoding with a few bytes changed, cut out, doubled or inserted; sometimes still valid."""
    data = bytearray(encoder(draw(values)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 4))
        kind = draw(st.sampled_from(["change", "cut", "double", "insert"]))
        if kind == "change":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "cut":
            del data[at : at + size]
        elif kind == "double":
            data[at:at] = data[at : at + 8 * size]
        else:
            data[at:at] = draw(st.binary(max_size=6))
    return bytes(data)
