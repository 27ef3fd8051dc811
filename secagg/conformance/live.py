"""Live sessions in which the network is ours: every message can be changed on its way (Specification §6, §7).

Two scenes. `Victim` is one client of the testee: because of the tapes the rest of its session is what the vector has,
so it is played from there. `LiveSession` is a server and all its clients, each at a desk of its own. Both hold what
must never happen, whatever the network does. Must not know which changes there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Desk, Deviation
from secagg.conformance.outcomes import abort_reason_of, alternatives, by_client, told
from secagg.conformance.spans import first_difference
from secagg.conformance.sums import plain_sum, result_difference
from secagg.conformance.vectors import SessionVector
from secagg.parameters import SessionParameters, ThreatModel
from secagg.wire.messages_pb2 import Envelope

ADVERTISE_KEYS: Final = "advertise-keys"
SHARE_KEYS: Final = "share-keys"
MASKED_INPUT: Final = "masked-input"
CONSISTENCY_CHECK: Final = "consistency-check"
UNMASKING: Final = "unmasking"


def round_names(parameters: SessionParameters) -> tuple[str, ...]:
    """Return the rounds of a session in their order, by the names that case ids have."""
    active = parameters.threat_model is ThreatModel.ACTIVE
    check = (CONSISTENCY_CHECK,) if active else ()
    return (ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT, *check, UNMASKING)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to a client, and what may come of it.

    Attributes:
        message: its bytes.
        rules: the ids of which one may refuse it; empty: it must be accepted.
        optional: it may also be accepted.
        answer: with which it must be answered if it is accepted; None: with any bytes.
        complaint: instead of refusing it the client may complain (R64), or must, if no rule is given.
    """

    message: bytes
    rules: frozenset[str] = frozenset()
    optional: bool = False
    answer: bytes | None = None
    complaint: bool = False


class Revelations:
    """The shares that left one client; never both of one owner (R27)."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._seeds: set[int] = set()
        self._keys: set[int] = set()

    def add(self, answer: bytes) -> None:
        """Take down an answer, where it is one; raises Deviation when it completes a pair."""
        try:
            body = Envelope.FromString(answer).unmasking_response
        except DecodeError:
            return
        self._seeds.update(share.owner for share in body.seed_shares)
        self._keys.update(share.owner for share in body.mask_key_shares)
        both = sorted(self._seeds & self._keys)
        if both:
            raise Deviation(f"{self._who} revealed both shares of client {both[0]}, which R27 forbids")


class Victim:
    """One client of the testee; what it is sent and must answer stands in a session vector.

    Args:
        desk: of the testee.
        session: the vector.
        client: which of its clients.
    """

    def __init__(self, desk: Desk, session: SessionVector, client: int) -> None:
        self._desk = desk
        self._session = session
        self._client = client
        self._revealed = Revelations("the client")
        outcome = desk.create(session.clients[client])
        if outcome.status != pb.ACCEPTED:
            raise Deviation(f"the client was offered an honest session and gave {told(outcome)}")
        self._handle = outcome.handle
        given = desk.step(self._handle, set_input=session.inputs[client])
        if given.status != pb.ACCEPTED:
            raise Deviation(f"the client was given its input and gave {told(given)}")

    def play(self, rounds: int) -> None:
        """Play this many honest rounds."""
        for number in range(rounds):
            wanted = self._session.rounds[number]
            self.deliver(
                Delivery(wanted.requests[self._client], answer=wanted.answers[self._client]), "an honest request"
            )

    def deliver(self, delivery: Delivery, what: str) -> bool:
        """Deliver a message and hold the outcome against what may come; returns whether the client goes on."""
        outcome = self._desk.step(self._handle, message=delivery.message)
        if outcome.HasField("answer"):
            self._revealed.add(outcome.answer)
        if delivery.complaint and outcome.status == pb.ACCEPTED:
            self._complained(outcome, what)
            return False
        if outcome.status == pb.ACCEPTED and (delivery.optional or not delivery.rules):
            self._accepted(delivery, outcome, what)
            return True
        accepted = "ACCEPTED with a Complaint" if delivery.complaint else "ACCEPTED"
        allowed = "" if delivery.rules and not (delivery.optional or delivery.complaint) else accepted
        if delivery.rules:
            allowed += f"{' or ' if allowed else ''}REFUSED by {alternatives(delivery.rules)}"
        if outcome.status != pb.REFUSED or outcome.rule not in delivery.rules:
            raise Deviation(f"{what}: expected {allowed}, and {told(outcome)} came")
        if outcome.HasField("answer"):
            raise Deviation(f"{what}: the message was refused, and yet answered")
        if outcome.phase != "ABORTED" or outcome.abort_reason != abort_reason_of(outcome.rule):
            came = f"{outcome.phase} {outcome.abort_reason}".strip()
            raise Deviation(f"{what}: the client is in {came} after a refusal, instead of ABORTED")
        return False

    def hold_silent(self, messages: Iterable[bytes]) -> None:
        """Hold that an ended client answers none of these, nor any honest request of its session."""
        honest = (each.requests[self._client] for each in self._session.rounds if self._client in each.requests)
        for message in (*messages, *honest):
            outcome = self._desk.step(self._handle, message=message)
            if outcome.HasField("answer"):
                self._revealed.add(outcome.answer)
                raise Deviation("the client answered a message after it had ended its session")
            if outcome.status != pb.LOCAL_ERROR or outcome.phase != "ABORTED":
                raise Deviation(f"an ended client gave {told(outcome)} in {outcome.phase} instead of LOCAL_ERROR")

    def _complained(self, outcome: pb.Outcome, what: str) -> None:
        """It named somebody, has sent no input, and will not: not even for the request that an honest server sends."""
        named = Envelope.FromString(outcome.answer).complaint.accused if outcome.HasField("answer") else []
        if not named or outcome.phase != "DISCLOSURE":
            raise Deviation(f"{what}: expected a Complaint, and {told(outcome)} came, in {outcome.phase}")
        honest = (each.requests[self._client] for each in self._session.rounds if self._client in each.requests)
        for message in honest:
            after = self._desk.step(self._handle, message=message)
            if after.HasField("answer") or after.phase != "ABORTED":
                raise Deviation(f"{what}: after its Complaint the client gave {told(after)} to an honest request")

    def _accepted(self, delivery: Delivery, outcome: pb.Outcome, what: str) -> None:
        if not outcome.HasField("answer"):
            raise Deviation(f"{what}: the client accepted it without an answer")
        if delivery.answer is not None and outcome.answer != delivery.answer:
            difference = first_difference(delivery.answer, outcome.answer)
            raise Deviation(f"{what}: the answer differs from the expected one at {difference}")


class LiveSession:
    """A server and all its clients; the caller is the network.

    Args:
        session: parameters, keys, tapes and inputs; its dropouts are not played.
        server: the desk at which the server sits.
        clients: the desk of each client.
        creations: how clients are made, where that is not as the vector has it.

    Attributes:
        requests: of the open round, by client; empty when the session has ended.
        outcome: of the last closing.
    """

    def __init__(
        self,
        session: SessionVector,
        server: Desk,
        clients: Mapping[int, Desk],
        creations: Mapping[int, pb.CreateClient] | None = None,
    ) -> None:
        self.session = session
        self.parameters = SessionParameters.decode(session.server.parameters)
        self._server = server
        self._clients = clients
        self._revealed = {client: Revelations(f"client {client}") for client in clients}
        self._handles = dict[int, int]()
        for client, create in {**session.clients, **(creations or {})}.items():
            outcome = clients[client].create(create)
            if outcome.status == pb.ACCEPTED:
                self._handles[client] = outcome.handle
                clients[client].step(outcome.handle, set_input=session.inputs[client])
        self.outcome = server.create(session.server)
        if self.outcome.status != pb.ACCEPTED:
            raise Deviation(f"the server was made with honest parameters and gave {told(self.outcome)}")
        self._handle = self.outcome.handle
        self.requests = by_client(self.outcome.requests)

    def ask(self, client: int, message: bytes | None = None) -> pb.Outcome:
        """Deliver a request to a client, by default the server's."""
        if client not in self._handles:
            return pb.Outcome(status=pb.REFUSED)
        data = self.requests[client] if message is None else message
        outcome = self._clients[client].step(self._handles[client], message=data)
        if outcome.HasField("answer"):
            self._revealed[client].add(outcome.answer)
        return outcome

    def ask_all(self, lost: Collection[int] = ()) -> dict[int, bytes]:
        """Ask every client that is not lost; returns the answers.

        Raises:
            Deviation: the session has ended, a client is not asked, or it has no answer to what it is asked.
        """
        if not self.live:
            came = f"{self.outcome.phase} {self.outcome.abort_reason}".strip()
            raise Deviation(f"the session ended {came} in the middle, although nearly everybody is honest")
        answers = dict[int, bytes]()
        for client in self._clients:
            if client in lost:
                if client in self.requests:
                    raise Deviation(f"client {client} has lost its place, and is asked in {self.outcome.phase}")
                continue
            if client not in self.requests:
                raise Deviation(f"honest client {client} is not asked in {self.outcome.phase}")
            outcome = self.ask(client)
            if not outcome.HasField("answer"):
                what = f"what it is sent in {self.outcome.phase}"
                raise Deviation(f"client {client} has no answer to {what}: it gave {told(outcome)}")
            answers[client] = outcome.answer
        return answers

    def deliver(self, client: int, message: bytes) -> pb.Outcome:
        """Deliver a message of a client to the server."""
        return self._server.step(self._handle, client_message=pb.ClientMessage(client=client, message=message))

    def deliver_all(self, answers: Mapping[int, bytes]) -> None:
        """Deliver honest answers, which must be accepted."""
        for client, answer in answers.items():
            outcome = self.deliver(client, answer)
            if outcome.status != pb.ACCEPTED:
                raise Deviation(f"the honest answer of client {client} gave {told(outcome)}")

    def close(self) -> pb.Outcome:
        """Close the open round."""
        self.outcome = self._server.step(self._handle, close_round=pb.CloseRound())
        self.requests = by_client(self.outcome.requests) if self.live else {}
        return self.outcome

    @property
    def live(self) -> bool:
        """Whether a round is open."""
        return self.outcome.phase.startswith("COLLECTING")

    def play_round(self) -> dict[int, bytes]:
        """Play the open round honestly; returns the answers."""
        answers = self.ask_all()
        self.deliver_all(answers)
        self.close()
        return answers

    def hold_sum(self, contributors: Collection[int]) -> None:
        """Hold that the session completed with exactly the sum of these clients' inputs."""
        if self.outcome.phase != "COMPLETED" or not self.outcome.HasField("result"):
            came = f"{self.outcome.phase} {self.outcome.abort_reason}".strip()
            raise Deviation(f"the others could have gone on, and the session ended {came} instead of COMPLETED")
        expected = plain_sum(self.parameters, self.session.inputs, contributors)
        difference = result_difference(self.parameters, expected, self.outcome.result)
        if difference:
            raise Deviation(f"the result has {difference}")

    def hold_no_wrong_sum(self) -> None:
        """Hold that the session ended without a result, or with the right one over its own contributors."""
        if self.outcome.HasField("result"):
            contributors = list(self.outcome.result.contributors)
            if contributors != sorted(set(contributors) & self._clients.keys()):
                raise Deviation(
                    f"the result has contributors {contributors}, which are no ascending part of the cohort"
                )
            self.hold_sum(contributors)
