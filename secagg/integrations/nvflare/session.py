"""One secure sum over the sites of a job: from an instruction to the sum of what the sites compute.

Asks the sites which client they are, offers a session to those that answer, and plays its rounds; whoever does not
answer a round in time, or refuses, is dropped, and the session goes on while enough are left. Learns nothing of a site
but its id and the sum it is in. Must not know controllers or models.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from numpy.typing import NDArray
from nvflare.apis.shareable import Shareable

import secagg
from secagg.errors import AbortReason, DecodeError, DropReason, ParameterError, SessionAbortedError
from secagg.integrations.contribution import Report, with_report
from secagg.integrations.nvflare import messages
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.instruction import Instruction, Plan, instruction_digest
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy import Release
from secagg.protocol.events import ClientDropped, ServerEvent

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

    Raises:
        ParameterError: a value outside its range.
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

    @property
    def active(self) -> bool:
        """Whether the sessions withstand a server that lies."""
        return secagg.ThreatModel(self.threat_model) is secagg.ThreatModel.ACTIVE


@dataclass(frozen=True, slots=True)
class SumOutcome:
    """What one session released.

    Attributes:
        arrays: name to sum or mean, in the shape of its specification.
        total_weight: sum of the contributors' weights, or None when the session has none.
        contributors: names of the sites whose inputs are in it, ascending.
        cohort: name of each site of the session to its client id.
        report: how many sites had no input, and how much was limited; what matters of it was logged as a warning.
        events: everything the session reported, drops and their reasons among it.
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
    plan: PrivacyPlan | None = None
    release: Release | None = None


class Attendance:
    """Which sites are there, and which client each is, as they say.

    A site that was silent, or left a session silently, is asked again and not waited for: a dead site costs one
    deadline and not one in every session. A site that names a client it is not gains nothing in the active model, whose
    messages are signed. It can keep the other from taking part: when two sites name one client, neither does.
    """

    def __init__(self) -> None:
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
) -> SumOutcome:
    """Play one session.

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

    Raises:
        ParameterError: vectors, instruction and settings that do not fit each other.
        SessionAbortedError: too few sites were left, or the job was aborted.
    """
    if settings.active and roster is None:
        raise ParameterError(
            "the active model needs a roster: name roster and authority in local/secagg.toml of the server"
        )
    if privacy is None:
        plan = Plan(tuple(vectors), difference, weighted=max_weight > 1)
    else:
        summed = tuple(name for name, _ in privacy.arrays)
        difference, plan = True, Plan(summed, True, privacy.weights > 0, privacy.to_bytes())
    missing = sorted(set(plan.names) - set(instruction.dxo.data)) if difference else []
    if missing:
        raise ParameterError(f"the instruction lacks {missing[0]!r}, from which differences are summed; put it in")
    context = instruction_digest(job, instruction, plan)
    cohort = attendance.call(exchange, sites, settings.attendance_timeout, roster if settings.active else None)
    least = settings.minimum_cohort if privacy is None else max(settings.minimum_cohort, privacy.floor)
    if len(cohort) < least:
        floor = "the floor of the privacy plan" if least > settings.minimum_cohort else "minimum_cohort"
        raise SessionAbortedError(
            f"{len(cohort)} of {len(sites)} sites are there and may take part, and {floor} is {least}; wait for more",
            AbortReason.TOO_FEW_ADVERTISED,
        )
    names = plan.vector_names()
    if privacy is not None:
        parameters = privacy.parameters(sorted(cohort), context, max_dropout=settings.max_dropout, suite=settings.suite)
    else:
        parameters = secagg.SessionParameters.choose(
            clients=sorted(cohort),
            vectors=with_report({names[name]: spec for name, spec in vectors.items()}),
            threat_model=settings.threat_model,
            max_dropout=settings.max_dropout,
            max_corrupt=settings.max_corrupt,
            minimum_contributors=settings.minimum_contributors,
            max_weight=max_weight,
            suite=settings.suite,
            context=context,
        )
    play = _Play(exchange, secagg.ServerSession(parameters, roster=roster), cohort, instruction, plan, settings)
    try:
        result = play.run()
    finally:
        for event in play.events:
            if isinstance(event, ClientDropped) and event.reason is DropReason.DID_NOT_ANSWER_IN_TIME:
                attendance.note_silent(cohort[event.client])
    release, report = None, Report()
    if privacy is None:
        arrays, report = {name: result.vectors[vector] for name, vector in names.items()}, Report.of(result.vectors)
    else:
        try:
            release = privacy.decode(result, parameters=parameters)
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
        events=tuple(play.events),
        plan=privacy,
        release=release,
    )


class _Play:
    """The rounds of one session."""

    def __init__(
        self,
        exchange: Exchange,
        server: secagg.ServerSession,
        cohort: Mapping[int, str],
        instruction: Instruction,
        plan: Plan,
        settings: SumSettings,
    ) -> None:
        self.events: list[ServerEvent] = []
        self._exchange = exchange
        self._server = server
        self._sites = cohort
        self._clients = {site: client for client, site in cohort.items()}
        self._instruction = instruction
        self._plan = plan
        self._settings = settings
        self._tag = messages.session_tag(server.offer)

    def run(self) -> secagg.SessionResult:
        server, offer = self._server, self._server.offer
        try:
            while (round_ := server.round) is not None:
                self._play_round(round_, offer if round_ is secagg.Round.ADVERTISE_KEYS else None)
                server.close_round()
                self._report(server.take_events())
        finally:
            if server.round is not None:
                server.abort("the job was aborted")
            self._say_goodbye()
        return server.result

    def _play_round(self, round_: secagg.Round, offer: bytes | None) -> None:
        computing = round_ is secagg.Round.MASKED_INPUT
        seconds = self._settings.learning_timeout if computing else self._settings.round_timeout
        tasks = {}
        for client, request in self._server.requests.items():
            asked = messages.Asked(
                self._tag,
                round_.value,
                request,
                offer,
                self._instruction if computing else None,
                self._plan if computing else None,
                self._plan.privacy if offer is not None else None,
            )
            tasks[self._sites[client]] = messages.request_task(asked)
        self._exchange.run(tasks, seconds, self._take)

    def _take(self, site: str, reply: Shareable | None) -> None:
        client = self._clients[site]
        if reply is None:
            gone = DropReason.DID_NOT_ANSWER_IN_TIME
            self._report(self._server.drop(client, gone, f"client {client}: NVFLARE gave up its site {site}"))
            return
        read = messages.read_reply(reply)
        if isinstance(read, messages.Answer):
            self._report(self._server.receive(client, read.message))
        else:
            left = DropReason.CLIENT_ABORTED
            self._report(self._server.drop(client, left, f"client {client}, site {site}: {read.reason}"))

    def _report(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, ClientDropped):
                site = self._sites[event.client]
                _LOG.warning(
                    "site %s was dropped in %s: %s [%s]", site, event.round.value, event.detail, event.reason.name
                )

    def _say_goodbye(self) -> None:
        """After an abort, tell the sites, so that they erase their secrets now; nobody waits for replies."""
        notices = {
            self._sites[client]: messages.request_task(messages.Asked(self._tag, "abort", notice))
            for client, notice in self._server.requests.items()
        }
        self._exchange.post(notices, self._settings.round_timeout)
