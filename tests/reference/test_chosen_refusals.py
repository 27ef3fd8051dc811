"""A lying server and lying clients on a chosen graph: library, reference and JavaScript refuse with the same rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from protocol_specs.reference import signatures, wire
from protocol_specs.reference.chosen import as_bytes, members_of
from protocol_specs.reference.parameters import Parameters
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance import driving
from tests.reference.chosen_sessions import IMPLEMENTATIONS, ROUNDS, ChosenSession, chosen_parameters, opened_testees

PARAMETERS = chosen_parameters(16, degree=12, threshold=8, name="refusals", minimum_contributors=10)
COHORT = PARAMETERS.cohort


@pytest.fixture(scope="module")
def testees() -> Iterator[dict[str, driving.Testee]]:
    with opened_testees(IMPLEMENTATIONS) as made:
        yield made


class Lie:
    """A session in which one client, or the server, is of an implementation, and everybody else of the reference."""

    def __init__(
        self,
        testees: dict[str, driving.Testee],
        rounds: int,
        client: str = "reference",
        server: str = "reference",
        silent: Mapping[int, Collection[int]] | None = None,
        parameters: Parameters = PARAMETERS,
    ) -> None:
        self.victim = parameters.cohort[7]
        self.play = ChosenSession(
            parameters, testees, lambda each: client if each == self.victim else "reference", server
        )
        self.history: list[dict[int, wire.Request]] = []
        self.holders: dict[int, tuple[int, ...]] = {}
        for number in range(rounds):
            self.history.append(self.bodies())
            self.play.play(1, {0: (silent or {}).get(number, ())})
        for message in self.play.transcript:
            if message[:1] == b"\1":
                body = wire.decode_for_server(message[9:]).body
                if isinstance(body, wire.AdvertiseKeysResponse):
                    self.holders[body.advertisement.client] = body.holders
        self.shown = {a.client: a for a in self.history[1][self.victim].advertisements} if rounds > 1 else {}  # type: ignore[union-attr]

    def bodies(self) -> dict[int, wire.Request]:
        return {client: wire.decode_request(message).body for client, message in self.play.requests.items()}

    def request(self) -> Any:
        return self.bodies()[self.victim]

    def told(self, body: wire.Request) -> pb.Outcome:
        return self.play.step(self.victim, message=self.play.answers_like(body))

    def signed(self, client: int, message: bytes) -> bytes:
        return signatures.sign(self.play.identity_key(client), message)

    @property
    def own_holders(self) -> list[int]:
        return list(self.holders[self.victim])

    @property
    def owners(self) -> list[int]:
        return [client for client, holders in self.holders.items() if self.victim in holders]


def without(members: bytes, *clients: int) -> bytes:
    return as_bytes(PARAMETERS, members_of(PARAMETERS, members) - set(clients))


def acknowledgement(lie: Lie, signer: int, sharers: bytes, contributors: bytes) -> wire.Confirmation:
    signed = signatures.acknowledgement_input(lie.play.session, lie.shown[signer], sharers, contributors)
    return wire.Confirmation(signer, lie.signed(signer, signed))


def few_holders(lie: Lie, count: int = PARAMETERS.threshold - 1) -> wire.Request:
    kept = set(lie.own_holders[:count])
    shown = lie.request().advertisements
    return wire.ShareKeysRequest(tuple(a for a in shown if a.client not in set(lie.own_holders) - kept))


def stranger(lie: Lie) -> wire.Request:
    shown = lie.request().advertisements
    other = next(a for a in shown if a.client != lie.victim)
    strange = replace(other, client=1, channel_public=bytes([9]) + bytes(31), mask_public=bytes([16]) + bytes(31))
    return wire.ShareKeysRequest(tuple(sorted((*shown, strange), key=lambda a: a.client)))


def few_sharers(lie: Lie, count: int = PARAMETERS.threshold - 1) -> wire.Request:
    gone = set(lie.own_holders[count:])
    request = lie.request()
    kept = tuple(sealed for sealed in request.ciphertexts if sealed.client not in gone)
    return wire.MaskedInputCollectionRequest(kept, without(request.sharers, *gone))


def contributors(lie: Lie, count: int) -> wire.Request:
    members = sorted({lie.victim, *[client for client in COHORT if client != lie.victim][: count - 1]})
    request = lie.request()
    kept = tuple(each for each in request.inclusions if each.client in members)
    return wire.ConsistencyCheckRequest((), as_bytes(PARAMETERS, members), kept)


def acknowledgements(lie: Lie) -> tuple[wire.Confirmation, ...]:
    return tuple(acknowledgement(lie, holder, *sets_of(lie)) for holder in lie.own_holders)


def changed(field: str, of: Callable[[Lie, Any], Any]) -> Callable[[Lie], wire.Request]:
    return lambda lie: replace(lie.request(), **{field: of(lie, getattr(lie.request(), field))})


def inclusion_over_another_set(lie: Lie, inclusions: tuple[wire.Confirmation, ...]) -> Any:
    first, *rest = inclusions
    sharers = without(lie.history[2][lie.victim].sharers, COHORT[-1])  # type: ignore[union-attr]
    signed = signatures.inclusion_input(lie.play.session, lie.shown[first.client], sharers)
    return (replace(first, signature=lie.signed(first.client, signed)), *rest)


def inclusion_of_another_key(lie: Lie, inclusions: tuple[wire.Confirmation, ...]) -> Any:
    first, *rest = inclusions
    sharers = lie.history[2][lie.victim].sharers  # type: ignore[union-attr]
    other = replace(lie.shown[first.client], mask_public=lie.shown[first.client].channel_public)
    return (
        replace(
            first, signature=lie.signed(first.client, signatures.inclusion_input(lie.play.session, other, sharers))
        ),
        *rest,
    )


def acknowledgement_of(which: Callable[[Lie], int]) -> Callable[[Lie, Any], Any]:
    def made(lie: Lie, confirmations: tuple[wire.Confirmation, ...]) -> Any:
        sharers, contributors = sets_of(lie)
        added = acknowledgement(lie, which(lie), sharers, contributors)
        return tuple(sorted({c.client: c for c in (*confirmations, added)}.values(), key=lambda c: c.client))

    return made


def sets_of(lie: Lie) -> tuple[bytes, bytes]:
    return lie.history[2][lie.victim].sharers, lie.history[3][lie.victim].contributor_set  # type: ignore[union-attr]


def over_other_sets(lie: Lie, confirmations: tuple[wire.Confirmation, ...], *, other: int) -> Any:
    sets = list(sets_of(lie))
    sets[other] = without(sets[other], COHORT[-1])
    return (acknowledgement(lie, confirmations[0].client, *sets), *confirmations[1:])


def chooser_that_is_no_holder(lie: Lie) -> int:
    return next(client for client in lie.owners if client not in lie.own_holders)


LIES: dict[str, tuple[int, str, Callable[[Lie], wire.Request]]] = {
    "a stranger's advertisement": (1, "C20", stranger),
    "t - 1 holders": (1, "C27", few_holders),
    "t - 1 holders that shared": (2, "C33", few_sharers),
    "D without the client": (2, "C34", changed("sharers", lambda lie, d: without(d, lie.victim))),
    "D without a sender": (
        2,
        "C34",
        changed("sharers", lambda lie, d: without(d, chooser_that_is_no_holder(lie))),
    ),
    "X without the client": (3, "C43", changed("contributor_set", lambda lie, x: without(x, lie.victim))),
    "X below the minimum": (
        3,
        "C41",
        lambda lie: contributors(lie, PARAMETERS.minimum_contributors - 1),
    ),
    "an inclusion too few": (3, "C45", changed("inclusions", lambda lie, given: given[1:])),
    "an inclusion over another set": (3, "C44", changed("inclusions", inclusion_over_another_set)),
    "an inclusion of another run": (3, "C44", changed("inclusions", inclusion_of_another_key)),
    "t - 1 acknowledgements": (4, "C60", changed("confirmations", lambda lie, given: given[1:])),
    "a chooser's acknowledgement": (
        4,
        "C58",
        changed("confirmations", acknowledgement_of(chooser_that_is_no_holder)),
    ),
    "an acknowledgement over another D": (
        4,
        "C59",
        changed("confirmations", lambda lie, given: over_other_sets(lie, given, other=0)),
    ),
    "an acknowledgement over another X": (
        4,
        "C59",
        changed("confirmations", lambda lie, given: over_other_sets(lie, given, other=1)),
    ),
    "no set": (2, "A08", changed("sharers", lambda lie, d: b"")),
    "a set that is longer": (2, "A08", changed("sharers", lambda lie, d: d + b"\0")),
    "a set of another length": (3, "A08", changed("contributor_set", lambda lie, x: x[:1])),
    "contributors as a list": (3, "A08", changed("contributors", lambda lie, _: COHORT)),
    "survivors in a list": (4, "A08", changed("survivors", lambda lie, _: tuple(lie.owners[:1]))),
}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", LIES)
def test_a_client_refuses(name: str, implementation: str, testees: dict[str, driving.Testee]) -> None:
    rounds, rule, lie_of = LIES[name]
    lie = Lie(testees, rounds, client=implementation)

    outcome = lie.told(lie_of(lie))

    assert (outcome.status, outcome.rule, outcome.phase) == (pb.REFUSED, rule, "ABORTED")
    assert not outcome.HasField("answer")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_contributors_are_sharers(implementation: str, testees: dict[str, driving.Testee]) -> None:
    lie = Lie(testees, 3, client=implementation, silent={1: COHORT[-1:]})

    outcome = lie.told(replace(lie.request(), contributor_set=as_bytes(PARAMETERS, COHORT)))

    assert (outcome.status, outcome.rule) == (pb.REFUSED, "C40")


HONEST: dict[str, tuple[int, Callable[[Lie], wire.Request]]] = {
    "exactly t holders": (1, lambda lie: few_holders(lie, PARAMETERS.threshold)),
    "exactly t holders that shared": (2, lambda lie: few_sharers(lie, PARAMETERS.threshold)),
    "exactly the minimum of contributors": (3, lambda lie: contributors(lie, PARAMETERS.minimum_contributors)),
    "more than t acknowledgements": (4, changed("confirmations", lambda lie, given: acknowledgements(lie))),
}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", HONEST)
def test_a_client_goes_on_at_the_bound(name: str, implementation: str, testees: dict[str, driving.Testee]) -> None:
    rounds, request_of = HONEST[name]
    lie = Lie(testees, rounds, client=implementation)

    outcome = lie.told(request_of(lie))

    assert (outcome.status, outcome.rule) == (pb.ACCEPTED, "")
    answer = wire.decode_for_server(outcome.answer).body
    if isinstance(answer, wire.ShareKeysResponse):
        assert [sealed.client for sealed in answer.ciphertexts] == lie.own_holders[: PARAMETERS.threshold]
    if isinstance(answer, wire.UnmaskingResponse):
        assert [share.owner for share in answer.seed_shares] == sorted(lie.owners)
        assert answer.mask_key_shares == ()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("choosers", "rule"), [(15, ""), (16, "C29")])
def test_at_most_3k_choosers(choosers: int, rule: str, implementation: str, testees: dict[str, driving.Testee]) -> None:
    parameters = chosen_parameters(24, degree=5, threshold=4, name="choosers")
    lie = Lie(testees, 1, client=implementation, parameters=parameters)
    everybody = {c: _advertised(lie, c) for c in parameters.cohort}
    others = [c for c in parameters.cohort if c != lie.victim and c not in lie.own_holders][:choosers]
    shown = sorted((lie.victim, *lie.own_holders[: parameters.threshold], *others))

    outcome = lie.told(wire.ShareKeysRequest(tuple(everybody[client] for client in shown)))

    assert (outcome.status, outcome.rule) == (pb.REFUSED if rule else pb.ACCEPTED, rule)


def _advertised(lie: Lie, client: int) -> wire.Advertisement:
    for message in lie.play.transcript:
        if message[:9] == b"\1" + client.to_bytes(8, "big"):
            body = wire.decode_for_server(message[9:]).body
            if isinstance(body, wire.AdvertiseKeysResponse):
                return body.advertisement
    raise LookupError(client)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_offer_without_a_ledger_is_the_hosts_mistake(
    implementation: str, testees: dict[str, driving.Testee]
) -> None:
    lie = Lie(testees, 0, client=implementation)

    outcome = lie.play.create(lie.victim, ledger="")

    assert (outcome.status, outcome.handle, outcome.phase) == (pb.LOCAL_ERROR, 0, "")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_client_does_not_draw_twice_for_one_session(implementation: str, testees: dict[str, driving.Testee]) -> None:
    lie = Lie(testees, 0, client=implementation)
    name = f"draws of {implementation}"
    requests = dict(lie.play.requests)
    lie.play.handles[lie.victim] = lie.play.create(lie.victim, ledger=name).handle
    assert lie.play.step(lie.victim, message=requests[lie.victim]).status == pb.ACCEPTED

    lie.play.handles[lie.victim] = lie.play.create(lie.victim, ledger=name).handle
    outcome = lie.play.step(lie.victim, message=requests[lie.victim])

    assert (outcome.status, outcome.rule, outcome.phase) == (pb.REFUSED, "A12", "ABORTED")
    assert not outcome.HasField("answer")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"topologies": ["complete", "sparse"]}, "C16"),
        ({"security_bits": 25}, ""),
        ({"security_bits": 26}, "C03"),
        ({"corrupt_fraction": 1 / 16}, ""),
        ({"corrupt_fraction": 2 / 16}, "C03"),
        ({"smallest_minimum_contributors": 11}, ""),
        ({"smallest_minimum_contributors": 12}, "C03"),
    ],
)
def test_a_policy_judges_the_graph(
    changes: dict[str, Any], rule: str, implementation: str, testees: dict[str, driving.Testee]
) -> None:
    parameters = chosen_parameters(16, degree=8, threshold=6, name="policy", minimum_contributors=12)
    lie = Lie(testees, 0, client=implementation, parameters=parameters)

    outcome = lie.play.create(lie.victim, **changes)

    assert (outcome.status, outcome.rule) == (pb.REFUSED if rule else pb.ACCEPTED, rule)


CORRUPT: dict[str, tuple[int, str, Callable[[Lie, Any], wire.Response]]] = {
    "a holder too few": (0, "S16", lambda lie, body: replace(body, holders=body.holders[1:])),
    "a holder too many": (
        0,
        "S16",
        lambda lie, body: replace(body, holders=tuple(c for c in COHORT if c != lie.victim)[:13]),
    ),
    "itself as a holder": (
        0,
        "S16",
        lambda lie, body: replace(body, holders=tuple(sorted((*body.holders[1:], lie.victim)))),
    ),
    "a holder outside of the cohort": (
        0,
        "S16",
        lambda lie, body: replace(body, holders=tuple(sorted((*body.holders[1:], 1)))),
    ),
    "holders that do not ascend": (0, "S02", lambda lie, body: replace(body, holders=body.holders[::-1])),
    "a pair too few": (1, "S20", lambda lie, body: wire.ShareKeysResponse(body.ciphertexts[1:])),
    "a pair for a chooser": (
        1,
        "S20",
        lambda lie, body: wire.ShareKeysResponse(
            tuple(
                sorted(
                    (*body.ciphertexts[1:], replace(body.ciphertexts[0], client=chooser_that_is_no_holder(lie))),
                    key=lambda sealed: sealed.client,
                )
            )
        ),
    ),
    "an inclusion over another set": (
        2,
        "S30",
        lambda lie, body: replace(body, inclusion=included(lie, without(lie.request().sharers, COHORT[0]))),
    ),
    "an input without an inclusion": (2, "S02", lambda lie, body: wire.MaskedInputCollectionResponse(body.payload)),
    "an acknowledgement of other contributors": (
        3,
        "S40",
        lambda lie, body: wire.ConsistencyCheckResponse(
            acknowledgement(
                lie,
                lie.victim,
                lie.history[2][lie.victim].sharers,  # type: ignore[union-attr]
                without(lie.request().contributor_set, COHORT[0]),
            ).signature
        ),
    ),
    "a share too few": (4, "S50", lambda lie, body: replace(body, seed_shares=body.seed_shares[1:])),
}


def included(lie: Lie, sharers: bytes) -> bytes:
    signed = signatures.inclusion_input(lie.play.session, lie.shown[lie.victim], sharers)
    return lie.signed(lie.victim, signed)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", CORRUPT)
def test_a_server_drops(name: str, implementation: str, testees: dict[str, driving.Testee]) -> None:
    rounds, rule, change = CORRUPT[name]
    lie = Lie(testees, rounds, server=implementation)
    answer = wire.decode_for_server(lie.play.step(lie.victim, message=lie.play.requests[lie.victim]).answer).body

    outcome = lie.play.deliver(lie.victim, lie.play.answers_like(change(lie, answer)))

    assert (outcome.status, outcome.rule) == (pb.DROPPED, rule)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_snapshot_that_goes_on_twice_answers_once(implementation: str, testees: dict[str, driving.Testee]) -> None:
    lie = Lie(testees, 0, client=implementation)
    testee, victim = testees[implementation], lie.victim
    frozen = testee.call(pb.Call(snapshot=pb.Snapshot(handle=lie.play.handles[victim]))).frozen
    outcomes = []
    for _ in range(2):
        restore = pb.Restore(
            snapshot=frozen.snapshot,
            identity_key=lie.play.identity_key(victim),
            roster=lie.play.roster(),
            ledger=lie.play.ledger,
        )
        lie.play.handles[victim] = testee.call(pb.Call(restore=restore)).outcome.handle
        outcomes.append(lie.play.step(victim, message=lie.play.requests[victim]))

    assert [(outcome.status, outcome.rule) for outcome in outcomes] == [(pb.ACCEPTED, ""), (pb.REFUSED, "A12")]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_session_goes_on_from_snapshots_in_every_phase(
    implementation: str, testees: dict[str, driving.Testee]
) -> None:
    play = ChosenSession(PARAMETERS, testees, lambda _: implementation, implementation)
    for number in range(ROUNDS):
        play.freeze_all()
        play.play(1, {0: COHORT[:1] if number == 2 else ()})

    play.assert_exact(COHORT[1:])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_edges_are_taken_away_from_both_ends(implementation: str, testees: dict[str, driving.Testee]) -> None:
    parameters = chosen_parameters(24, degree=5, threshold=4, name="crowd")
    cohort = parameters.cohort
    popular, others = cohort[9], [client for client in cohort if client != cohort[9]]
    ring = {
        client: (popular, *(others[(place + step) % len(others)] for step in range(1, 5)))
        for place, client in enumerate(others)
    }
    play = ChosenSession(parameters, testees, lambda _: "reference", implementation, tapes=True, holders=ring)

    play.play(1)
    shown = {
        client: {a.client for a in wire.decode_request(message).body.advertisements} - {client}  # type: ignore[union-attr]
        for client, message in play.requests.items()
    }
    play.play(ROUNDS - 1)

    assert all((v in shown[u]) == (u in shown[v]) for u in cohort for v in cohort if u != v)
    assert len(shown[popular]) == 4 * parameters.degree
    assert play.dropped == {}
    play.assert_exact(cohort)
