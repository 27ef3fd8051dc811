"""What a lying server gets from the reference client: the id of the broken rule, no answer, no secrets (§6, §8).

Every lie is told to a client of the library as well, and both name the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from protocol_specs.reference import parameters as reference_parameters
from protocol_specs.reference import sharing, signatures, wire
from protocol_specs.reference.client import Client
from protocol_specs.reference.client_state import Phase, Secrets
from protocol_specs.reference.errors import Breach, LocalError, Undecodable
from protocol_specs.reference.policy import Policy
from secagg import (
    ClientPhase,
    ClientPolicy,
    ClientSession,
    DecodeError,
    IdentityKey,
    Integers,
    PeerMisbehaved,
    SecretBytes,
    SessionAbortedError,
    SessionParameters,
)
from tests.reference.support import (
    AnyClient,
    ReferenceServer,
    identity_keys,
    library_client,
    play,
    reference_client,
    roster_of,
    session_parameters,
)

VECTORS = {"v": Integers(0, 9, length=3)}
ACTIVE = session_parameters(6, threshold=4, active=True, vectors=VECTORS, minimum_contributors=5)
SEMI_HONEST = session_parameters(6, threshold=2, vectors=VECTORS, minimum_contributors=5)
SPARSE = session_parameters(7, threshold=2, degree=4, vectors=VECTORS)
LOW_ORDER = bytes([1]) + bytes(31)
NOT_CANONICAL = b"\xff" * 32
Make = Callable[..., AnyClient]
Body = Any


@dataclass
class Scene:
    """A session in which one round is open, seen from the victim."""

    server: ReferenceServer
    clients: Mapping[int, AnyClient]
    victim: int

    @property
    def request(self) -> bytes:
        return self.server.requests[self.victim]

    @property
    def body(self) -> Body:
        envelope = wire.decode_for_client(self.request)
        assert isinstance(envelope, wire.Envelope)
        return envelope.body

    def tell(self, body: Body) -> bytes | None:
        """Give the victim a request that the server made up."""
        return self.clients[self.victim].receive(wire.encode_envelope(self.server.session, body))


def scene(parameters: SessionParameters, rounds: int, make: Make, silent: Mapping[int, tuple[int, ...]] = {}) -> Scene:
    """Play some rounds honestly; the victim is the third client, and the last one is gone since MaskedInput."""
    server = ReferenceServer(parameters)
    victim = parameters.cohort[2]
    clients: dict[int, AnyClient] = {
        client: (make if client == victim else reference_client)(parameters, server.offer, client, {"v": [1, 2, 3]})
        for client in parameters.cohort
    }
    play(server, clients, {2: (parameters.cohort[-1],), **silent}, rounds)
    return Scene(server, clients, victim)


def rule_of(refused: Callable[[], object]) -> str:
    """The id that a client of either side refuses with."""
    try:
        refused()
    except Breach as breach:
        return breach.rule
    except PeerMisbehaved as error:
        return error.violation.value
    except (Undecodable, DecodeError):
        return "A08"
    return "accepted"


def change(items: tuple[Any, ...], place: int, **fields: Any) -> tuple[Any, ...]:
    """The items, one of them changed, in ascending order again."""
    changed = [replace(item, **fields) if i == place else item for i, item in enumerate(items)]
    return tuple(sorted(changed, key=lambda item: item.client))


def ads(s: Scene, place: int, **fields: Any) -> Body:
    return wire.ShareKeysRequest(change(s.body.advertisements, place, **fields))


def pairs(s: Scene, place: int, **fields: Any) -> Body:
    return wire.MaskedInputCollectionRequest(change(s.body.ciphertexts, place, **fields))


def moved(s: Scene) -> Body:
    first, second, *rest = s.body.ciphertexts
    return wire.MaskedInputCollectionRequest(
        (replace(first, ciphertext=second.ciphertext), replace(second, ciphertext=first.ciphertext), *rest)
    )


def of_another_receiver(s: Scene) -> Body:
    other = wire.decode_for_client(s.server.requests[s.server.parameters.cohort[3]])
    assert isinstance(other, wire.Envelope)
    assert isinstance(other.body, wire.MaskedInputCollectionRequest)
    mine = {sealed.client: sealed for sealed in s.body.ciphertexts}
    sender = s.server.parameters.cohort[0]
    mine[sender] = other.body.ciphertexts[0]
    return wire.MaskedInputCollectionRequest(tuple(mine[client] for client in sorted(mine)))


def contributors(s: Scene, *names: int) -> Body:
    return wire.ConsistencyCheckRequest(tuple(sorted(names)))


def unmask(s: Scene, **fields: Any) -> Body:
    return replace(s.body, **fields)


def over_another_list(s: Scene) -> Body:
    """Split view: somebody signed other contributors."""
    first, *rest = s.body.confirmations
    text = signatures.confirmation_input(s.server._binding, s.server.parameters.cohort[:4])
    signature = signatures.sign(identity_keys([first.client])[first.client], text)
    return unmask(s, confirmations=(replace(first, signature=signature), *rest))


def without_own(s: Scene) -> Body:
    return unmask(s, confirmations=tuple(c for c in s.body.confirmations if c.client != s.victim))


def with_a_stranger(s: Scene) -> Body:
    stranger = wire.Confirmation(s.server.parameters.cohort[-1], bytes(64))
    return unmask(s, confirmations=(*s.body.confirmations, stranger))


COHORT = ACTIVE.cohort
SIGNATURE = bytes(64)
Lie = tuple[str, SessionParameters, int, Callable[[Scene], Body]]
LIES: list[Lie] = [
    ("C20", SEMI_HONEST, 1, lambda s: ads(s, 0, client=1)),
    ("C22", SEMI_HONEST, 1, lambda s: wire.ShareKeysRequest(s.body.advertisements[:2] + s.body.advertisements[3:])),
    ("C23", SEMI_HONEST, 1, lambda s: ads(s, 2, channel_public=LOW_ORDER)),
    ("C23", SEMI_HONEST, 1, lambda s: ads(s, 2, signature=SIGNATURE)),
    ("C23", SEMI_HONEST, 1, lambda s: ads(s, 2, commitment=bytes(32))),
    ("C24", SEMI_HONEST, 1, lambda s: ads(s, 0, channel_public=s.body.advertisements[1].channel_public)),
    ("C24", SEMI_HONEST, 1, lambda s: ads(s, 0, mask_public=s.body.advertisements[2].channel_public)),
    ("C25", SEMI_HONEST, 1, lambda s: ads(s, 0, channel_public=LOW_ORDER)),
    ("C26", ACTIVE, 1, lambda s: ads(s, 0, mask_public=bytes([9]) + bytes(31))),
    ("C26", ACTIVE, 1, lambda s: ads(s, 0, signature=b"")),
    ("C26", ACTIVE, 1, lambda s: ads(s, 0, signature=s.body.advertisements[1].signature)),
    ("C27", SEMI_HONEST, 1, lambda s: wire.ShareKeysRequest(s.body.advertisements[1:3])),
    ("C28", SEMI_HONEST, 1, lambda s: ads(s, 0, mask_public=NOT_CANONICAL)),
    ("C30", SEMI_HONEST, 2, lambda s: pairs(s, 0, client=1)),
    ("C30", SEMI_HONEST, 2, lambda s: pairs(s, 0, client=s.victim)),
    ("C33", SEMI_HONEST, 2, lambda s: wire.MaskedInputCollectionRequest(s.body.ciphertexts[:1])),
    ("C40", ACTIVE, 3, lambda s: contributors(s, 1, *COHORT[:-1])),
    ("C42", ACTIVE, 3, lambda s: contributors(s, *COHORT[:4])),
    ("C43", ACTIVE, 3, lambda s: contributors(s, *COHORT[:2], *COHORT[3:])),
    ("C50", SEMI_HONEST, 3, lambda s: unmask(s, dropped=s.body.survivors[:1])),
    ("C51", SEMI_HONEST, 3, lambda s: unmask(s, survivors=tuple(sorted((*s.body.survivors, 1))))),
    ("C52", SEMI_HONEST, 3, lambda s: unmask(s, dropped=(1, *s.body.dropped))),
    ("C53", SEMI_HONEST, 3, lambda s: unmask(s, dropped=())),
    ("C54", SEMI_HONEST, 3, lambda s: unmask(s, survivors=tuple(sorted((*s.body.survivors, s.victim))))),
    ("C55", SEMI_HONEST, 3, lambda s: unmask(s, survivors=COHORT[:1], dropped=(COHORT[1], *COHORT[3:]))),
    ("C56", SEMI_HONEST, 3, lambda s: unmask(s, survivors=COHORT[:2], dropped=COHORT[3:])),
    ("C57", ACTIVE, 4, lambda s: unmask(s, survivors=(*s.body.survivors, *s.body.dropped), dropped=())),
    ("C58", SEMI_HONEST, 3, lambda s: unmask(s, confirmations=(wire.Confirmation(s.victim, SIGNATURE),))),
    ("C58", ACTIVE, 4, with_a_stranger),
    ("C59", ACTIVE, 4, over_another_list),
    ("C60", ACTIVE, 4, lambda s: unmask(s, confirmations=s.body.confirmations[:3])),
    ("C61", ACTIVE, 4, without_own),
    ("C11", SEMI_HONEST, 1, lambda s: wire.UnmaskingRequest((), (), ())),
    ("C11", SEMI_HONEST, 3, lambda s: wire.ConsistencyCheckRequest(COHORT)),
]


UNREADABLE: list[tuple[SessionParameters, Callable[[Scene], Body], tuple[int, ...]]] = [
    (SEMI_HONEST, lambda s: pairs(s, 0, ciphertext=bytes(112)), (0,)),
    (ACTIVE, moved, (0, 1)),
    (ACTIVE, of_another_receiver, (0,)),
]
"""Pairs that nobody can read, and the places of their senders."""


@pytest.mark.parametrize("make", [reference_client, library_client], ids=["reference", "library"])
@pytest.mark.parametrize(("parameters", "tell", "places"), UNREADABLE, ids=["zeros", "moved", "of another receiver"])
def test_a_pair_that_cannot_be_read_is_complained_about(
    parameters: SessionParameters, tell: Callable[[Scene], Body], places: tuple[int, ...], make: Make
) -> None:
    s = scene(parameters, 2, make)
    told = tell(s)
    assert isinstance(told, wire.MaskedInputCollectionRequest)
    senders = [sealed.client for sealed in told.ciphertexts]

    assert accused_in(s.tell(told)) == tuple(senders[place] for place in places)


def accused_in(answer: bytes | None) -> tuple[int, ...]:
    assert answer is not None
    body = wire.decode_for_server(answer).body
    assert isinstance(body, wire.Complaint)
    return body.accused


@pytest.mark.parametrize("make", [reference_client, library_client], ids=["reference", "library"])
@pytest.mark.parametrize("lie", LIES, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(LIES)])
def test_a_lie_is_refused(lie: Lie, make: Make) -> None:
    rule, parameters, rounds, tell = lie
    s = scene(parameters, rounds, make)
    made_up = tell(s)

    assert rule_of(lambda: s.tell(made_up)) == rule

    assert_ended(s.clients[s.victim], "A07", s.request)


def assert_ended(client: AnyClient, reason: str, message: bytes) -> None:
    """No secrets, an Abort to send, and no answer any more."""
    if isinstance(client, Client):
        assert client.phase is Phase.ABORTED
        assert client.secrets == Secrets()
        assert client.abort_message == wire.encode_envelope(client.session, wire.Abort(reason))
        with pytest.raises(LocalError):
            client.receive(message)
    else:
        assert isinstance(client, ClientSession)
        assert client.phase is ClientPhase.ABORTED
        with pytest.raises(SessionAbortedError):
            client.receive(message)


BOTH = pytest.mark.parametrize("make", [reference_client, library_client], ids=["reference", "library"])


@BOTH
def test_fewer_contributors_than_the_minimum_are_not_confirmed(make: Make) -> None:
    s = scene(replace(ACTIVE, minimum_contributors=6), 3, make, {2: ()})

    assert rule_of(lambda: s.tell(contributors(s, *COHORT[:5]))) == "C41"


@BOTH
def test_a_stranger_of_a_sparse_graph(make: Make) -> None:
    s = scene(SPARSE, 1, make)
    shown = {a.client for a in s.body.advertisements}
    stranger = next(c for c in SPARSE.cohort if c not in shown)
    advertisement = s.server._advertisements[stranger]

    listed = tuple(sorted((*s.body.advertisements, advertisement), key=lambda a: a.client))
    assert rule_of(lambda: s.tell(wire.ShareKeysRequest(listed))) == "C20"


@BOTH
def test_substituted_channel_keys_give_pairs_that_do_not_open(make: Make) -> None:
    """Semi-honest: nothing tells at once, but what the client sealed and opens is bound to all keys."""
    s = scene(SEMI_HONEST, 1, make)
    assert s.tell(ads(s, 0, channel_public=bytes([9]) + bytes(31))) is not None
    forged = tuple(wire.SealedShares(c, bytes(112)) for c in COHORT[:2])
    assert accused_in(s.tell(wire.MaskedInputCollectionRequest(forged))) == COHORT[:2]


@BOTH
def test_a_mask_key_of_low_order_is_found_before_anything_is_masked(make: Make) -> None:
    s = scene(SPARSE, 1, make)
    place = next(i for i, a in enumerate(s.body.advertisements) if a.client != s.victim)
    answer = s.tell(ads(s, place, mask_public=LOW_ORDER))
    assert answer is not None
    assert s.server.receive(s.victim, answer) is None
    others = {c: made for c, made in s.clients.items() if c != s.victim}
    for client, request in dict(s.server.requests).items():
        if client in others:
            reply = others[client].receive(request)
            assert reply is not None
            s.server.receive(client, reply)
    s.server.close_round()

    assert rule_of(lambda: s.clients[s.victim].receive(s.request)) == "C25"


@BOTH
def test_shares_that_are_not_canonical(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "share_at", lambda polynomials, point: b"\xff\xf1" + bytes(34))
        s = scene(SEMI_HONEST, 2, make)

    accused = accused_in(s.clients[s.victim].receive(s.request))
    assert accused == tuple(client for client in SEMI_HONEST.cohort if client != s.victim)


@BOTH
def test_replays(make: Make) -> None:
    """The same request gets the same answer; an older one and one of another session end the session."""
    s = scene(ACTIVE, 2, make)
    victim, request = s.clients[s.victim], s.request
    first = victim.receive(request)
    assert victim.receive(request) == first
    earlier = wire.encode_envelope(s.server.session, wire.AdvertiseKeysRequest())
    assert rule_of(lambda: victim.receive(earlier)) == "C11"

    s = scene(ACTIVE, 2, make)
    other = wire.encode_envelope(bytes(32), s.body)
    assert rule_of(lambda: s.clients[s.victim].receive(other)) == "C12"
    assert_ended(s.clients[s.victim], "A07", s.request)


@BOTH
def test_a_second_request_for_shares(make: Make) -> None:
    s = scene(SEMI_HONEST, 3, make)
    victim, request = s.clients[s.victim], s.request
    answer = victim.receive(request)
    assert victim.receive(request) == answer
    abort = wire.encode_envelope(s.server.session, wire.Abort("A10"))
    for refused in (b"", wire.encode_envelope(bytes(32), s.body), abort):
        with pytest.raises((LocalError, SessionAbortedError)):
            victim.receive(refused)
    assert victim.receive(request) == answer

    swapped = unmask(s, survivors=(*s.body.survivors, *s.body.dropped), dropped=())
    assert rule_of(lambda: s.tell(swapped)) == "C62"
    assert_ended(victim, "A07", request)


@BOTH
def test_bytes_that_are_no_message_and_aborts(make: Make) -> None:
    s = scene(ACTIVE, 2, make)
    assert rule_of(lambda: s.clients[s.victim].receive(s.request + b"\x00")) == "A08"
    assert_ended(s.clients[s.victim], "A08", s.request)

    s = scene(ACTIVE, 2, make)
    try:
        assert s.tell(wire.Abort("A10")) is None
    except Breach as breach:
        assert breach.rule == "A09"  # noqa: PT017
    with pytest.raises((LocalError, SessionAbortedError)):
        s.clients[s.victim].receive(s.request)


@BOTH
def test_nothing_is_masked_without_an_input(make: Make) -> None:
    s = scene(SEMI_HONEST, 2, make)
    victim = s.clients[s.victim]
    if isinstance(victim, Client):
        victim.secrets.inputs = None
        with pytest.raises(LocalError):
            victim.receive(s.request)
        victim.set_input({"v": [1, 2, 3]})
    assert victim.receive(s.request) is not None


def refusal_of_the_reference(parameters: SessionParameters, client: int, **policy: Any) -> str:
    chosen: dict[str, Any] = {
        "threat_model": parameters.threat_model.value,
        "corrupt_fraction": 0,
        "smallest_cohort": 2,
        "smallest_threshold": 1,
    }
    made = Client(
        client,
        Policy(**{**chosen, **policy}),
        identity_key=identity_keys([client])[client],
        roster=policy.pop("roster", roster_of(parameters.cohort)),
    )
    return rule_of(lambda: made.receive(wire.encode_offer(wire.SessionOffer(parameters.encode()))))


POLICIES: list[tuple[str, SessionParameters, dict[str, Any]]] = [
    ("accepted", ACTIVE, {}),
    ("C02", ACTIVE, {"smallest_cohort": 7}),
    ("C13", ACTIVE, {"largest_cohort": 5}),
    ("C03", ACTIVE, {"smallest_threshold": 5}),
    ("C03", ACTIVE, {"corrupt_fraction": 0.4}),
    ("C03", SEMI_HONEST, {"corrupt_fraction": 0.4}),
    ("accepted", SEMI_HONEST, {"corrupt_fraction": 0.3}),
    ("C03", SPARSE, {"corrupt_fraction": 0.3}),
    ("accepted", SPARSE, {"corrupt_fraction": 0.2}),
    ("C03", SPARSE, {"corrupt_fraction": 0.2, "dropout_fraction": 0.9}),
    ("C16", SPARSE, {"topologies": ("complete",)}),
    ("C04", ACTIVE, {"smallest_minimum_contributors": 6}),
    ("C05", SEMI_HONEST, {"threat_model": "active"}),
    ("C06", ACTIVE, {"suites": (2,)}),
    ("C07", ACTIVE, {"largest_vector": 0}),
    ("C08", ACTIVE, {"context": b"round 4"}),
]


@pytest.mark.parametrize(("rule", "parameters", "policy"), POLICIES)
def test_offers_below_the_policy(rule: str, parameters: SessionParameters, policy: dict[str, Any]) -> None:
    assert refusal_of_the_reference(parameters, parameters.cohort[0], **policy) == rule


def test_offers_to_strangers_and_with_strangers() -> None:
    assert refusal_of_the_reference(ACTIVE, 1) == "C09"
    client = Client(
        COHORT[0],
        Policy(threat_model="active", corrupt_fraction=0),
        identity_key=identity_keys(COHORT)[COHORT[0]],
        roster=roster_of(COHORT[:-1]),
    )
    assert rule_of(lambda: client.receive(ReferenceServer(ACTIVE).offer)) == "C10"
    assert client.secrets == Secrets()


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"suite": 0x0100},
        {"threshold": 3},
        {"threshold": 6},
        {"minimum_contributors": 7},
        {"max_weight": 2},
        {"degree": 4},
        {"permutation_seed": bytes(32)},
        {"nonce": bytes(31)},
        {"cohort": tuple(reversed(COHORT))},
        {"threat_model": "passive"},
        {"topology_kind": "sparse", "degree": 4, "permutation_seed": bytes(32)},
        {"vectors": ()},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_parameters_that_no_session_has(fields: dict[str, Any]) -> None:
    """Both refuse; where the encoding of the library has bounds of its own, as A08 instead of C01."""
    offered = replace(reference_parameters.decode(ACTIVE.encode()), **fields)
    offer = wire.encode_offer(wire.SessionOffer(reference_parameters.encode(offered)))
    client = Client(
        COHORT[0],
        Policy(threat_model="active", corrupt_fraction=0),
        identity_key=identity_keys(COHORT)[COHORT[0]],
        roster=roster_of(COHORT),
    )
    library = rule_of(
        lambda: ClientSession(
            offer,
            COHORT[0],
            identity=IdentityKey.from_seed(SecretBytes(identity_keys(COHORT)[COHORT[0]])),
            roster=roster_of(COHORT),
            policy=ClientPolicy(max_corrupt=0.0),
        )
    )

    assert rule_of(lambda: client.receive(offer)) == "C01"
    assert library in ("C01", "A08")


def test_the_offer_comes_first_and_once() -> None:
    client = Client(COHORT[0], Policy(threat_model="semi-honest", corrupt_fraction=0))
    request = wire.encode_envelope(bytes(32), wire.AdvertiseKeysRequest())
    assert rule_of(lambda: client.receive(request)) == "C11"
    assert client.phase is Phase.ABORTED

    s = scene(SEMI_HONEST, 1, reference_client)
    assert rule_of(lambda: s.clients[s.victim].receive(s.server.offer)) == "A08"
    assert_ended(s.clients[s.victim], "A08", s.request)
