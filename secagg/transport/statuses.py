"""Statuses and deadlines of sessions as messages, and back, for both halves of the network service."""

from __future__ import annotations

from secagg.errors import AbortReason, DropReason, ParameterError
from secagg.hosting import Accused, Progress, RoundSchedule, SessionStatus, Stage
from secagg.protocol.messages import Round
from secagg.transport import service_pb2 as pb
from secagg.transport.refusals import drop_reason_of, sentence


def status_message(status: SessionStatus) -> pb.GetStatusReply:
    """Return the message of a status."""
    known = status.contributors is not None
    return pb.GetStatusReply(
        session=status.name,
        state=status.state,
        clients=status.clients,
        expected=status.expected,
        answered=status.answered,
        pending=status.pending,
        dropped=[pb.DropCount(reason_id=reason.value, clients=count) for reason, count in status.dropped.items()],
        seconds_left=status.seconds_left,
        log_entries=status.log_entries,
        stored_bytes=status.stored_bytes,
        result_ready=status.result_ready,
        abort_reason_id="" if status.abort_reason is None else status.abort_reason.value,
        detail=sentence(status.detail),
        created_at=status.created_at,
        contributors=pb.Contributors(clients=status.contributors or ()) if known else None,
        progress=None if status.progress is None else _sent(status.progress),
        ended_at=status.ended_at,
        blame=[
            pb.Blamed(client=each.client, reason_id=each.reason.value, evidence=each.has_evidence)
            for each in status.blame
        ],
        successor=status.successor,
    )


def status_in(reply: pb.GetStatusReply) -> SessionStatus:
    """Read a status; reasons that this release does not know are left out."""
    counts = {drop_reason_of(count.reason_id): count.clients for count in reply.dropped}
    return SessionStatus(
        name=reply.session,
        state=reply.state,
        clients=reply.clients,
        expected=reply.expected,
        answered=reply.answered,
        pending=reply.pending,
        dropped={reason: count for reason, count in counts.items() if reason is not None},
        seconds_left=reply.seconds_left if reply.HasField("seconds_left") else None,
        log_entries=reply.log_entries,
        stored_bytes=reply.stored_bytes,
        result_ready=reply.result_ready,
        abort_reason=next((reason for reason in AbortReason if reason.value == reply.abort_reason_id), None),
        detail=reply.detail,
        created_at=reply.created_at,
        contributors=tuple(reply.contributors.clients) if reply.HasField("contributors") else None,
        progress=_read(reply.progress) if reply.HasField("progress") else None,
        ended_at=reply.ended_at,
        blame=tuple(
            Accused(each.client, reason, each.evidence)
            for each in reply.blame
            if isinstance(reason := drop_reason_of(each.reason_id), DropReason)
        ),
        successor=reply.successor,
    )


def deadlines_message(schedule: RoundSchedule) -> pb.RoundDeadlines:
    """Return the message of a schedule."""
    seconds = {round_.value: value for round_, value in schedule.seconds.items()}
    return pb.RoundDeadlines(seconds=seconds, session_seconds=schedule.session_seconds)


def deadlines_in(message: pb.RoundDeadlines, restarts: int) -> RoundSchedule:
    """Read a schedule, with how many restarts there may be.

    Raises:
        ParameterError: a round that there is not, or a duration that is none.
    """
    known = {round_.value: round_ for round_ in Round}
    strange = [name for name in message.seconds if name not in known]
    if strange:
        raise ParameterError(f"there is no round {strange[0][:40]!r}; give seconds for {', '.join(known)}")
    seconds = {known[name]: value for name, value in message.seconds.items()}
    bound = message.session_seconds if message.HasField("session_seconds") else None
    return RoundSchedule(seconds, bound, restarts)


def _sent(progress: Progress) -> pb.Progress:
    return pb.Progress(stage=progress.stage.value, done=progress.done, whole=progress.whole)


def _read(reply: pb.Progress) -> Progress | None:
    """None for a stage that this release does not know."""
    stages = {stage.value: stage for stage in Stage}
    return Progress(stages[reply.stage], reply.done, max(1, reply.whole)) if reply.stage in stages else None
