"""Several observers behind one: a host has one, and logs, metrics and traces want to hear the same."""

from __future__ import annotations

from secagg.errors import DropReason
from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import Departure, Expired, ReceiptKind
from secagg.parameters import ClientId
from secagg.protocol.events import Progress, Stage
from secagg.protocol.messages import Round
from secagg.store.base import Outcome


class FanOut(HostObserver):
    """Tells each of several observers everything, in their order.

    Args:
        observers: whom to tell.
    """

    def __init__(self, *observers: HostObserver) -> None:
        self._observers = observers

    def session_created(self, name: str, clients: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_created(name, clients)

    def session_opened(self, name: str, digest: bytes) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_opened(name, digest)

    def session_left(self, name: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_left(name)

    def session_refused(self, name: str, error: Exception) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_refused(name, error)

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_resumed(name, entries, seconds)

    def session_ended(self, name: str, outcome: Outcome) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_ended(name, outcome)

    def session_expired(self, name: str, what: Expired) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_expired(name, what)

    def session_failed(self, name: str, error: BaseException) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.session_failed(name, error)

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.round_opened(name, round_, clients, seconds)

    def round_closed(self, name: str, round_: Round, answered: int, seconds: float) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.round_closed(name, round_, answered, seconds)

    def client_dropped(self, name: str, client: ClientId, round_: Round, reason: Departure, detail: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.client_dropped(name, client, round_, reason, detail)

    def shares_wrong(self, name: str, holder: ClientId, reason: DropReason, owners: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.shares_wrong(name, holder, reason, owners)

    def answer(self, name: str, round_: Round | None, client: ClientId, kind: ReceiptKind) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.answer(name, round_, client, kind)

    def bytes_received(self, name: str, client: ClientId, count: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.bytes_received(name, client, count)

    def bytes_sent(self, name: str, client: ClientId, count: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.bytes_sent(name, client, count)

    def login_answered(self, outcome: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.login_answered(outcome)

    def logged_in(self, actor: str, session: str, client: ClientId | None) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.logged_in(actor, session, client)

    def operator_called(self, call: str, actor: str, session: str, client: ClientId | None) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.operator_called(call, actor, session, client)

    def trouble(self) -> str:
        """The first trouble that one of them has."""
        return next(filter(None, (observer.trouble() for observer in self._observers)), "")

    def stage_entered(self, name: str, stage: Stage) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.stage_entered(name, stage)

    def unmasking_progressed(self, name: str, progress: Progress) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.unmasking_progressed(name, progress)

    def step_timed(self, name: str, step: str, seconds: float) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.step_timed(name, step, seconds)

    def readiness_changed(self, trouble: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.readiness_changed(trouble)

    def executor_failed(self, trouble: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.executor_failed(trouble)

    def lease_taken(self, name: str, epoch: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.lease_taken(name, epoch)

    def lease_lost(self, name: str, epoch: int, why: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.lease_lost(name, epoch, why)

    def expiry_known(self, what: str, at: float) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.expiry_known(what, at)

    def reloaded(self, trouble: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.reloaded(trouble)

    def store_failed(self, name: str, error: Exception) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.store_failed(name, error)
