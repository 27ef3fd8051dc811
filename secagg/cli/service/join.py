"""`secagg join`: one client takes part in one session, or in all that are open to it, with the arrays of a file.

Everything that protects the client is said here, on its own side: roster and authority, the smallest cohort, the threat
model, the context. The server's offer is held against it before a key is made.
"""

from __future__ import annotations

import asyncio
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Optional

import numpy as np
import typer
from numpy.typing import NDArray

import secagg
from secagg.cli.options import MaybeInt, MaybePath, MaybeText
from secagg.cli.output import JsonFlag, print_json, print_problem, print_sentences
from secagg.cli.service.connecting import (
    CaFile,
    CertificateFile,
    GiveUp,
    KeyFile,
    Plaintext,
    Server,
    ServerName,
    client_tls,
    needs_service,
    retry_policy,
)
from secagg.cli.service.context import context_of
from secagg.cli.service.expected import expected_vectors
from secagg.identity.directory import load_directory
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import load_identity
from secagg.parameters.suite_ids import HYBRID_SUITES

if TYPE_CHECKING:
    from secagg.transport.grpc import Participation
    from secagg.transport.participant import Inputs

_DEFAULTS: Final = secagg.ClientPolicy()
_GIVE_UP_SECONDS: Final = 300.0
_MADE_UP: Final = re.compile(r"arr_[0-9]+")
MaybeFloat = Optional[float]  # noqa: UP045 - typer 0.12.0 knows no `float | None`
MaybeThreatModel = Optional[secagg.ThreatModel]  # noqa: UP045


def join(
    server: Server,
    input_: Annotated[
        Path, typer.Option("--input", metavar="FILE.npz", help="One array for each vector of the session.")
    ],
    session: Annotated[MaybeText, typer.Option(metavar="NAME", help="The session's name on the server.")] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", help="Stay, and take part in each session that is open to this client."),
    ] = (False),
    identity: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="Private key of `secagg keygen`; none for anonymous trials.")
    ] = None,
    client: Annotated[
        MaybeInt, typer.Option(metavar="ID", help="This client's id; that of the key in the roster unless given.")
    ] = None,
    weight: Annotated[
        MaybeInt,
        typer.Option(
            help="This client's weight, such as its number of examples, where the session has weights; may be 0."
        ),
    ] = None,
    roster: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="The roster, from where the server cannot change it.")
    ] = None,
    authority: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="Public key, or certificates, of the roster's authority.")
    ] = None,
    minimum_serial: Annotated[int, typer.Option(help="The oldest serial of a signed roster to accept.")] = 1,
    context: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="The session must be about this file, by its SHA-256.")
    ] = None,
    threat_model: Annotated[
        MaybeThreatModel,
        typer.Option(help="Take part in this model only; with an identity, active unless given."),
    ] = None,
    minimum_cohort: Annotated[int, typer.Option(help="Take part in no smaller cohort.")] = _DEFAULTS.minimum_cohort,
    minimum_contributors: Annotated[
        int, typer.Option(help="Accept no session that may release a sum of fewer.")
    ] = _DEFAULTS.minimum_contributors,
    minimum_threshold: Annotated[
        int, typer.Option(help="Accept no threshold below this.")
    ] = _DEFAULTS.minimum_threshold,
    max_corrupt: Annotated[
        MaybeFloat, typer.Option(help="Accept only parameters that resist this fraction of corrupt clients.")
    ] = None,
    vectors: Annotated[
        MaybePath, typer.Option(metavar="FILE.toml", help="Take part in a session of exactly these vectors.")
    ] = None,
    max_weight: Annotated[MaybeInt, typer.Option(help="Take part where this is the largest weight.")] = None,
    sums_per_context: Annotated[
        MaybeInt, typer.Option(help="Take part in no more sums of one context; needs --state.")
    ] = None,
    minimum_cohort_change: Annotated[
        MaybeInt,
        typer.Option(help="Take part again in one context only if the cohort differs by so many; needs --state."),
    ] = None,
    max_dropout: Annotated[
        float, typer.Option(help="Judge sparse graphs as if this fraction of the cohort dropped out.")
    ] = _DEFAULTS.max_dropout,
    security_bits: Annotated[
        MaybeInt,
        typer.Option(help="Judge sparse graphs to fail with probability 2^-bits at most (40), chosen ones too (64)."),
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="Accept no sparse graph.")] = (False),
    hybrid: Annotated[
        bool, typer.Option("--hybrid", help="Accept hybrid suites only, with ML-KEM-768 beside X25519.")
    ] = (False),
    chosen: Annotated[
        bool, typer.Option("--chosen", help="EXPERIMENTAL: accept a chosen graph, and no other; needs --state.")
    ] = (False),
    max_corrupt_clients: Annotated[
        MaybeInt, typer.Option(help="So many clients may be corrupt in whatever cohort the server picks.")
    ] = None,
    ca: CaFile = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
    server_name: ServerName = None,
    plaintext: Plaintext = False,
    privacy_plan: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="Take part under this privacy plan only; needs --privacy-budget.")
    ] = None,
    privacy_budget: Annotated[
        MaybePath, typer.Option(metavar="FILE", help="What this client's data may tell; counts every draw of noise.")
    ] = None,
    privacy_epsilon: Annotated[
        MaybeFloat, typer.Option(help="Begin the budget with it, the first time; with --privacy-delta.")
    ] = None,
    privacy_delta: Annotated[MaybeFloat, typer.Option(help="Begin the budget with it.")] = None,
    state: Annotated[
        MaybePath, typer.Option(metavar="DIRECTORY", help="Go on here after this process was killed; holds secrets.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave when a value or the weight is out of bounds; the server sees it.")
    ] = (False),
    give_up: GiveUp = _GIVE_UP_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Take part in a session with one input, and return when all its rounds were closed."""
    with needs_service("join"):
        from secagg.cli.service.attending import attend
        from secagg.cli.service.joining import Watcher
        from secagg.transport.grpc import Attendance, participate
    if (session is None) != all_:
        raise secagg.ParameterError("give --session NAME, or --all to take part in each that is open to this client")
    if all_ and privacy_plan is None and (sums_per_context is None or context is None):
        raise secagg.ParameterError(
            "--all lets the server choose how often it sums these inputs, and about what: bound it by "
            "--sums-per-context with --state and --context, or by --privacy-plan and --privacy-budget"
        )
    if complete and chosen:
        raise secagg.ParameterError("--complete and --chosen accept different graphs; give one of them")
    policy = secagg.ClientPolicy(
        minimum_cohort=minimum_cohort,
        minimum_threshold=minimum_threshold,
        minimum_contributors=minimum_contributors,
        threat_model=threat_model,
        max_corrupt=max_corrupt,
        max_dropout=max_dropout,
        security_bits=security_bits,
        suites=HYBRID_SUITES if hybrid else _DEFAULTS.suites,
        max_corrupt_clients=max_corrupt_clients,
        topologies=_topologies(complete, chosen),
        context=None if context is None else context_of(context),
        vectors=None if vectors is None else expected_vectors(vectors),
        max_weight=max_weight,
        sums_per_context=sums_per_context,
        minimum_cohort_change=minimum_cohort_change,
    )
    for option, limit in (("--sums-per-context", sums_per_context), ("--minimum-cohort-change", minimum_cohort_change)):
        if limit is not None and state is None:
            raise secagg.ParameterError(
                f"{option} {limit} needs --state DIRECTORY, where sums are remembered; give one"
            )
    if chosen and state is None:
        raise secagg.ParameterError(
            "--chosen needs --state DIRECTORY, where this client remembers what it drew: it must never draw twice"
        )
    private = None if identity is None else load_identity(identity)
    keys = _roster(roster, authority, minimum_serial)
    own = client_of(client, private, keys, f"--identity {identity}", f"--roster {roster}")

    def read() -> Mapping[str, NDArray[Any]]:
        arrays = load_arrays(input_, policy.vectors if plan is None else [name for name, _ in plan.arrays])
        if plan is not None:
            require_fit(plan, arrays, weight)
        return arrays

    plan = None
    if (privacy_plan is None) != (privacy_budget is None):
        raise secagg.ParameterError(
            "--privacy-plan and --privacy-budget go together: a plan says what one sum tells, a budget what all may"
        )
    if privacy_plan is not None and privacy_budget is not None:
        from secagg.cli.service.private import load_plan, opened_budget, policy_under, privatized, require_fit

        if strict:
            raise secagg.ParameterError("--strict would have the client leave for its data; leave it out under a plan")
        plan = load_plan(privacy_plan)
        policy = policy_under(policy, plan)
    elif privacy_epsilon is not None or privacy_delta is not None:
        raise secagg.ParameterError("--privacy-epsilon and --privacy-delta begin a budget; give --privacy-budget")
    arrays = read()
    make: Callable[[Mapping[str, NDArray[Any]]], Inputs] = _as_they_are
    if plan is not None and privacy_budget is not None:
        budget = opened_budget(privacy_budget, own, privacy_epsilon, privacy_delta)
        make = partial(privatized, plan, budget, weight=weight)
    given = weight if plan is None else None
    watcher = Watcher(sys.stderr)
    common: dict[str, Any] = {
        "client_id": own,
        "identity": private,
        "roster": keys,
        "policy": policy,
        "tls": client_tls(ca, certificate, key, server_name, plaintext),
        "insecure": plaintext,
        "state": state,
        "retry": retry_policy(give_up),
        "observer": watcher,
        "strict": strict,
    }

    def tell(took_part: Participation) -> None:
        _tell(took_part, given, watcher.take_bytes(), as_json)

    def tell_failure(name: str, error: secagg.SecAggError) -> None:
        watcher.take_bytes()
        if as_json:
            print_json({"session": name, "client": own, "outcome": "failed", "error": str(error)})
        print_problem(f"session {name}: {error}")
        sys.stdout.flush()

    watcher.begins(server, session)
    if session is None:
        attendance = Attendance(server, **common)
        asyncio.run(attend(attendance, lambda: make(read()), given, tell, tell_failure))
    else:
        tell(asyncio.run(participate(server, make(arrays), session=session, weight=given, **common)))


def _topologies(complete: bool, chosen: bool) -> frozenset[secagg.TopologyKind]:
    if chosen:
        return frozenset({secagg.TopologyKind.CHOSEN})
    return frozenset({secagg.TopologyKind.COMPLETE}) if complete else _DEFAULTS.topologies


def _as_they_are(arrays: Mapping[str, NDArray[Any]]) -> Inputs:
    return arrays


def _tell(took_part: Participation, weight: int | None, sent_bytes: int, as_json: bool) -> None:
    """Say how a session ended for this client, at once, although there may be more of them."""
    if as_json:
        print_json(
            {
                "session": took_part.session,
                "client": took_part.client,
                "outcome": "completed",
                "clients": took_part.parameters.clients,
                "threat_model": took_part.parameters.threat_model.value,
                "sent_bytes": sent_bytes,
                "clipped": {report.name: report.clipped for report in took_part.reports if report.clipped},
                "nan": {report.name: report.nan for report in took_part.reports if report.nan},
                "weight_clipped": took_part.weight_clipped,
            }
        )
    else:
        for sentence in _sentences(took_part, weight):
            print_sentences(sentence)
    sys.stdout.flush()


def _sentences(took_part: Participation, weight: int | None) -> Iterator[str]:
    """What was moved into the session's bounds, and that it is over."""
    parameters = took_part.parameters
    bounds = {name: _bounds(spec) for name, spec in parameters.vectors}
    for report in took_part.reports:
        if report.clipped:
            where = f"{report.clipped} of {report.entries} entries were outside {bounds[report.name]}"
            yield f"{report.name}: {where} and count as the bound."
        if report.nan:
            yield f"{report.name}: {report.nan} of {report.entries} entries were NaN and count as 0."
    if took_part.weight_clipped:
        yield f"The weight {weight} was outside 0 .. {parameters.max_weight} and counts as the bound."
    yield f"Session {took_part.session} completed with the input of client {took_part.client}."


def _bounds(spec: secagg.FixedPoint | secagg.Integers) -> str:
    return f"{spec.low} .. {spec.high}" if isinstance(spec, secagg.Integers) else f"-{spec.clip:g} .. {spec.clip:g}"


def load_arrays(path: Path, expected: Collection[str] | None = None) -> Mapping[str, NDArray[Any]]:
    """Read the arrays of a .npz file; none that would need unpickling.

    Args:
        path: of the file.
        expected: names of the vectors that this client accepts; None for any but those that NumPy makes up.

    Raises:
        ParameterError: no such file, no arrays in it, or arrays of other names; says which are there.
    """
    arrays = _read(path)
    _require_names(path, arrays, expected)
    return arrays


def _read(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise secagg.ParameterError(f"cannot read {path}: {error.strerror or error}; give a .npz file") from error
    except (ValueError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise secagg.ParameterError(f"{path} is no .npz file of plain arrays; write it with numpy.savez") from error
    raise secagg.ParameterError(
        f"{path} holds one array without a name (shape {loaded.shape}); write it with numpy.savez(path, NAME=array), "
        "where NAME is that of the session's vector"
    )


def _require_names(path: Path, arrays: Mapping[str, NDArray[Any]], expected: Collection[str] | None) -> None:
    there = ", ".join(f"{name!r} of shape {array.shape}" for name, array in arrays.items()) or "no array"
    if expected is not None and arrays.keys() != set(expected):
        wanted = ", ".join(map(repr, expected))
        raise secagg.ParameterError(f"{path} holds {there}, and --vectors names {wanted}; give exactly these arrays")
    if not arrays:
        raise secagg.ParameterError(f"{path} holds no array; give one for each vector of the session, by its name")
    if expected is None and all(_MADE_UP.fullmatch(name) for name in arrays):
        raise secagg.ParameterError(
            f"{path} holds {there}, and expected is an array for each vector of the session, by the vector's name; "
            "numpy.savez calls arrays so that were given without one: write numpy.savez(path, NAME=array). Where the "
            "vectors are called so, say it by --vectors"
        )


def _roster(roster: Path | None, authority: Path | None, minimum_serial: int) -> Mapping[int, bytes] | None:
    if (roster is None) != (authority is None):
        given, lacking = ("--roster", "--authority") if authority is None else ("--authority", "--roster")
        raise secagg.ParameterError(f"{given} needs {lacking}; a roster is believed for its authority's signature")
    if roster is None or authority is None:
        return None
    return load_directory(roster, authority, minimum_serial=minimum_serial).keys


def client_of(
    client: int | None,
    identity: secagg.IdentityKey | None,
    roster: Mapping[int, bytes] | None,
    identity_from: str,
    roster_from: str,
) -> int:
    """Return the client's id: as it was given, or as the roster has it for the identity key.

    Args:
        client: as it was given.
        identity: the client's key.
        roster: client id to key.
        identity_from, roster_from: where they were read, for messages.

    Raises:
        ParameterError: neither says who this is.
    """
    if client is not None:
        return client
    if identity is None or roster is None:
        raise secagg.ParameterError("--client is missing; without it, --identity and --roster say who this is")
    found = [member for member, key in roster.items() if key == identity.public]
    if not found:
        raise secagg.ParameterError(
            f"the key {fingerprint(identity.public)} of {identity_from} is not in the roster of {roster_from}; have it "
            "enrolled, or give the files that belong together"
        )
    return found[0]
