"""Plays the hooks that a host calls in a session, as every observer must bear them."""

from __future__ import annotations

from secagg.errors import AbortReason, DropReason
from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import Expired, ReceiptKind
from secagg.protocol.events import Progress, Stage
from secagg.protocol.messages import Round
from secagg.store.base import Aborted, Blamed, Completed, StoreError


def play(observer: HostObserver) -> None:
    """A session that completes, one that is resumed and aborted, and one that fails."""
    observer.session_created("a", 4)
    observer.session_opened("a", bytes(32))
    observer.round_opened("a", Round.ADVERTISE_KEYS, 4, 60.0)
    observer.bytes_received("a", 1, 100)
    observer.bytes_received("a", 2, 23)
    observer.login_answered("accepted")
    observer.login_answered("accepted")
    observer.login_answered("SIGNATURE_INVALID")
    observer.bytes_sent("a", 1, 50)
    observer.bytes_sent("a", 2, 6)
    observer.answer("a", Round.ADVERTISE_KEYS, 1, ReceiptKind.ACCEPTED)
    observer.answer("a", Round.ADVERTISE_KEYS, 1, ReceiptKind.REPEATED)
    observer.client_dropped("a", 3, Round.ADVERTISE_KEYS, DropReason.DID_NOT_ANSWER_IN_TIME, "client 3 was late")
    observer.step_timed("a", "append", 0.002)
    observer.round_closed("a", Round.ADVERTISE_KEYS, 3, 1.5)
    observer.round_opened("a", Round.UNMASKING, 3, 60.0)
    observer.stage_entered("a", Stage.REBUILDING_SECRETS)
    observer.unmasking_progressed("a", Progress(Stage.REBUILDING_SECRETS, 4, 4))
    observer.stage_entered("a", Stage.REMOVING_MASKS)
    observer.unmasking_progressed("a", Progress(Stage.REMOVING_MASKS, 1, 8))
    observer.shares_wrong("a", 2, DropReason.SHARE_NOT_AS_DEALT, 3)
    observer.round_closed("a", Round.UNMASKING, 3, 2.5)
    observer.session_ended("a", Completed("result"))
    observer.session_expired("a", Expired.RESULT)
    observer.session_expired("a", Expired.SESSION)
    observer.answer("a", None, 2, ReceiptKind.LATE)
    observer.session_opened("b", bytes(31) + b"b")
    observer.session_resumed("b", 17, 0.5)
    observer.readiness_changed("")
    observer.readiness_changed("the disk is full")
    observer.reloaded("")
    observer.reloaded("its file is no TOML")
    observer.executor_failed("processes cannot work")
    observer.lease_taken("d", 3)
    observer.lease_lost("d", 3, "the lease has passed on")
    observer.expiry_known("certificate", 2e9)
    observer.session_refused("another", ValueError("its table is wrong"))
    observer.store_failed("b", StoreError("the disk is full"))
    observer.session_ended("b", Aborted(AbortReason.TOO_FEW_SHARERS.value, "only 1 client is left"))
    blame = (Blamed(3, "S22", b"signed"), Blamed(4, "S34"))
    observer.session_ended("d", Aborted(AbortReason.CLIENTS_COMPLAINED.value, "2 lied", blame=blame, successor="d~1"))
    observer.session_created("c", 2)
    observer.session_opened("c", bytes(31) + b"c")
    observer.round_opened("c", Round.ADVERTISE_KEYS, 2, 60.0)
    observer.session_failed("c", ZeroDivisionError("a defect"))
