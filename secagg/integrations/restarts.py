"""A session that complaints ended is played again without those whom it blames, whatever framework carries it.

Nothing was unmasked in it, so clients may give the same input to the next one (Specification §6.9). Must not know
frameworks, nor what is summed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, Literal, Protocol, TypeVar, get_args

import secagg
from secagg.errors import AbortReason, DropReason, ParameterError, SessionAbortedError

MAX_RESTARTS: Final = 99
"""Most sessions that may follow one that ended with complaints."""
StayOut = Literal["proved", "blamed", "nobody"]
"""Who of those that made a session end is in no later round: those proved to have, all that are blamed, or nobody."""
_DID: Final[Mapping[DropReason, str]] = {
    DropReason.DEALT_UNREADABLE_PAIR: "dealt shares that nobody can read",
    DropReason.DEALT_INCONSISTENT_SHARES: "dealt shares that contradict each other",
    DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR: "complained of shares that it can read",
    DropReason.DISCLOSURE_INVALID: "complained of others and did not show why",
}


class Playing(Protocol):
    """A session on the server, whatever plays it."""

    @property
    def server(self) -> secagg.ServerSession:
        """The session."""
        ...


_Play = TypeVar("_Play", bound=Playing)


class ComplaintsError(SessionAbortedError):
    """A round ended with complaints, and there is no other session for it.

    Attributes:
        blame: for each session of the round, who was to blame.
    """

    def __init__(self, message: str, blame: tuple[tuple[secagg.Blame, ...], ...]) -> None:
        super().__init__(message, AbortReason.CLIENTS_COMPLAINED)
        self.blame = blame

    def __reduce__(self) -> tuple[type[ComplaintsError], tuple[str, tuple[tuple[secagg.Blame, ...], ...]]]:  # type: ignore[override]
        return type(self), (str(self), self.blame)


class Culprits:
    """Who made sessions of a run end, and takes no part in its later rounds. Remembered as long as the object lives."""

    def __init__(self) -> None:
        self._out: set[int] = set()

    def note(self, blame: secagg.Blame, stay_out: StayOut) -> bool:
        """Keep a client out of later rounds, if such blame does; says whether it is out.

        Args:
            blame: of a session that ended.
            stay_out: what keeps a client out: "proved" or "blamed"; "nobody" keeps none.
        """
        if stay_out == "blamed" or (stay_out == "proved" and blame.evidence is not None):
            self._out.add(blame.client)
        return blame.client in self._out

    def among(self, clients: Iterable[int]) -> list[int]:
        """Return those who are out, ascending.

        Args:
            clients: ids.
        """
        return sorted(self._out.intersection(clients))


@dataclass(frozen=True, slots=True)
class Report:
    """Where it is said who is to blame.

    Attributes:
        log: of the framework; names all of them as warnings.
        called: what people call a client.
        folder: a directory for evidence, one file for each piece, which `secagg verify-blame` takes; None for none.
        culprits: of the run, who are kept out of its later rounds.
        stay_out: which of them.
    """

    log: logging.Logger
    called: Callable[[int], str]
    folder: Path | None = None
    culprits: Culprits = field(default_factory=Culprits)
    stay_out: StayOut = "nobody"

    def say(self, blame: Sequence[secagg.Blame], name: str = "") -> None:
        """Log who is to blame, and keep the evidence.

        Args:
            blame: of one session.
            name: what stands before each line, to tell many sessions apart.
        """
        for each in blame:
            self.log.warning(
                "%sto blame: %s, which %s [%s]; %s%s",
                name,
                self.called(each.client),
                _DID.get(each.reason, each.reason.name),
                each.reason.name,
                self._evidence(each),
                "; it takes no part in later rounds" if self.culprits.note(each, self.stay_out) else "",
            )

    def _evidence(self, blame: secagg.Blame) -> str:
        if blame.evidence is None:
            return "a hint without evidence, which may be wrong about an honest client"
        if self.folder is None:
            return "with evidence"
        path = self.folder / f"client-{blame.client}-{hashlib.sha256(blame.evidence).hexdigest()[:16]}.evidence"
        try:
            self.folder.mkdir(exist_ok=True)
            path.write_bytes(blame.evidence)
        except OSError as error:
            self.log.error("%s cannot be written: %s; so the evidence is in the outcome alone", path, error.strerror)
            return "with evidence"
        return f"evidence in {path}"


@dataclass(frozen=True, slots=True)
class Played(Generic[_Play]):
    """The sessions of one round.

    Attributes:
        plays: in order; the last one did not end with complaints.
        blame: for each of the others, who was to blame and is in none of those that follow.
    """

    plays: tuple[_Play, ...]
    blame: tuple[tuple[secagg.Blame, ...], ...]

    @property
    def last(self) -> _Play:
        """The one that decides what becomes of the round."""
        return self.plays[-1]


def check_restarts(restarts: object) -> None:
    """Refuse what is no number of restarts.

    Args:
        restarts: what somebody gave as one.

    Raises:
        ParameterError: no whole number of 0 .. 99.
    """
    if isinstance(restarts, bool) or not isinstance(restarts, int) or not 0 <= restarts <= MAX_RESTARTS:
        raise ParameterError(
            f"restarts={restarts!r:.40} is no whole number of 0 .. {MAX_RESTARTS}; give how many sessions may follow "
            "one that ended with complaints"
        )


def check_stay_out(stay_out: object) -> None:
    """Refuse what says not who stays out of later rounds.

    Args:
        stay_out: what somebody gave.

    Raises:
        ParameterError: not "proved", "blamed" or "nobody".
    """
    if stay_out not in get_args(StayOut):
        raise ParameterError(
            f"stay_out={stay_out!r:.40} says not who takes no part in later rounds; give 'proved' for clients against "
            "which there is evidence, 'blamed' for those with hints, too, or 'nobody'"
        )


def play_with_restarts(
    play: Callable[[secagg.SessionParameters], _Play],
    choose: Callable[[Sequence[int]], secagg.SessionParameters],
    cohort: Sequence[int],
    restarts: int,
    report: Report,
    *,
    least: int = 0,
    fits: Callable[[secagg.SessionParameters], object] = lambda parameters: None,
) -> Played[_Play]:
    """Play a session, and as long as it ends with complaints another one without those whom it blames.

    Args:
        play: plays one session to its end.
        choose: chooses parameters for a cohort: of the first session, and of one after which too few are left for the
            same threshold.
        cohort: of the first session, ascending.
        restarts: how many may follow.
        report: where it is said who is to blame.
        least: smallest cohort of a session.
        fits: raises a ParameterError for a session that must not be.

    Returns:
        The last session, and who was to blame for those before it.

    Raises:
        ParameterError: the cohort has no session.
        ComplaintsError: the last session that may be ended with complaints, too, or too few clients are left.
    """
    parameters = choose(cohort)
    plays: list[_Play] = []
    blame: list[tuple[secagg.Blame, ...]] = []
    while True:
        played = play(parameters)
        plays.append(played)
        if played.server.abort_reason is not AbortReason.CLIENTS_COMPLAINED:
            # Whom a session blames after shares were revealed is named, and no session follows for these inputs.
            report.say(played.server.blame)
            return Played(tuple(plays), tuple(blame))
        blame.append(played.server.blame)
        report.say(blame[-1])
        blamed = [each.client for each in blame[-1]]
        ended = (
            f"clients could not read shares that were dealt to them, nothing was unmasked, and {blamed} are to blame"
        )
        if len(blame) > restarts:
            raise ComplaintsError(
                f"{ended}; there is no other session without them, since restarts={restarts} is used up; give a larger "
                "number",
                tuple(blame),
            )
        try:
            parameters = _renewed(parameters, blamed, choose, least)
            fits(parameters)
        except ParameterError as error:
            raise ComplaintsError(f"{ended}; there is no session without them: {error}", tuple(blame)) from error
        without = ", ".join(map(report.called, blamed))
        report.log.warning("the round begins again without %s (restart %d of %d)", without, len(blame), restarts)


def _renewed(
    parameters: secagg.SessionParameters,
    blamed: Collection[int],
    choose: Callable[[Sequence[int]], secagg.SessionParameters],
    least: int,
) -> secagg.SessionParameters:
    left = [client for client in parameters.cohort if client not in blamed]
    if len(left) < least:
        raise ParameterError(f"{len(left)} clients are left, and minimum_cohort is {least}")
    try:
        return parameters.renew(exclude=blamed)
    except ParameterError as error:
        try:
            return choose(left)
        except ParameterError:
            raise error from None
