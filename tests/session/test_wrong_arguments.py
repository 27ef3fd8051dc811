"""What a caller hands over by mistake: another type is one sentence with the name of the argument, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import secagg
from secagg import ClientPolicy, ClientSession, Integers, ServerSession, SessionParameters, simulate
from secagg.compute.threads import ThreadExecutor
from secagg.hosting import Quotas, RoundSchedule
from secagg.identity.roster import checked_keys
from secagg.parameters.vectors import FixedPoint
from secagg.transport.grpc import RetryPolicy

VECTORS: Final = {"v": Integers(0, 5, 3)}
INPUTS: Final = {client: {"v": np.ones(3, dtype=np.int64)} for client in range(3)}
PARAMETERS: Final = SessionParameters.choose(clients=3, vectors=VECTORS)
ACTIVE: Final = SessionParameters.choose(clients=3, vectors=VECTORS, threat_model="active")
ROSTER: Final = {client: secagg.IdentityKey.generate().public for client in range(3)}


def choose(**changes: Any) -> SessionParameters:
    arguments: dict[str, Any] = {"clients": 3, "vectors": VECTORS}
    return SessionParameters.choose(**(arguments | changes))


def client(parameters: SessionParameters = PARAMETERS, **changes: Any) -> ClientSession:
    server = ServerSession(parameters, roster=ROSTER)
    arguments: dict[str, Any] = {"offer": server.offer, "client_id": 1}
    return ClientSession(**(arguments | changes))


WRONG: Final[dict[str, tuple[Callable[[], Any], str]]] = {
    "vectors as a list": (lambda: choose(vectors=[("v", VECTORS["v"])]), "vectors is a list; give names"),
    "no vectors": (lambda: choose(vectors=None), "vectors is a NoneType"),
    "a text as clients": (lambda: choose(clients="abc"), "'abc' is neither a number of clients nor a list"),
    "names as clients": (lambda: choose(clients=["a", "b"]), r"secagg.client_id\(name\)"),
    "a truth value as clients": (lambda: choose(clients=True), "True is neither"),
    "an id twice": (lambda: choose(clients=[5, 7, 7]), "client 7 stands in the cohort twice"),
    "max_weight as a text": (lambda: choose(max_weight="3"), "max_weight='3' is no whole number"),
    "minimum_contributors": (lambda: choose(minimum_contributors=2.0), "minimum_contributors=2.0 is no whole"),
    "a truth value as a suite": (lambda: choose(suite=True), "suite True is unknown"),
    "a seed as a text": (lambda: choose(permutation_seed="x"), "permutation_seed is of type str"),
    "parameters of a server": (lambda: ServerSession({}), "parameters is of type dict; give SessionParameters"),  # type: ignore[arg-type]
    "an offer as parameters": (lambda: ServerSession(b""), "parameters is of type bytes"),  # type: ignore[arg-type]
    "a list as a roster": (lambda: ServerSession(PARAMETERS, roster=[1]), "roster is of type list"),  # type: ignore[arg-type]
    "a roster of a client": (lambda: client(roster=[1]), "roster is of type list"),
    "bytes as an identity": (lambda: client(ACTIVE, identity=b"k" * 32, roster=ROSTER), "identity is of type bytes"),
    "no roster for an active offer": (
        lambda: client(ACTIVE, identity=secagg.IdentityKey.generate()),
        "this client was given no roster to check keys with; pass",
    ),
    "a mapping as a policy": (lambda: client(policy={"minimum_cohort": 3}), "policy is of type dict"),
    "a mapping as a ledger": (lambda: client(ledger={}), "ledger is of type dict, which has no method record"),
    "a number as randomness": (lambda: client(randomness=3), "randomness is of type int, which has no method secret"),
    "bytes to resume a client": (
        lambda: ClientSession.resume(b"frozen", ledger=secagg.MemoryLedger()),  # type: ignore[arg-type]
        r"a snapshot is SecretBytes, not bytes; pass SecretBytes\(content\)",
    ),
    "no ledger to resume with": (
        lambda: ClientSession.resume(secagg.SecretBytes(b"frozen"), ledger=None),  # type: ignore[arg-type]
        "pass ledger=",
    ),
    "bytes to resume a server": (lambda: ServerSession.resume(b"frozen"), "a snapshot is SecretBytes, not bytes"),  # type: ignore[arg-type]
    "a text to drop for": (lambda: ServerSession(PARAMETERS).drop(1, "gone"), "'gone' is no DropReason"),  # type: ignore[arg-type]
    "a policy's model": (lambda: ClientPolicy(threat_model="activ"), "give 'active' or 'semi-honest'"),
    "a policy's cohort": (lambda: ClientPolicy(minimum_cohort=3.5), "minimum_cohort=3.5 is no whole number"),  # type: ignore[arg-type]
    "a policy's threshold": (lambda: ClientPolicy(minimum_threshold=None), "minimum_threshold=None is no whole"),  # type: ignore[arg-type]
    "a policy's suites": (lambda: ClientPolicy(suites=7), "suites is of type int"),  # type: ignore[arg-type]
    "a suite of a policy": (lambda: ClientPolicy(suites=[7]), "suite 0x0007 is unknown"),  # type: ignore[arg-type]
    "a policy's context": (lambda: ClientPolicy(context="x"), "context is of type str"),  # type: ignore[arg-type]
    "a policy's fraction": (lambda: ClientPolicy(max_corrupt="x"), "max_corrupt is of type str"),  # type: ignore[arg-type]
    "parameters to simulate": (lambda: simulate({}, {}), "parameters is of type dict"),  # type: ignore[arg-type]
    "no inputs": (lambda: simulate(PARAMETERS, None), "inputs is of type NoneType"),  # type: ignore[arg-type]
    "one weight for all": (lambda: simulate(PARAMETERS, INPUTS, weights=3), "weights is of type int"),  # type: ignore[arg-type]
    "a list of dropouts": (lambda: simulate(PARAMETERS, INPUTS, dropouts=["x"]), "dropouts is of type list"),  # type: ignore[arg-type]
    "one client of a round": (
        lambda: simulate(PARAMETERS, INPUTS, dropouts={"masked_input": 1}),  # type: ignore[dict-item]
        r"dropouts\['masked_input'\] is of type int",
    ),
    "an identity of a number": (lambda: secagg.IdentityKey(3), "seed is SecretBytes, not int"),  # type: ignore[arg-type]
    "parameters from a text": (lambda: SessionParameters.decode("x"), "data is of type str"),  # type: ignore[arg-type]
    "a client without a name": (lambda: secagg.client_id(""), "'' is no name"),
    "a client of a number": (lambda: secagg.client_id(3), "3 is no name"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_one_sentence_about_it(case: str) -> None:
    make, said = WRONG[case]
    with pytest.raises(secagg.SecAggError, match=said):
        make()


def test_numbers_of_numpy_are_whole_numbers_everywhere_and_are_kept_as_plain_ones() -> None:
    three: Any = np.int64(3)
    one: Any = np.uint8(1)
    clip: Any = np.float32(1.0)
    parameters = choose(
        clients=three,
        vectors={"v": FixedPoint(three, clip=clip, bits=5 + three, aggregate="mean")},
        max_weight=np.int64(9),
        minimum_contributors=np.uint8(2),
        suite=one,
        threshold=np.int64(2),
        security_bits=np.int32(40),
    )
    kept = (parameters.threshold, parameters.minimum_contributors, parameters.max_weight, parameters.topology.degree)
    assert [type(number) for number in (*kept, *parameters.cohort, parameters.vectors[0][1].bits)] == [int] * 8  # type: ignore[union-attr]
    assert SessionParameters.decode(parameters.encode()) == parameters
    chosen = choose(clients=np.array([7, 5, 9], dtype=np.uint64))
    assert chosen.cohort == (5, 7, 9)
    assert {type(member) for member in chosen.cohort} == {int}
    policy = ClientPolicy(minimum_cohort=three, suites=[one], threat_model="semi-honest")  # type: ignore[arg-type]
    assert policy == ClientPolicy(
        minimum_cohort=3,
        suites=frozenset({secagg.SuiteId.X25519_AES128CTR}),
        threat_model=secagg.ThreatModel.SEMI_HONEST,
    )
    assert client(client_id=np.uint64(1), policy=ClientPolicy(threat_model="semi-honest")).client_id == 1
    with ThreadExecutor(one) as executor:
        assert type(executor.workers) is int
    assert type(Quotas(sessions=three).sessions) is int
    assert type(RoundSchedule.uniform(three, session_seconds=np.float32(9)).session_seconds) is float  # type: ignore[arg-type]
    assert type(RetryPolicy(give_up_seconds=three).give_up_seconds) is float
    assert [type(member) for member in checked_keys([(three, b"k" * 32)])] == [int]


@pytest.mark.parametrize("truth", [True, np.True_])
def test_truth_values_are_no_numbers(truth: Any) -> None:
    for changes in ({"clients": truth}, {"max_weight": truth}, {"threshold": truth}, {"clients": [0, 1, truth]}):
        with pytest.raises(secagg.ParameterError):
            choose(**changes)


def test_a_name_has_one_id_on_every_machine() -> None:
    assert secagg.client_id("site-1") == 0xF505DCCD1D9094DB
    assert choose(clients=[secagg.client_id(name) for name in ("a", "b", "ü")]).clients == 3
