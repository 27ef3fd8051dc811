"""Reads server.toml and the environment, and refuses values that do not fit each other.

A value comes from the environment (`SECAGG_LISTEN__ADDRESS` for `listen.address`), else from the file, else from the
defaults. Relative paths are those of the file's directory. Must not know what is done with the values.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

import secagg
from secagg.cli.service.server_settings import (
    AuditSettings,
    EnrolmentSettings,
    HealthSettings,
    HttpSettings,
    IdentitySettings,
    LimitSettings,
    ListenSettings,
    LogSettings,
    MetricsSettings,
    RetentionSettings,
    RoundSettings,
    SessionSettings,
    StorageSettings,
    TraceSettings,
    WorkSettings,
)
from secagg.cli.service.setting_errors import NESTED, PREFIX, complaint, not_json, with_sources
from secagg.store.base import check_session_name
from secagg.transport.tls import is_loopback, split_address

_MAX_FILE_BYTES: Final = 1 << 24


class SessionTables(BaseModel):
    """Sessions that are made by call: the tables of server.toml that describe one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rounds: RoundSettings = Field(default=RoundSettings(), description="a table")
    sessions: list[SessionSettings] = Field(description="a list of tables [[sessions]]", min_length=1)


class ServerConfig(BaseSettings):
    """Everything that `secagg serve` is told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, extra="forbid", frozen=True, allow_inf_nan=False
    )

    listen: ListenSettings = Field(default=ListenSettings(), description="a table")
    http: HttpSettings = Field(default=HttpSettings(), description="a table")
    identities: IdentitySettings = Field(default=IdentitySettings(), description="a table")
    enrolments: list[EnrolmentSettings] = Field(default_factory=list, description="a list of tables [[enrolments]]")
    storage: StorageSettings = Field(default=StorageSettings(), description="a table")
    limits: LimitSettings = Field(default=LimitSettings(), description="a table")
    retention: RetentionSettings = Field(default=RetentionSettings(), description="a table")
    work: WorkSettings = Field(default=WorkSettings(), description="a table")
    rounds: RoundSettings = Field(default=RoundSettings(), description="a table")
    metrics: MetricsSettings = Field(default=MetricsSettings(), description="a table")
    health: HealthSettings = Field(default=HealthSettings(), description="a table")
    logs: LogSettings = Field(default=LogSettings(), description="a table")
    audit: AuditSettings = Field(default=AuditSettings(), description="a table")
    traces: TraceSettings = Field(default=TraceSettings(), description="a table")
    sessions: list[SessionSettings] = Field(default_factory=list, description="a list of tables [[sessions]]")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file, which is what the class is called with."""
        return env_settings, init_settings


def load_config(path: Path) -> ServerConfig:
    """Read and check a configuration.

    Raises:
        ParameterError: the file cannot be read, or a key, a value or their combination is wrong.
    """
    written = _written(path)
    _check_environment()
    try:
        config = ServerConfig(**written)
    except ValidationError as error:
        raise secagg.ParameterError(complaint(error, path, ServerConfig)) from None
    except SettingsError as error:
        raise secagg.ParameterError(not_json(error)) from None
    config = config.model_copy(update=_with_paths(dict(config), path.absolute().parent))
    blobs = config.storage.blobs
    if blobs is not None and "://" not in blobs:
        storage = config.storage.model_copy(update={"blobs": str(path.absolute().parent / blobs)})
        config = config.model_copy(update={"storage": storage})
    for wrong in _contradictions(config):
        raise secagg.ParameterError(with_sources(f"{path}: {wrong}"))
    return config


def load_sessions(path: Path, name: str | None = None) -> SessionTables:
    """Read and check the sessions of a file that has nothing else.

    Args:
        path: of the file.
        name: takes the place of the name in the file, which has one session then.

    Raises:
        ParameterError: the file cannot be read, or a key, a value or their combination is wrong.
    """
    written = _written(path)
    listed = written.get("sessions")
    only = listed[0] if isinstance(listed, list) and len(listed) == 1 and isinstance(listed[0], dict) else None
    if name is not None:
        try:
            check_session_name(name)
        except secagg.ParameterError as error:
            raise secagg.ParameterError(f"--name: {error}") from None
        if only is None:
            raise secagg.ParameterError(f"--name {name} needs one table [[sessions]] in {path}; give one session there")
        written["sessions"] = [{**only, "name": name}]
    elif only is not None and "name" not in only:
        raise secagg.ParameterError(f"{path}: sessions.0.name is missing; give it there, or by --name")
    try:
        tables = SessionTables(**written)
    except ValidationError as error:
        raise secagg.ParameterError(complaint(error, path, SessionTables)) from None
    tables = tables.model_copy(update=_with_paths(dict(tables), path.absolute().parent))
    for wrong in _session_contradictions(tables.sessions):
        raise secagg.ParameterError(f"{path}: {wrong}")
    return tables


def _written(path: Path) -> dict[str, Any]:
    """Return what stands in a file."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise secagg.ParameterError(f"{path} has more than {_MAX_FILE_BYTES} bytes; list fewer sessions")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise secagg.ParameterError(f"cannot read {path}: {error.strerror}; give the path of a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise secagg.ParameterError(f"{path} is no TOML: {error}; correct the file") from error


def _contradictions(config: ServerConfig) -> Iterator[str]:
    """Sentences about values that do not fit each other."""
    listen, identities, storage = config.listen, config.identities, config.storage
    host, _ = split_address(listen.address)
    if not listen.plaintext and not listen.names and not is_loopback(host):
        yield (
            f"listen.names is missing, and listen.address = {listen.address!r} is reached from other machines; list "
            "the host names that clients dial, for one of which they sign their login"
        )
    if listen.plaintext:
        if not is_loopback(host):
            yield f"listen.plaintext = true with listen.address = {listen.address!r}; without TLS, listen on loopback"
        given = [name for name in ("certificate", "key", "client_ca") if getattr(listen, name) is not None]
        if given:
            yield f"listen.plaintext = true does not go with listen.{given[0]}; remove one of them"
    elif listen.certificate is None or listen.key is None:
        lacking = "certificate" if listen.certificate is None else "key"
        yield f"listen.{lacking} is missing; give PEM files, or listen.plaintext = true for a trial on loopback"
    yield from _http_contradictions(config)
    yield from _same_addresses(config)
    if identities.anonymous:
        if not listen.plaintext:
            yield "identities.anonymous = true needs listen.plaintext = true on loopback; a network needs a roster"
        if identities.roster is not None:
            yield "identities.anonymous = true does not go with identities.roster; remove one of them"
        if config.enrolments:
            yield "identities.anonymous = true does not go with [[enrolments]], which make a roster; remove one of them"
    elif identities.roster is None or identities.authority is None:
        lacking = "roster" if identities.roster is None else "authority"
        yield f"identities.{lacking} is missing; make both with `secagg enroll`"
    if config.work.ray and config.work.processes > 1:
        yield f"work.processes = {config.work.processes} does not go with work.ray; remove one of them"
    places = {
        "storage.directory": storage.directory is not None,
        "storage.postgres": storage.postgres is not None,
        "storage.memory = true": storage.memory,
    }
    chosen = [place for place, given in places.items() if given]
    if not chosen:
        yield (
            "[storage] does not say where sessions are kept; give storage.directory for one server, storage.postgres "
            "with storage.blobs for several, or storage.memory = true to lose all at its end"
        )
    if len(chosen) > 1:
        yield f"{' and '.join(chosen)} are given, and sessions are kept in one place; take out all but one of them"
    if (storage.postgres is None) != (storage.blobs is None):
        without, beside = ("blobs", "postgres") if storage.blobs is None else ("postgres", "blobs")
        yield (
            f"storage.{without} is missing beside storage.{beside}: records are in the database, and uploads in a "
            "directory or bucket; give both"
        )
    yield from _session_contradictions(config.sessions)
    for index, session in enumerate(config.sessions):
        if identities.anonymous and session.threat_model is secagg.ThreatModel.ACTIVE:
            yield f"sessions.{index}.threat_model = 'active' needs a roster; set 'semi-honest' for an anonymous trial"
        if identities.anonymous and session.clients == "roster":
            yield f"sessions.{index}.clients = 'roster' needs a roster; give the number of clients"


def _http_contradictions(config: ServerConfig) -> Iterator[str]:
    """Sentences about values of [http] that do not fit each other, or [listen]."""
    http, listen = config.http, config.listen
    given = [name for name in ("certificate", "key", "client_ca") if getattr(http, name) is not None]
    if http.address is None:
        given += [name for name in ("origins", "operator_page", "connections_per_address") if getattr(http, name)]
        if given:
            yield f"http.{given[0]} is given without http.address; give it, or take the table out"
        return
    if listen.plaintext:
        if not is_loopback(split_address(http.address)[0]):
            yield f"listen.plaintext = true with http.address = {http.address!r}; without TLS, listen on loopback"
        if given:
            yield f"listen.plaintext = true does not go with http.{given[0]}; remove one of them"
        return
    if not listen.names and not is_loopback(split_address(http.address)[0]):
        yield (
            f"listen.names is missing, and http.address = {http.address!r} is reached from other machines; list the "
            "host names that clients dial, for one of which they sign their login"
        )
    if (http.certificate is None) != (http.key is None):
        lacking, there = ("certificate", "key") if http.certificate is None else ("key", "certificate")
        yield f"http.{lacking} is missing beside http.{there}; give both, or neither to show those of [listen]"
    if listen.client_ca is not None and http.client_ca is None:
        yield (
            "http.client_ca is missing beside listen.client_ca: without it, nobody over HTTP would show a certificate; "
            "give both, or serve HTTP from another server of the same store"
        )


def _same_addresses(config: ServerConfig) -> Iterator[str]:
    """Sentences about addresses at which two things would listen."""
    taken: dict[str, str] = {}
    for key, address in {
        "listen.address": config.listen.address,
        "http.address": config.http.address,
        "metrics.address": config.metrics.address,
        "health.address": config.health.address,
        "health.http": config.health.http,
    }.items():
        if address is None or split_address(address)[1] == 0:
            continue
        if address in taken:
            yield f"{key} = {address!r} is {taken[address]}, too; give each a port of its own"
        taken[address] = key


def _session_contradictions(sessions: Sequence[SessionSettings]) -> Iterator[str]:
    """Sentences about values of sessions that do not fit each other."""
    names = [session.name for session in sessions]
    for index, session in enumerate(sessions):
        if session.name in names[:index]:
            yield f"sessions.{index}.name = {session.name!r} is used twice; every session has a name of its own"
        if not session.vectors and session.privacy is None:
            yield f"sessions.{index}.vectors is missing; give name to kind, shape and range, or a privacy plan"
        if session.vectors and session.privacy is not None:
            yield f"sessions.{index}.vectors does not go with privacy, whose plan has its own; remove one of them"
        if session.max_weight > 1 and session.privacy is not None:
            yield (
                f"sessions.{index}.max_weight = {session.max_weight} sums weights without noise beside privacy; remove "
                "it, and choose a plan with weights"
            )


def _check_environment() -> None:
    """Refuse names such as SECAGG_LISTEN__ADRESS, which nobody would read; others may belong to something else."""
    for name in sorted(os.environ):
        section, nested, _ = name.removeprefix(PREFIX).partition(NESTED)
        if name.startswith(PREFIX) and nested and section.lower() not in ServerConfig.model_fields:
            known = ", ".join(ServerConfig.model_fields)
            raise secagg.ParameterError(f"{name} in the environment names no table; the tables are {known}")


def _with_paths(value: Any, directory: Path) -> Any:
    """Return a value with every relative path in it made one of the directory."""
    if isinstance(value, Path):
        return directory / value
    if isinstance(value, list):
        return [_with_paths(item, directory) for item in value]
    if isinstance(value, dict):
        return {name: _with_paths(item, directory) for name, item in value.items()}
    if isinstance(value, BaseModel):
        return value.model_copy(update=_with_paths(dict(value), directory))
    return value
