"""`ScriptedServer`: a server script that grows while honest clients, and corrupt ones, answer it (§6, §7.2).

Every event goes to the script and to a server of an honest session beside it, so that clients have requests to answer.
What a session must end with is computed from the inputs, and compared with what the script holds. NO SECURITY.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeVar

from protocol_specs.generate_vectors.script import Script, WrongScript
from protocol_specs.generate_vectors.world import Insider, Play, World
from protocol_specs.reference import wire
from protocol_specs.reference.parameters import FixedPoint, Integers
from protocol_specs.testee import conformance_pb2 as pb

Json = dict[str, Any]
B = TypeVar("B")

KEYS: Final = "COLLECTING_KEYS"
SHARES: Final = "COLLECTING_SHARES"
INPUTS: Final = "COLLECTING_MASKED_INPUTS"
DISCLOSURES: Final = "COLLECTING_DISCLOSURES"
CONFIRMATIONS: Final = "COLLECTING_CONFIRMATIONS"
UNMASKING: Final = "COLLECTING_UNMASKING_SHARES"
COMPLETED: Final = "COMPLETED"
ABORTED: Final = "ABORTED"

LIVE: Final = (KEYS, SHARES, INPUTS, CONFIRMATIONS, UNMASKING)
"""The live phases of an honest active session, in order; a semi-honest one has no CONFIRMATIONS."""


def phases(active: bool) -> tuple[str, ...]:
    """The live phases of a model."""
    return tuple(phase for phase in LIVE if active or phase != CONFIRMATIONS)


class ScriptedServer:
    """One server script of a world; `requests` are those of the open round."""

    def __init__(self, world: World, **create: Any) -> None:
        """`create` replaces fields of `CreateServer`."""
        self.world = world
        self.script = Script(world.create_server(**create))
        self.play = Play(world)
        self.answers: dict[int, bytes] = {}
        """What clients were heard to say in the open round, accepted or not."""
        self.shifts: dict[str, int] = {}
        """By vector, what corrupt clients added to every sum that is expected."""

    @property
    def phase(self) -> str:
        """The server's phase."""
        return self.play.server.phase.name

    @property
    def requests(self) -> dict[int, bytes]:
        """By client, the request of the open round."""
        return self.play.requests

    @property
    def contributors(self) -> set[int]:
        """Whose input is in the sum."""
        return set(self.play.server._contributors)

    def insider(self, client: int) -> Insider:
        """What a corrupt client knows."""
        return self.play.insider(client)

    def answer(self, client: int) -> bytes:
        """A client's honest answer to its request, which is not sent."""
        return self.play.answer(client)

    def body(self, client: int, kind: type[B]) -> B:
        """The body of a client's honest answer."""
        decoded = wire.decode_for_server(self.answer(client)).body
        if not isinstance(decoded, kind):
            raise WrongScript(f"client {client} answers {type(decoded).__name__}")
        return decoded

    def envelope(self, body: wire.Request | wire.Response, session: bytes | None = None) -> bytes:
        """The bytes of a message of this session, or of another."""
        return self.play.envelope(body, session)

    # Events.

    def receive(self, client: int, message: bytes, status: str = "ACCEPTED") -> None:
        """A message that drops nobody."""
        self._both(status, (), client, message)

    def dropped(self, client: int, message: bytes, *rules: str) -> None:
        """A message that breaks one of these rules and costs its client its place."""
        self._both("DROPPED", rules, client, message)

    def give(self, *clients: int) -> None:
        """Send the honest answers of some clients."""
        for client in clients:
            self.receive(client, self.answer(client))

    def close(self, status: str = "ACCEPTED") -> pb.Outcome:
        """Close the round."""
        phase, requests = self.phase, self.requests
        outcome = self.script.close_round(status)
        if status == "ACCEPTED":
            self.play.history[phase] = (requests, self.answers)
            self.answers = {}
            self.play.server.close_round()
        return outcome

    def end(self, status: str = "ACCEPTED") -> pb.Outcome:
        """The host ends the session."""
        outcome = self.script.step(status, end_session=pb.EndSession())
        self.play.server.abort()
        return outcome

    def snapshot_and_restore(self) -> None:
        """Freeze the session, and go on from the snapshot."""
        self.script.snapshot("frozen")
        self.script.restore("frozen", roster=self.world.create_server().roster)

    def _both(self, status: str, rules: Iterable[str], client: int, message: bytes) -> None:
        self.script.step(status, rules, client_message=pb.ClientMessage(client=client, message=message))
        if status == "ACCEPTED":
            self.answers[client] = message
        if status != "LOCAL_ERROR":
            self.play.server.receive(client, message)

    # Rounds.

    @property
    def waiting(self) -> list[int]:
        """Clients that may still answer the open round, ascending."""
        server = self.play.server
        return [c for c in sorted(self.requests) if c not in server.dropped and c not in server._accepted]

    def play_round(
        self, silent: Collection[int] = (), change: Callable[[int, bytes], bytes] | None = None
    ) -> pb.Outcome:
        """All clients but the silent ones answer, `change` twists what they say, and the round is closed."""
        for client in self.waiting:
            if client not in silent:
                answer = self.answer(client)
                self.receive(client, change(client, answer) if change else answer)
        return self.close()

    def play_to(self, phase: str, silent: Mapping[str, Collection[int]] | None = None) -> ScriptedServer:
        """Play every round before a phase; `silent` has by phase who does not answer. Returns itself."""
        while self.phase != phase:
            if self.phase not in LIVE:
                raise WrongScript(f"{self.phase} instead of {phase}")
            self.play_round((silent or {}).get(self.phase, ()))
        return self

    def finish(
        self,
        contributors: Iterable[int] | None = None,
        silent: Mapping[str, Collection[int]] | None = None,
        inconsistent: Iterable[tuple[int, int]] = (),
    ) -> ScriptedServer:
        """Play to the result, which must be exact, with these contributors and S52 reports (holder, owner)."""
        outcome = self.play_round((silent or {}).get(self.phase, ()))
        while self.phase in LIVE:
            outcome = self.play_round((silent or {}).get(self.phase, ()))
        return self.completed(outcome, contributors, inconsistent)

    def completed(
        self, outcome: pb.Outcome, contributors: Iterable[int] | None, inconsistent: Iterable[tuple[int, int]] = ()
    ) -> ScriptedServer:
        """Compare the last outcome with what the inputs say."""
        if outcome.phase != "COMPLETED":
            raise WrongScript(f"{outcome.phase} {outcome.abort_reason} instead of a result")
        expected = self.contributors if contributors is None else set(contributors)
        if set(outcome.result.contributors) != expected:
            raise WrongScript(f"{outcome.result.contributors} contributed, not {sorted(expected)}")
        reported = [(its.holder, its.owner) for its in outcome.inconsistent]
        if sorted(reported) != sorted(inconsistent):
            raise WrongScript(f"reports {reported}")
        check_result(self.world, outcome.result, self.shifts)
        return self

    def aborted(self, outcome: pb.Outcome, reason: str) -> ScriptedServer:
        """The last outcome must be the session's end for this reason."""
        if outcome.abort_reason != reason:
            raise WrongScript(f"{outcome.phase} {outcome.abort_reason} instead of {reason}")
        return self

    def case(
        self,
        id_: str,
        comment: str,
        requirements: Iterable[str],
        flags: Iterable[str],
        needs: Mapping[str, Any] | None = None,
    ) -> Json:
        """The finished case."""
        return self.script.case(id_, comment, requirements, flags, needs)


def check_result(world: World, result: pb.Result, shifts: Mapping[str, int] | None = None) -> None:
    """Raise `WrongScript` unless a result is the sum or mean of the contributors' inputs, computed without masks."""
    members = list(result.contributors)
    weights = {c: world.weight(c) if world.max_weight > 1 else 1 for c in members}
    if world.max_weight > 1 and result.total_weight != sum(weights.values()):
        raise WrongScript(f"a total weight of {result.total_weight}")
    for found, (name, its) in zip(result.vectors, world.parameters.vectors, strict=True):
        inputs = {c: world.values(c)[name] for c in members}
        if isinstance(its, Integers):
            sums = [int(sum(inputs[c][at] for c in members)) for at in range(its.entries)]
            shift = (shifts or {}).get(name, 0)
            if list(found.integers) != [total + shift for total in sums]:
                raise WrongScript(f"{name} is {list(found.integers)}, not {sums}")
        else:
            _check_reals(its, found.reals, inputs, weights)


def _check_reals(
    its: FixedPoint, found: Iterable[float], inputs: Mapping[int, list[float]], weights: Mapping[int, int]
) -> None:
    mean = its.aggregate == "mean"
    for at, value in enumerate(found):
        terms = [(weights[c] if mean else 1) * values[at] for c, values in inputs.items()]
        expected = sum(terms) / ((sum(weights.values()) or 1) if mean else 1)
        if abs(value - expected) > 2.0**-30 * its.clip * len(terms):
            raise WrongScript(f"{value} instead of {expected}")
