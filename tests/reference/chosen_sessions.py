"""Sessions on the experimental chosen graph (Specification §2.5) between testees, over the calls of conformance.

Each client, and the server, is of one implementation: the library, the reference, or JavaScript where Node is. Bytes
between them are made and read with the reference. NO SECURITY: keys follow from ids.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference import signatures, wire
from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.driving import InProcessTestee, ProcessTestee, Testee
from secagg.conformance.library_testee import LibraryTestee

ROOT: Final = Path(__file__).parents[2]
JAVASCRIPT: Final = ROOT / "protocol_specs/js/testee.js"
IMPLEMENTATIONS: Final = ("library", "reference", "javascript")
ROUNDS: Final = 5
_LEDGERS: Final = itertools.count()


def drawn(what: str, length: int) -> bytes:
    return hashlib.shake_128(what.encode()).digest(length)


def chosen_parameters(clients: int, degree: int, threshold: int, name: str = "chosen", **changes: Any) -> Parameters:
    """A session on a chosen graph; ids of every size, 0 and the largest among them."""
    ids = {0, 2**63, 2**64 - 1} | {int.from_bytes(drawn(f"id {i}", 8), "big") for i in range(clients - 3)}
    fields: dict[str, Any] = {
        "version": 1,
        "suite": 1,
        "threat_model": "active",
        "topology_kind": "chosen",
        "degree": degree,
        "permutation_seed": b"",
        "threshold": threshold,
        "minimum_contributors": 2,
        "max_weight": 20,
        "nonce": drawn(name, 32),
        "context": b"round 3",
        "cohort": tuple(sorted(ids)),
        "vectors": (
            ("mean", FixedPoint((2, 3), 0.7, 8, "nearest", "mean")),
            ("counts", Integers(-5, 2**40, (7,))),
        ),
    }
    return Parameters(**{**fields, **changes})


@contextmanager
def opened_testees(names: Collection[str]) -> Iterator[dict[str, Testee]]:
    """A testee of each implementation; skips the test where Node or its packages are missing."""
    made: dict[str, Testee] = {}
    if "javascript" in names:
        if shutil.which("node") is None or not (ROOT / "clients/js/node_modules").is_dir():
            pytest.skip("node, or its packages (npm ci --prefix clients/js), is not here")
        made["javascript"] = ProcessTestee(["node", str(JAVASCRIPT)], 60)
    if "reference" in names:
        made["reference"] = InProcessTestee(ReferenceTestee().handle)  # type: ignore[arg-type] # the same messages
    if "library" in names:
        made["library"] = InProcessTestee(LibraryTestee().handle)
    try:
        yield made
    finally:
        for testee in made.values():
            testee.close()


@dataclass
class ChosenSession:
    """One session: `implementation_of` says whose code each client is, `server` the server's.

    Attributes:
        tapes: whether clients have tapes; those of `holders` draw these.
        requests: what the server has for each client in the open round.
        transcript: every message, as the transcript digest of conformance.md takes them.
    """

    parameters: Parameters
    testees: Mapping[str, Testee]
    implementation_of: Callable[[int], str]
    server: str
    tapes: bool = False
    holders: Mapping[int, Collection[int]] = field(default_factory=dict)
    requests: dict[int, bytes] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)
    transcript: list[bytes] = field(default_factory=list)
    outcome: pb.Outcome = field(default_factory=pb.Outcome)
    ledger: str = field(default_factory=lambda: f"answers {next(_LEDGERS)}")

    def __post_init__(self) -> None:
        created = self._outcome(self.server, create_server=self._create_server())
        assert created.status == pb.ACCEPTED
        self.offer, self._handle = created.offer, created.handle
        self.requests = {request.client: request.message for request in created.requests}
        self.handles: dict[int, int] = {}
        for client in self.parameters.cohort:
            made = self.create(client)
            assert made.status == pb.ACCEPTED, f"{client} of {self.implementation_of(client)}: {made}"
            self.handles[client] = made.handle
            assert self.step(client, set_input=self.input_of(client)).status == pb.ACCEPTED

    @property
    def session(self) -> bytes:
        return wire.decode_for_server(self.answers_like(wire.Abort("A10"))).session

    def answers_like(self, body: wire.Request | wire.Response) -> bytes:
        """A message of this session."""
        request = next(iter(self.requests.values()))
        return wire.encode_envelope(wire.decode_request(request).session, body)

    def identity_key(self, client: int) -> bytes:
        return drawn(f"identity {client}", 32)

    def roster(self) -> list[pb.RosterEntry]:
        return [
            pb.RosterEntry(client=c, verification_key=signatures.verification_key(self.identity_key(c)))
            for c in self.parameters.cohort
        ]

    def _create_server(self) -> pb.CreateServer:
        return pb.CreateServer(parameters=parameters_.encode(self.parameters), roster=self.roster())

    def create(self, client: int, **changes: Any) -> pb.Outcome:
        """Make a client of this offer; `changes` replace fields of the call, and of the policy those it has."""
        policy: dict[str, Any] = {
            "threat_model": "active",
            "corrupt_fraction": 0.0,
            "smallest_cohort": 2,
            "largest_cohort": 1000,
            "smallest_threshold": 1,
            "smallest_minimum_contributors": 2,
            "suites": [1],
            "largest_vector": 2**20,
            "dropout_fraction": 0.0,
            "security_bits": 1,
            "topologies": ["chosen"],
        }
        policy.update({name: changes.pop(name) for name in list(changes) if name in policy})
        call = pb.CreateClient(
            offer=self.offer,
            client=client,
            identity_key=self.identity_key(client),
            roster=self.roster(),
            policy=pb.Policy(**policy),
            tape=self.tape(client) if self.tapes else None,
            ledger=changes.pop("ledger", self.ledger),
        )
        assert not changes
        return self._outcome(self.implementation_of(client), create_client=call)

    def tape(self, client: int) -> bytes:
        others = [other for other in self.parameters.cohort if other != client]
        keys, rest = drawn(f"keys of {client}", 96), drawn(f"tape of {client}", 32 + 32 * self.parameters.degree + 64)
        # Places in ascending order are taken as they are: the i-th is at most the i-th bound of conformance.md.
        places = [place for place, other in enumerate(others) if other in self.holders.get(client, ())]
        return keys + b"".join(place.to_bytes(8, "big") for place in places) + rest

    def weight_of(self, client: int) -> int:
        return client % self.parameters.max_weight + 1

    def levels_of(self, client: int) -> list[int]:
        return [(client + 5 * place) % 255 - 127 for place in range(6)]

    def counts_of(self, client: int) -> list[int]:
        return [int.from_bytes(drawn(f"{place} of {client}", 8), "big") % (2**40 + 6) - 5 for place in range(7)]

    def input_of(self, client: int) -> pb.SetInput:
        event = pb.SetInput(weight=self.weight_of(client))
        event.vectors.add(name="mean", reals=[level / 127 * 0.7 for level in self.levels_of(client)])
        event.vectors.add(name="counts", integers=self.counts_of(client))
        return event

    def _outcome(self, implementation: str, **call: Any) -> pb.Outcome:
        return self.testees[implementation].call(pb.Call(**call)).outcome

    def step(self, client: int, **event: Any) -> pb.Outcome:
        """One event for a client."""
        step = pb.Step(handle=self.handles[client], **event)
        return self._outcome(self.implementation_of(client), step=step)

    def deliver(self, client: int, message: bytes) -> pb.Outcome:
        """A message of a client for the server."""
        event = pb.ClientMessage(client=client, message=message)
        return self._outcome(self.server, step=pb.Step(handle=self._handle, client_message=event))

    def close(self) -> None:
        self.outcome = self._outcome(self.server, step=pb.Step(handle=self._handle, close_round=pb.CloseRound()))
        self.requests = {request.client: request.message for request in self.outcome.requests}
        self.dropped |= {drop.client: drop.rule for drop in self.outcome.dropped}

    def freeze_all(self) -> None:
        """Freeze the server and every client, and go on from the snapshots."""
        self._handle = self._refrozen(self.server, self._handle, server=True)
        for client, handle in self.handles.items():
            key = self.identity_key(client)
            implementation = self.implementation_of(client)
            self.handles[client] = self._refrozen(implementation, handle, identity_key=key, ledger=self.ledger)

    def _refrozen(self, implementation: str, handle: int, **restore: Any) -> int:
        snapshot = self.testees[implementation].call(pb.Call(snapshot=pb.Snapshot(handle=handle))).frozen.snapshot
        outcome = self._outcome(implementation, restore=pb.Restore(snapshot=snapshot, roster=self.roster(), **restore))
        assert outcome.status == pb.ACCEPTED
        return outcome.handle

    def play(self, rounds: int, silent: Mapping[int, Collection[int]] | None = None) -> ChosenSession:
        """Play rounds; `silent` has by round, from 0, the clients that leave in it."""
        for number in range(rounds):
            answers: dict[int, bytes] = {}
            for client, request in self.requests.items():
                if client not in (silent or {}).get(number, ()):
                    outcome = self.step(client, message=request)
                    assert outcome.status == pb.ACCEPTED, f"{client} in round {number}: {outcome}"
                    answers[client] = outcome.answer
            for direction, messages in ((b"\0", self.requests), (b"\1", answers)):
                self.transcript += [direction + c.to_bytes(8, "big") + messages[c] for c in sorted(messages)]
            for client, answer in answers.items():
                told = self.deliver(client, answer)
                assert told.status == pb.ACCEPTED, f"{client} in round {number}: {told}"
            self.close()
        return self

    def assert_exact(self, contributors: Collection[int]) -> None:
        """The result is the sum over these clients, to the unit."""
        assert self.outcome.phase == "COMPLETED", self.outcome
        result = self.outcome.result
        assert list(result.contributors) == sorted(contributors)
        weights = {client: self.weight_of(client) for client in contributors}
        assert result.total_weight == sum(weights.values())
        found = {values.name: values for values in result.vectors}
        counts = [sum(column) for column in zip(*map(self.counts_of, contributors), strict=True)]
        assert list(found["counts"].integers) == counts
        for place, value in enumerate(found["mean"].reals):
            expected = sum(weight * self.levels_of(client)[place] for client, weight in weights.items())
            assert value / 0.7 * 127 * sum(weights.values()) == pytest.approx(expected, abs=1e-6)
