"""Live sessions with different views for different clients, and clients without a tape (Specification §6.5, §6.6, §1).

Nothing may come of it but refusals and aborted sessions: no share for a second view, and no sum that is not the sum.
Must not know how a testee is reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from secagg.canonical import encode_fields
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import CLIENT, SERVER, Case, Deviation, Table
from secagg.conformance.fresh import Fresh
from secagg.conformance.live import ADVERTISE_KEYS, UNMASKING, LiveSession
from secagg.conformance.outcomes import told
from secagg.conformance.tampering import altered, body_of, in_session, parsed, replace_list
from secagg.conformance.to_clients import Part
from secagg.wire.messages_pb2 import Envelope, SessionOffer


def view_cases(part: Part) -> Iterator[Case]:
    """Every case of this kind for one session."""
    needs = part.session.needs
    for name, shown in (
        ("other-context", replace(part.parameters, context=b"another context")),
        ("other-nonce", replace(part.parameters, nonce=bytes(32))),
    ):
        for roles in (CLIENT, SERVER):
            play = _OtherParameters(part, shown.encode(), roles == SERVER).play
            yield Case(f"live-{part.kind}-{roles[0]}-{name}-for-one", ("R07",), roles, play, needs)
    yield Case(f"live-{part.kind}-client-fresh-secrets", ("R02", "R50"), CLIENT, Fresh(part).play, needs)
    fresh = Fresh(part).play_in_two_processes
    yield Case(f"live-{part.kind}-client-fresh-processes", ("R02",), CLIENT, fresh, needs, processes=True)
    if part.active:
        checked = ("C59", "C60", "R03")
        yield Case("live-active-client-split-contributors", checked, CLIENT, _SplitContributors(part).play, needs)


class _OtherParameters:
    """One client is offered other parameters, and the network exchanges the digests in its messages."""

    def __init__(self, part: Part, parameters: bytes, serves: bool) -> None:
        self._part = part
        self._serves = serves
        self._offer = SessionOffer(parameters=parameters).SerializeToString(deterministic=True)
        self._honest = parsed(part.request(ADVERTISE_KEYS)).session
        self._digest = hashlib.sha256(encode_fields(b"secagg/v1 session digest", parameters)).digest()

    def play(self, table: Table) -> None:
        """Play it; the client must not end up in a sum."""
        session, client = self._part.session, self._part.client
        desks = dict.fromkeys(session.clients, table.ours)
        desks[client] = table.ours if self._serves else table.testee
        offered = pb.CreateClient()
        offered.CopyFrom(session.clients[client])
        offered.offer = self._offer
        live = LiveSession(session, table.testee if self._serves else table.ours, desks, {client: offered})
        for _ in self._part.rounds:
            for each, request in live.requests.items():
                outcome = live.ask(each, in_session(request, self._digest) if each == client else request)
                message = outcome.answer or outcome.notice
                if message:
                    live.deliver(each, in_session(message, self._honest))
            if live.live:
                live.close()
        live.hold_no_wrong_sum()
        if client in live.outcome.result.contributors:
            raise Deviation(f"client {client} was shown other parameters, and its input is in the sum")


class _SplitContributors:
    """Half of the clients sign all contributors, half a list without one; nobody may reveal a share after that."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def play(self, table: Table) -> None:
        """Play it with all clients of the testee."""
        session = self._part.session
        live = LiveSession(session, table.ours, dict.fromkeys(session.clients, table.testee))
        for _ in self._part.rounds[: self._part.rounds.index(UNMASKING) - 1]:
            live.play_round()
        cohort = list(live.requests)
        left_out = cohort[0]
        full, short = cohort, cohort[1:]
        views = {client: full if at % 2 == 0 else short for at, client in enumerate(cohort)}
        signatures = dict[int, bytes]()
        for client, request in live.requests.items():
            outcome = live.ask(client, altered(request, _listing(views[client])))
            if outcome.status != pb.ACCEPTED:
                raise Deviation(f"client {client} was shown a list that could be honest, and gave {told(outcome)}")
            signatures[client] = body_of(outcome.answer).signature
        digest = parsed(self._part.request(ADVERTISE_KEYS)).session
        for client in cohort:
            view = views[client]
            demand = Envelope(session=digest)
            body = demand.unmasking_request
            body.survivors.extend(other for other in view if other != client)
            body.dropped.extend([left_out] if view is short else [])
            # Where t clients signed the same list they get signatures over both; the others only those over their own.
            own = [signer for signer in view if views[signer] is view]
            wanted = own if len(own) < self._part.parameters.threshold else view
            for signer in wanted:
                body.confirmations.add(client=signer, signature=signatures[signer])
            outcome = live.ask(client, demand.SerializeToString(deterministic=True))
            if outcome.status != pb.REFUSED or outcome.rule not in ("C59", "C60") or outcome.HasField("answer"):
                raise Deviation(
                    f"client {client} was shown confirmations of two lists: expected REFUSED by C59 or C60, "
                    f"and {told(outcome)} came"
                )


def _listing(contributors: list[int]) -> Callable[[Any], None]:
    return lambda body: replace_list(body.contributors, contributors)
