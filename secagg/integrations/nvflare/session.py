"""One secure sum over the sites of a job: from an instruction to the sum of what the sites compute.

Asks the sites which client they are, offers a session to those that answer, and plays its rounds; whoever does not
answer a round in time, or refuses, is dropped, and the session goes on while enough are left. Learns nothing of a site
but its id and the sum it is in. Must not know controllers or models.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from nvflare.apis.shareable import Shareable

import secagg
from secagg.errors import AbortReason, DecodeError, ParameterError, SessionAbortedError
from secagg.integrations.cells import Cells
from secagg.integrations.contribution import Report, with_report
from secagg.integrations.nvflare import messages
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.instruction import Instruction, Plan, instruction_digest
from secagg.integrations.nvflare.play import Play, play_side_by_side
from secagg.integrations.restarts import Culprits, StayOut, check_restarts, check_stay_out, play_with_restarts
from secagg.integrations.restarts import Report as BlameReport
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy import Release
from secagg.protocol.events import ServerEvent

_LOG: Final = logging.getLogger("secagg.nvflare")
_Spec = secagg.FixedPoint | secagg.Integers


@dataclass(frozen=True)
class SumSettings:
    """Settings of the sessions that a server offers; each site holds them against its own policy.

    NVFLARE's job API writes it into the configuration of a job by its attributes.

    Attributes:
        threat_model: "semi-honest" or "active".
        max_dropout: fraction of the cohort that may leave.
        max_corrupt: fraction of the cohort that may side with the server.
        minimum_cohort: with fewer sites there is no session.
        minimum_contributors: smallest sum that is released; None leaves it to `SessionParameters.choose`.
        attendance_timeout: seconds that sites have to say which client they are, before a session begins; at a job's
            start some still load.
        round_timeout: seconds that sites have to answer each round but the one in which they compute. A site asks for
            its task every two seconds, unless the job says otherwise, so this is rather more than that.
        learning_timeout: seconds for that one.
        suite: cryptographic suite.
        restarts: how many sessions may follow, for one sum, one that ends with complaints; each goes without the sites
            that the ones before it blame.
        stay_out: who of those that are blamed takes no part in later sums of the job either: "proved" (those against
            whom there is evidence), "blamed" (all, hints being enough) or "nobody".
        cells: put sites into cells, each a session of its own; a round has the mean of each cell. Sites weigh alike, a
            cell gives a sum of all its sites or none, and its graph is complete.

    Raises:
        ParameterError: a value outside its range, or settings that cells exclude.
    """

    threat_model: secagg.ThreatModel | str = secagg.ThreatModel.SEMI_HONEST
    max_dropout: float = 0.2
    max_corrupt: float = 0.1
    minimum_cohort: int = 3
    minimum_contributors: int | None = None
    attendance_timeout: float = 60.0
    round_timeout: float = 60.0
    learning_timeout: float = 3600.0
    suite: secagg.SuiteId | int = secagg.SuiteId.X25519_AES128CTR
    restarts: int = 0
    stay_out: StayOut = "proved"
    cells: Cells | None = None

    def __post_init__(self) -> None:
        names = [model.value for model in secagg.ThreatModel]
        if self.threat_model not in (*names, *secagg.ThreatModel):
            raise ParameterError(f"threat_model {self.threat_model!r} is unknown; give one of {names}")
        if self.minimum_cohort < 2:
            raise ParameterError(f"minimum_cohort {self.minimum_cohort} is below 2; one client is no sum")
        for name in ("attendance_timeout", "round_timeout", "learning_timeout"):
            seconds = getattr(self, name)
            if not 0 < seconds < float("inf"):
                raise ParameterError(f"{name} {seconds} is no positive number of seconds; sites need time to answer")
        check_restarts(self.restarts)
        check_stay_out(self.stay_out)
        if self.cells is not None:
            if not isinstance(self.cells, Cells):
                raise ParameterError(f"cells is a {type(self.cells).__name__}; give Cells(size=...)")
            self.cells.require(secagg.ThreatModel(self.threat_model))
            self.cells.require_alone(self, ("max_dropout", "minimum_cohort", "minimum_contributors", "restarts"))

    @property
    def active(self) -> bool:
        """Whether the sessions withstand a server that lies."""
        return secagg.ThreatModel(self.threat_model) is secagg.ThreatModel.ACTIVE


@dataclass(frozen=True, slots=True)
class SumOutcome:
    """What one session released.

    Attributes:
        arrays: name to sum or mean, in the shape of its specification: float64 for FixedPoint, int64 for Integers.
        total_weight: sum of the contributors' weights, or None when the session has none.
        contributors: names of the sites whose inputs are in it, ascending.
        cohort: name of each site of the session to its client id.
        report: how many sites had no input, and how much was limited; what matters of it was logged as a warning.
        events: everything the sessions reported, drops and their reasons among it.
        blame: for each session of this sum that ended with complaints before the last one, who was to blame and is not
            in the last one, with evidence where there is some.
        plan: what was promised to the sites; None without a privacy plan. The arrays are then noisy means, and there is
            no report.
        release: what the sum says under it, with the noisy total weight.
    """

    arrays: Mapping[str, NDArray[Any]]
    total_weight: int | None
    contributors: tuple[str, ...]
    cohort: Mapping[str, int]
    report: Report
    events: tuple[ServerEvent, ...] = field(repr=False)
    blame: tuple[tuple[secagg.Blame, ...], ...] = ()
    plan: PrivacyPlan | None = None
    release: Release | None = None


class Attendance:
    """Which sites are there, and which client each is, as they say.

    A site that was silent, or left a session silently, is asked again and not waited for: a dead site costs one
    deadline and not one in every session. A site that names a client it is not gains nothing in the active model, whose
    messages are signed. It can keep the other from taking part: when two sites name one client, neither does.

    Attributes:
        culprits: clients that made sessions end, and take no part in later ones.
    """

    def __init__(self) -> None:
        self.culprits = Culprits()
        self._silent: set[str] = set()

    def call(
        self, exchange: Exchange, sites: Sequence[str], seconds: float, roster: Mapping[int, bytes] | None
    ) -> Mapping[int, str]:
        """Return client to site, for those that answer and may take part.

        Args:
            exchange: to the sites.
            sites: whom to ask.
            seconds: how long to wait.
            roster: who may take part; None takes everybody.
        """
        said: dict[str, int | None] = {}

        def note(site: str, reply: Shareable | None) -> None:
            if reply is None:
                return
            self._silent.discard(site)
            try:
                said[site] = messages.read_hello_reply(reply)
            except DecodeError as error:
                said[site] = None
                _LOG.warning("site %s takes no part: %s", site, error)

        silent = frozenset(self._silent)
        waited_for = [site for site in sites if site not in silent]
        exchange.run(
            {site: messages.hello_task() for site in sites}, seconds, note, silent if waited_for else frozenset()
        )
        self._silent.update(site for site in sites if site not in said)
        owners: dict[int, list[str]] = {}
        for site in sites:
            if site not in said:
                _LOG.warning("site %s did not say in time which client it is, and takes no part", site)
                continue
            client = said[site]
            if client is None:
                continue
            if roster is not None and client not in roster:
                _LOG.warning("site %s is client %d, which is not in the roster; it takes no part", site, client)
            else:
                owners.setdefault(client, []).append(site)
        for client, named in owners.items():
            if len(named) > 1:
                _LOG.warning("sites %s all say that they are client %d; none of them takes part", named, client)
        return {client: named[0] for client, named in owners.items() if len(named) == 1}

    def note_silent(self, site: str) -> None:
        """Remember that a site left a session without a word."""
        self._silent.add(site)


def required_roster(settings: SumSettings, roster: Mapping[int, bytes] | None) -> Mapping[int, bytes] | None:
    """Return who may take part in sessions of these settings; None in the semi-honest model, where that is everybody.

    Raises:
        ParameterError: the active model without a roster.
    """
    if settings.active and roster is None:
        raise ParameterError(
            "the active model needs a roster: name roster and authority in local/secagg.toml of the server"
        )
    return roster if settings.active else None


def plan_of(
    vectors: Mapping[str, _Spec],
    instruction: Instruction,
    *,
    difference: bool,
    weighted: bool = False,
    privacy: PrivacyPlan | None = None,
    norm: float | None = None,
) -> Plan:
    """Return what is summed, as the sites are told; the arguments are those of :func:`run_session`.

    Raises:
        ParameterError: differences from what the instruction does not have.
    """
    if privacy is None:
        plan = Plan(tuple(vectors), difference, weighted, norm=norm)
    else:
        plan = Plan(tuple(name for name, _ in privacy.arrays), True, privacy.weights > 0, privacy.to_bytes())
    if plan.difference and (missing := sorted(set(plan.names) - set(instruction.dxo.data))):
        raise ParameterError(f"the instruction lacks {missing[0]!r}, from which differences are summed; put it in")
    return plan


def play_with_attendance(exchange: Exchange, attendance: Attendance, plays: Sequence[Play]) -> None:
    """Play sessions side by side, and remember which sites left one silently."""
    try:
        play_side_by_side(exchange, plays)
    finally:
        for site in (site for play in plays for site in play.silent):
            attendance.note_silent(site)


def run_session(
    exchange: Exchange,
    attendance: Attendance,
    job: str,
    sites: Sequence[str],
    vectors: Mapping[str, _Spec],
    instruction: Instruction,
    settings: SumSettings,
    *,
    roster: Mapping[int, bytes] | None = None,
    difference: bool = False,
    max_weight: int = 1,
    privacy: PrivacyPlan | None = None,
    evidence: Path | None = None,
) -> SumOutcome:
    """Play one session, and when it ends with complaints another one without the culprits, as the settings allow.

    Args:
        exchange: to the sites.
        attendance: of the job so far.
        job: the job's id, which every site knows.
        sites: names of the sites to ask.
        vectors: name of an array of the learners' results to what it holds.
        instruction: what the learners are given.
        settings: of the session.
        roster: client id to 32-byte Ed25519 key; active model.
        difference: sum result minus instruction, array by array.
        max_weight: largest weight of a site; 1 weighs all alike.
        privacy: sum the differences of its arrays under this plan; the vectors are the plan's.
        evidence: a directory for evidence against those that are blamed; None leaves it in the outcome.

    Raises:
        ParameterError: vectors, instruction and settings that do not fit each other.
        SessionAbortedError: too few sites were left, or the job was aborted.
        ComplaintsError: one more session ended with complaints than may, or too few sites are left for a restart.
    """
    if settings.cells is not None:
        raise ParameterError("the settings put sites into cells, and this is a sum of all; take secure_cells")
    plan = plan_of(vectors, instruction, difference=difference, weighted=max_weight > 1, privacy=privacy)
    context = instruction_digest(job, instruction, plan)
    cohort = attendance.call(exchange, sites, settings.attendance_timeout, required_roster(settings, roster))
    if out := attendance.culprits.among(cohort):
        _LOG.info("sites %s made an earlier session end, and take no part", [cohort[client] for client in out])
        cohort = {client: site for client, site in cohort.items() if client not in out}
    least = settings.minimum_cohort if privacy is None else max(settings.minimum_cohort, privacy.floor)
    if len(cohort) < least:
        floor = "the floor of the privacy plan" if least > settings.minimum_cohort else "minimum_cohort"
        raise SessionAbortedError(
            f"{len(cohort)} of {len(sites)} sites are there and may take part, and {floor} is {least}; wait for more",
            AbortReason.TOO_FEW_ADVERTISED,
        )
    names = plan.vector_names()

    def choose(clients: Sequence[int]) -> secagg.SessionParameters:
        if privacy is not None:
            return privacy.parameters(clients, context, max_dropout=settings.max_dropout, suite=settings.suite)
        return secagg.SessionParameters.choose(
            clients=clients,
            vectors=with_report({names[name]: spec for name, spec in vectors.items()}),
            threat_model=settings.threat_model,
            max_dropout=settings.max_dropout,
            max_corrupt=settings.max_corrupt,
            minimum_contributors=settings.minimum_contributors,
            max_weight=max_weight,
            suite=settings.suite,
            context=context,
        )

    def played(parameters: secagg.SessionParameters) -> Play:
        play = Play(secagg.ServerSession(parameters, roster=roster), cohort, instruction, plan, settings)
        play_with_attendance(exchange, attendance, [play])
        return play

    def fits(parameters: secagg.SessionParameters) -> None:
        if privacy is not None:
            privacy.check(parameters)

    sessions = play_with_restarts(
        played,
        choose,
        sorted(cohort),
        settings.restarts,
        blame_report(cohort, evidence, attendance.culprits, settings),
        least=settings.minimum_cohort,
        fits=fits,
    )
    result = sessions.last.server.result
    release, report = None, Report()
    if privacy is None:
        arrays, report = {name: result.vectors[vector] for name, vector in names.items()}, Report.of(result.vectors)
    else:
        try:
            release = privacy.decode(result, parameters=sessions.last.server.parameters)
        except ParameterError as error:
            # A total weight that may be noise alone: there is no mean.
            raise SessionAbortedError(str(error), AbortReason.RESULT_NOT_DECODABLE) from error
        arrays = dict(release.mean)
    for sentence in report.sentences(len(result.contributors), max_weight):
        _LOG.warning("secure aggregation: %s", sentence)
    return SumOutcome(
        arrays=arrays,
        total_weight=result.total_weight,
        contributors=tuple(sorted(cohort[client] for client in result.contributors)),
        cohort={site: client for client, site in cohort.items()},
        report=report,
        events=tuple(event for play in sessions.plays for event in play.events),
        blame=sessions.blame,
        plan=privacy,
        release=release,
    )


def blame_report(
    cohort: Mapping[int, str], evidence: Path | None, culprits: Culprits, settings: SumSettings
) -> BlameReport:
    """Return where it is said who is to blame."""

    def called(client: int) -> str:
        return f"client {client} (site {cohort[client]})"

    return BlameReport(_LOG, called, evidence, culprits, settings.stay_out)
