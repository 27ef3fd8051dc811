"""Makes the sessions of server.toml out of its tables, or recognizes those that the data directory has.

A session draws its nonce once, when it is created; after a restart the stored one goes on, whatever the table says, and
a running one that the table contradicts is said to be so, and goes on. Must not know gRPC.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import secagg
from secagg.cli.service.context import context_of
from secagg.cli.service.private import load_plan
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.server_settings import RoundSettings, SessionSettings
from secagg.hosting import RoundSchedule, SessionHost
from secagg.identity.directory import Directory, load_directory
from secagg.store.base import StoreConflictError

_ENDED: Final = ("completed", "aborted")


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of the tables.

    Attributes:
        created: the names of new sessions.
        refused: name to why its table makes no session, or is not that of the session that runs, in one sentence.
    """

    created: list[str]
    refused: dict[str, str]


async def offer_sessions(
    host: SessionHost, config: ServerConfig, enrolled: Callable[[], Mapping[int, bytes]]
) -> Offered:
    """Create the sessions of a configuration that the host does not have yet.

    A table that cannot be a session keeps no other from running: the observer hears of it.

    Args:
        host: gets them.
        config: has their tables.
        enrolled: gives the keys of the roster, or raises ParameterError; asked when a session needs them: one that is
            stored has its keys, and goes on after the roster expired.
    """
    offered = Offered([], {})
    for session in config.sessions:
        if session.name in host.damaged:
            continue
        try:
            if await _offer(host, config, session, enrolled):
                offered.created.append(session.name)
        except secagg.SecAggError as error:
            offered.refused[session.name] = str(error)
            host.observer.session_refused(session.name, error)
    return offered


async def _offer(
    host: SessionHost,
    config: ServerConfig,
    session: SessionSettings,
    enrolled: Callable[[], Mapping[int, bytes]],
) -> bool:
    """Create a session, unless it is there; returns whether it is new.

    Raises:
        SecAggError: a roster that is not valid, a cohort that is not in it, parameters that no session may have, a
            quota, a store that failed, or a running session that is configured otherwise than it is.
    """
    if host.has(session.name):
        return _known(host, session)
    keys = enrolled()
    parameters = session_parameters(session, keys)
    rounds = config.rounds if session.rounds is None else session.rounds
    roster = {client: keys[client] for client in parameters.cohort} if keys else {}
    try:
        await host.create(session.name, parameters, roster=roster, schedule=rounds.schedule(session.restarts))
    except StoreConflictError:
        # Another server of the service made it first, with a nonce of its own.
        await host.find(session.name)
        return _known(host, session)
    return True


def _known(host: SessionHost, session: SessionSettings) -> bool:
    """Demand that a session that runs is what its table says; it is not new."""
    stored = host.session(session.name)
    if stored.status().state not in _ENDED:
        _check_unchanged(session, stored.parameters)
    return False


def offered_by_call(
    session: SessionSettings, rounds: RoundSettings, enrolled: Collection[int]
) -> tuple[str, secagg.SessionParameters, RoundSchedule]:
    """Return name, parameters and deadlines of a session that an operator offers.

    Args:
        session: its table.
        rounds: deadlines, where the table has none.
        enrolled: the clients that the server has keys for; none where clients are anonymous.

    Raises:
        ParameterError: naming the session and what is wrong.
    """
    if session.clients == "roster" and not enrolled:
        raise secagg.ParameterError(
            f"session {session.name!r} is for the whole roster, and the server has none; give the number of clients"
        )
    parameters = session_parameters(session, dict.fromkeys(enrolled, b""))
    return session.name, parameters, (session.rounds or rounds).schedule(session.restarts)


def session_parameters(
    session: SessionSettings, keys: Mapping[int, bytes], stored: secagg.SessionParameters | None = None
) -> secagg.SessionParameters:
    """Return a session's parameters.

    Args:
        session: its table.
        keys: the roster; empty without identities.
        stored: a session of this name whose randomness and cohort to take.

    Raises:
        ParameterError: naming the session and what is wrong.
    """
    plan = None if session.privacy is None else load_plan(session.privacy.plan)
    about = b"" if session.context_file is None else context_of(session.context_file)
    minimum, topology = session.minimum_contributors, session.topology
    if plan is not None:
        minimum, topology = minimum or plan.floor, topology or plan.topology
    cohort = _cohort(session, keys) if stored is None or session.clients != "roster" else list(stored.cohort)
    try:
        parameters = secagg.SessionParameters.choose(
            clients=cohort,
            vectors=plan.vectors
            if plan is not None
            else {name: vector.specification() for name, vector in session.vectors.items()},
            threat_model=session.threat_model,
            max_dropout=session.max_dropout,
            max_corrupt=session.max_corrupt,
            context=about if plan is None else plan.bind(about),
            max_weight=session.max_weight,
            topology=topology,
            degree=session.degree,
            threshold=session.threshold,
            minimum_contributors=minimum,
            suite=session.suite,
            security_bits=session.security_bits,
            correctness_bits=session.correctness_bits,
            nonce=None if stored is None else stored.nonce,
            permutation_seed=(stored.topology.permutation_seed or None) if stored is not None else None,
        )
        if plan is not None:
            plan.check(parameters)
        return parameters
    except secagg.ParameterError as error:
        raise secagg.ParameterError(f"session {session.name!r}: {error}") from error


def _check_unchanged(session: SessionSettings, stored: secagg.SessionParameters) -> None:
    wanted = session_parameters(session, {}, stored)
    if wanted.encode() != stored.encode():
        raise secagg.ParameterError(
            f"session {session.name!r} runs with other parameters than its table has now; give the new session another "
            "name, or change the table back"
        )


def _cohort(session: SessionSettings, keys: Mapping[int, bytes]) -> list[int] | int:
    if session.clients == "roster":
        return list(keys)
    clients = range(session.clients) if isinstance(session.clients, int) else session.clients
    missing = [client for client in clients if client not in keys] if keys else []
    if missing:
        raise secagg.ParameterError(
            f"session {session.name!r}: client {missing[0]} and {len(missing) - 1} more of its cohort are not in the "
            "roster; enroll them or leave them out"
        )
    return session.clients


def load_roster(config: ServerConfig) -> Directory:
    """Read the roster of a configuration.

    Raises:
        ParameterError: it cannot be read, is not the authority's, not valid now, or empty.
    """
    identities = config.identities
    if identities.roster is None or identities.authority is None:
        raise secagg.ParameterError("identities.roster and identities.authority are missing; make both first")
    found = load_directory(identities.roster, identities.authority, minimum_serial=identities.minimum_serial)
    if not found.keys:
        raise secagg.ParameterError(f"{identities.roster} has no clients; add them with `secagg enroll`")
    return found
