"""server.toml: what is set, what comes from the environment, and one sentence for everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import secagg
from docs.making.configuration import tables
from secagg.cli.service.offering import session_parameters
from secagg.cli.service.server_config import ServerConfig, load_config
from secagg.cli.service.server_settings import LimitSettings, RoundSettings
from secagg.cli.service.wanted import wanted
from secagg.hosting import Quotas, RoundSchedule
from secagg.telemetry.metrics import MetricsObserver

TLS = '[listen]\ncertificate = "server.pem"\nkey = "server-key.pem"\n'
ROSTER = '[identities]\nroster = "roster.json"\nauthority = "authority.pub"\n'
DATA = '[storage]\ndirectory = "data"\n'
BASE = TLS + ROSTER + DATA
VECTOR = '[sessions.vectors.w]\nkind = "fixed_point"\nshape = [10]\nclip = 1.0\n'
SESSION = '[[sessions]]\nname = "one"\n'


def load(directory: Path, text: str) -> ServerConfig:
    path = directory / "server.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_defaults_and_paths_of_the_files_directory(tmp_path: Path) -> None:
    config = load(tmp_path, BASE)
    assert config.listen.address == "127.0.0.1:8470"
    assert config.listen.certificate == tmp_path / "server.pem"
    assert config.storage.directory == tmp_path / "data"
    assert (config.metrics.address, config.logs.level, config.traces.enabled, config.sessions) == (
        None,
        "info",
        False,
        [],
    )
    assert config.limits.quotas() == Quotas()
    assert config.health.address is config.health.http is None


def test_everything_can_be_set(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        f"""
        [listen]
        address = "[::1]:1234"
        names = ["sums.example.org"]
        certificate = "server.pem"
        key = "/elsewhere/key.pem"
        client_ca = "ca.pem"
        {ROSTER}
        operators = ["a.pub", "b.pub"]
        minimum_serial = 4
        [storage]
        memory = true
        [limits]
        sessions = 3
        [rounds]
        share_keys = 5
        session_seconds = 100.5
        [health]
        address = "0.0.0.0:97"
        http = "0.0.0.0:96"
        [metrics]
        address = "localhost:9464"
        [logs]
        level = "debug"
        file = "log"
        [traces]
        enabled = true
        [[sessions]]
        name = "one"
        clients = [7, 3, 5]
        threat_model = "semi-honest"
        topology = "complete"
        threshold = 2
        max_weight = 1000
        suite = 1
        context_file = "model"
        [sessions.rounds]
        advertise_keys = 7
        [sessions.vectors.weights]
        kind = "fixed_point"
        shape = [3, 4]
        clip = 2.5
        bits = 12
        rounding = "nearest"
        aggregate = "mean"
        [sessions.vectors.counts]
        kind = "integers"
        shape = [5]
        low = -3
        high = 9
        """,
    )
    (tmp_path / "model").write_bytes(b"abc")
    (session,) = config.sessions
    parameters = session_parameters(session, {})
    assert parameters.cohort == (3, 5, 7)
    assert parameters.vectors == (
        ("weights", secagg.FixedPoint(shape=(3, 4), clip=2.5, bits=12, rounding="nearest", aggregate="mean")),
        ("counts", secagg.Integers(-3, 9, shape=(5,))),
    )
    assert (parameters.threshold, parameters.max_weight) == (2, 1000)
    assert parameters.context.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert config.rounds.schedule() == RoundSchedule(
        {
            secagg.Round.ADVERTISE_KEYS: 600.0,
            secagg.Round.SHARE_KEYS: 5.0,
            secagg.Round.MASKED_INPUT: 600.0,
            secagg.Round.DISCLOSURE: 60.0,
            secagg.Round.CONSISTENCY_CHECK: 60.0,
            secagg.Round.UNMASKING: 60.0,
        },
        100.5,
    )
    assert session.rounds is not None
    assert session.rounds.advertise_keys == 7
    assert config.limits.quotas() == Quotas(sessions=3)
    assert config.identities.operators == [tmp_path / "a.pub", tmp_path / "b.pub"]
    assert config.listen.key == Path("/elsewhere/key.pem")


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECAGG_LISTEN__ADDRESS", "127.0.0.1:99")
    monkeypatch.setenv("SECAGG_LIMITS__SESSIONS", "5")
    monkeypatch.setenv("SECAGG_METRICS__ADDRESS", "127.0.0.1:98")
    monkeypatch.setenv("SECAGG_IDENTITIES__OPERATORS", '["x.pub"]')
    monkeypatch.setenv("SECAGG_OF_SOMEBODY_ELSE", "1")
    config = load(tmp_path, BASE + "[limits]\nsessions = 4\nclients = 9\n")
    assert (config.listen.address, config.metrics.address) == ("127.0.0.1:99", "127.0.0.1:98")
    assert (config.limits.sessions, config.limits.clients) == (5, 9)
    assert config.listen.certificate == tmp_path / "server.pem"
    assert config.identities.operators == [tmp_path / "x.pub"]


OPERATOR = BASE + '[[identities.operator]]\nkey = "viewer.pub"\nrole = "viewer"\n'
WRONG: dict[str, tuple[str, str]] = {
    "unknown table": (BASE + "[lissen]\n", "lissen = {} is no key of the configuration; correct it to 'listen'"),
    "unknown key": (
        BASE + '[logs]\nlevle = "info"\n',
        "logs.levle = 'info' is no key of the configuration; correct it to 'level'",
    ),
    "unknown key, unlike any": (
        BASE + "[logs]\nzzz = 1\n",
        "logs.zzz = 1 is no key of the configuration; take it out: [logs] has level, file",
    ),
    "a key of a table elsewhere": (
        BASE + "level = 1\n",
        (
            "storage.level = 1 is no key of the configuration; take it out: [storage] has directory, memory, "
            "postgres, blobs, s3_endpoint, lease_seconds"
        ),
    ),
    "no port": (
        '[listen]\naddress = "127.0.0.1"\n',
        (
            "listen.address = '127.0.0.1': it is no address; give host:port or [IPv6 address]:port, the port "
            "from 0 to 65535"
        ),
    ),
    "port too large": (
        '[listen]\naddress = "h:65536"\n',
        (
            "listen.address = 'h:65536': it is no address; give host:port or [IPv6 address]:port, the port "
            "from 0 to 65535"
        ),
    ),
    "a number for a text": (
        "[listen]\naddress = 3\n",
        (
            "listen.address = 3: it is not a valid string; give host:port or [IPv6 address]:port, the port "
            "from 0 to 65535"
        ),
    ),
    "a text for a number": (
        BASE + '[limits]\nsessions = "x"\n',
        (
            "limits.sessions = 'x': it is not a valid integer, unable to parse string as an integer; give a "
            "whole number from 1 to 2^62"
        ),
    ),
    "a fraction for a number": (
        BASE + "[limits]\nsessions = 1.5\n",
        (
            "limits.sessions = 1.5: it is not a valid integer, got a number with a fractional part; give a "
            "whole number from 1 to 2^62"
        ),
    ),
    "below a bound": (
        BASE + "[limits]\nsessions = 0\n",
        "limits.sessions = 0: it is below 1; give a whole number from 1 to 2^62",
    ),
    "above a bound": (
        BASE + "[rounds]\nunmasking = 1e9\n",
        "rounds.unmasking = 1000000000.0: it is above 31622400; give a number above 0, at most 31622400",
    ),
    "no time at all": (
        BASE + "[rounds]\nunmasking = 0\n",
        "rounds.unmasking = 0: it is not above 0; give a number above 0, at most 31622400",
    ),
    "endless": (
        BASE + "[rounds]\nunmasking = inf\n",
        "rounds.unmasking = inf: it is not a finite number; give a number above 0, at most 31622400",
    ),
    "unknown choice": (
        BASE + '[logs]\nlevel = "loud"\n',
        "logs.level = 'loud': it is none of the choices; give 'debug', 'info', 'warning' or 'error'",
    ),
    "metrics for all": (
        BASE + '[metrics]\naddress = "0.0.0.0:1"\n',
        (
            "metrics.address = '0.0.0.0:1': it can be reached from other machines, and the metrics are not "
            "protected; give localhost:port or 127.0.0.1:port"
        ),
    ),
    "a truth value that is none": (
        BASE + '[traces]\nenabled = "perhaps"\n',
        ("traces.enabled = 'perhaps': it is not a valid boolean, unable to interpret input; give true or false"),
    ),
    "no certificate": (
        '[listen]\nkey = "k"\n' + ROSTER + DATA,
        ("listen.certificate is missing; give PEM files, or listen.plaintext = true for a trial on loopback"),
    ),
    "no TLS key": (
        '[listen]\ncertificate = "k"\n' + ROSTER + DATA,
        "listen.key is missing; give PEM files, or listen.plaintext = true for a trial on loopback",
    ),
    "plaintext for all": (
        '[listen]\naddress = "0.0.0.0:1"\nplaintext = true\n' + ROSTER + DATA,
        "listen.plaintext = true with listen.address = '0.0.0.0:1'; without TLS, listen on loopback",
    ),
    "plaintext and TLS": (
        TLS + "plaintext = true\n" + ROSTER + DATA,
        "listen.plaintext = true does not go with listen.certificate; remove one of them",
    ),
    "no name for all addresses": (
        TLS + 'address = "0.0.0.0:1"\n' + ROSTER + DATA,
        (
            "listen.names is missing, and listen.address = '0.0.0.0:1' is reached from other machines; list "
            "the host names that clients dial, for one of which they sign their login"
        ),
    ),
    "half a certificate over HTTP": (
        TLS + '[http]\naddress = "127.0.0.1:1"\nkey = "k"\n' + ROSTER + DATA,
        "http.certificate is missing beside http.key; give both, or neither to show those of [listen]",
    ),
    "client certificates over gRPC alone": (
        TLS + 'client_ca = "ca.pem"\n[http]\naddress = "127.0.0.1:1"\n' + ROSTER + DATA,
        "http.client_ca is missing beside listen.client_ca: without it, nobody over HTTP would show a certificate; "
        "give both, or serve HTTP from another server of the same store",
    ),
    "two that listen at one address": (
        TLS + '[http]\naddress = "127.0.0.1:8470"\n' + ROSTER + DATA,
        "http.address = '127.0.0.1:8470' is listen.address, too; give each a port of its own",
    ),
    "an origin without an address": (
        TLS + '[http]\norigins = ["https://app.example.org"]\n' + ROSTER + DATA,
        "http.origins is given without http.address; give it, or take the table out",
    ),
    "a page without an address": (
        TLS + "[http]\noperator_page = true\n" + ROSTER + DATA,
        "http.operator_page is given without http.address; give it, or take the table out",
    ),
    "an origin that is none": (
        TLS + '[http]\naddress = "127.0.0.1:1"\norigins = ["*"]\n' + ROSTER + DATA,
        "http.origins.0 = '*': it is no origin; give scheme and host, such as https://app.example.org",
    ),
    "no name for HTTP for all": (
        TLS + '[http]\naddress = "0.0.0.0:1"\n' + ROSTER + DATA,
        "listen.names is missing, and http.address = '0.0.0.0:1' is reached from other machines; list the host names "
        "that clients dial, for one of which they sign their login",
    ),
    "plaintext HTTP for all": (
        '[listen]\nplaintext = true\n[http]\naddress = "0.0.0.0:1"\n' + ROSTER + DATA,
        "listen.plaintext = true with http.address = '0.0.0.0:1'; without TLS, listen on loopback",
    ),
    "plaintext and a certificate over HTTP": (
        '[listen]\nplaintext = true\n[http]\naddress = "127.0.0.1:1"\ncertificate = "c"\n' + ROSTER + DATA,
        "listen.plaintext = true does not go with http.certificate; remove one of them",
    ),
    "a role that there is not": (
        OPERATOR.replace("viewer", "king"),
        ("identities.operator.0.role = 'king': it is none of the choices; give 'viewer', 'operator' or 'admin'"),
    ),
    "an operator without a role": (
        OPERATOR.replace('role = "viewer"\n', ""),
        "identities.operator.0.role is missing; give 'viewer', 'operator' or 'admin'",
    ),
    "a tenant that is none": (
        OPERATOR + 'tenant = "../x"\n',
        (
            "identities.operator.0.tenant = '../x': it is no name of a tenant; give at most 128 ASCII "
            "letters, digits, dots, dashes and underscores, the first a letter or digit; empty without "
            "tenants"
        ),
    ),
    "no roster": (TLS + DATA, "identities.roster is missing; make both with `secagg enroll`"),
    "no authority": (
        TLS + '[identities]\nroster = "r"\n' + DATA,
        "identities.authority is missing; make both with `secagg enroll`",
    ),
    "anonymous over TLS": (
        TLS + "[identities]\nanonymous = true\n" + DATA,
        "identities.anonymous = true needs listen.plaintext = true on loopback; a network needs a roster",
    ),
    "anonymous with invitations": (
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n"
        + (DATA + '[[enrolments]]\ninvitations = "a.json"\nclaims = "claims"\n'),
        "identities.anonymous = true does not go with [[enrolments]], which make a roster; remove one of them",
    ),
    "invitations without a directory": (
        BASE + '[[enrolments]]\ninvitations = "a.json"\n',
        "enrolments.0.claims is missing; give a path",
    ),
    "anonymous with a roster": (
        "[listen]\nplaintext = true\n" + ROSTER + "anonymous = true\n" + DATA,
        "identities.anonymous = true does not go with identities.roster; remove one of them",
    ),
    "nowhere to keep": (
        TLS + ROSTER,
        (
            "[storage] does not say where sessions are kept; give storage.directory for one server, "
            "storage.postgres with storage.blobs for several, or storage.memory = true to lose all at its end"
        ),
    ),
    "two places to keep": (
        BASE + "memory = true\n",
        (
            "storage.directory and storage.memory = true are given, and sessions are kept in one place; take "
            "out all but one of them"
        ),
    ),
    "a database without blobs": (
        TLS + ROSTER + '[storage]\npostgres = "postgresql://x"\n',
        "storage.blobs is missing beside storage.postgres: records are in the database, and uploads in a directory or "
        "bucket; give both",
    ),
    "no vectors": (
        BASE + SESSION,
        "sessions.0.vectors is missing; give name to kind, shape and range, or a privacy plan",
    ),
    "empty vectors": (
        BASE + SESSION + "vectors = {}\n",
        "sessions.0.vectors = {}: it has fewer than 1 entries; give a table for each name",
    ),
    "no session name": (
        BASE + "[[sessions]]\n" + VECTOR,
        (
            "sessions.0.name is missing; give 1 to 128 ASCII letters, digits, dots, dashes and underscores, "
            "the first a letter or digit"
        ),
    ),
    "a path for a name": (
        BASE + '[[sessions]]\nname = "../x"\n' + VECTOR,
        (
            "sessions.0.name = '../x': it is no name of a session; give 1 to 128 ASCII letters, digits, "
            "dots, dashes and underscores, the first a letter or digit"
        ),
    ),
    "a name twice": (
        BASE + 2 * (SESSION + VECTOR),
        "sessions.1.name = 'one' is used twice; every session has a name of its own",
    ),
    "no clients": (
        BASE + SESSION + "clients = []\n" + VECTOR,
        (
            "sessions.0.clients = []: it is no cohort; give 'roster', a list of ids from 0 to 2^64-1, or a "
            "number n for the ids 0 .. n-1"
        ),
    ),
    "clients by name": (
        BASE + SESSION + 'clients = ["a"]\n' + VECTOR,
        (
            "sessions.0.clients = ['a']: it is no cohort; give 'roster', a list of ids from 0 to 2^64-1, or "
            "a number n for the ids 0 .. n-1"
        ),
    ),
    "a truth value for clients": (
        BASE + SESSION + "clients = true\n" + VECTOR,
        (
            "sessions.0.clients = True: it is no cohort; give 'roster', a list of ids from 0 to 2^64-1, or a "
            "number n for the ids 0 .. n-1"
        ),
    ),
    "unknown threat model": (
        BASE + SESSION + 'threat_model = "x"\n' + VECTOR,
        "sessions.0.threat_model = 'x': it is none of the choices; give 'semi-honest' or 'active'",
    ),
    "unknown suite": (
        BASE + SESSION + "suite = 3\n" + VECTOR,
        "sessions.0.suite = 3: it is none of the choices; give 1, 2, 257 or 258",
    ),
    "all drop out": (
        BASE + SESSION + "max_dropout = 1\n" + VECTOR,
        "sessions.0.max_dropout = 1: it is not below 1; give a number from 0 to below 1",
    ),
    "a vector of no kind": (
        BASE + SESSION + "[sessions.vectors.w]\nshape = [1]\n",
        (
            "sessions.0.vectors.w = {'shape': [1]} has no kind; give a table with kind = 'fixed_point' with "
            "shape and clip, or kind = 'integers' with shape, low and high"
        ),
    ),
    "a vector of unknown kind": (
        BASE + SESSION + '[sessions.vectors.w]\nkind = "x"\n',
        (
            "sessions.0.vectors.w = {'kind': 'x'}: it is of no kind among 'fixed_point', 'integers'; give a "
            "table with kind = 'fixed_point' with shape and clip, or kind = 'integers' with shape, low and "
            "high"
        ),
    ),
    "too many bits": (
        BASE + SESSION + VECTOR + "bits = 33\n",
        "sessions.0.vectors.w.bits = 33: it is above 32; give a whole number from 2 to 32",
    ),
    "no clip": (
        BASE + SESSION + VECTOR.replace("clip = 1.0\n", ""),
        "sessions.0.vectors.w.clip is missing; give a number above 0",
    ),
    "an unknown key of a vector": (
        BASE + SESSION + VECTOR + "clop = 1\n",
        "sessions.0.vectors.w.clop = 1 is no key of the configuration; correct it to 'clip'",
    ),
    "active without identities": (
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n" + DATA + SESSION + "clients = 3\n" + VECTOR,
        "sessions.0.threat_model = 'active' needs a roster; set 'semi-honest' for an anonymous trial",
    ),
    "a roster's cohort without a roster": (
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n"
        + (DATA + SESSION + 'threat_model = "semi-honest"\n' + VECTOR),
        "sessions.0.clients = 'roster' needs a roster; give the number of clients",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_one_sentence_with_the_key(run: Any, tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(text, encoding="utf-8")
    outcome = run("serve", "--config", str(path), "--check", "--json")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"secagg: {path}: {sentence}\n")


@pytest.mark.parametrize("content", [b"[listen", b"\xff"])
def test_what_is_no_toml_is_said(run: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "server.toml"
    path.write_bytes(content)
    outcome = run("serve", "--config", str(path), "--check", "--json")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"secagg: {path} is no TOML: ")
    assert outcome.err.endswith("; correct the file\n")


def test_every_setting_says_what_it_takes() -> None:
    said = {
        f"{table.__name__}.{key}": wanted(field) for _, table in tables() for key, field in table.model_fields.items()
    }
    assert [key for key, text in said.items() if not text or len(text) > 120 or text.endswith(".")] == []
    assert said["StorageSettings.lease_seconds"] == "a number from 1 to 3600"
    assert said["RoundSettings.session_seconds"] == "a number above 0, at most 31622400"
    assert said["SessionSettings.max_dropout"] == "a number from 0 to below 1"
    assert said["LimitSettings.clients"] == "a whole number from 1 to 2^62"
    assert said["IntegersSettings.low"] == "a whole number"
    assert said["ListenSettings.names"] == "a list, each entry a text"
    assert said["SessionSettings.suite"] == "1, 2, 257 or 258"


ENVIRONMENT = [
    (
        "SECAGG_LISTEN__ADRESS",
        "x",
        "SECAGG_LISTEN__ADRESS in the environment: listen.adress = 'x' is no key of the configuration; correct it to "
        "'address'",
    ),
    (
        "SECAGG_LISSEN__ADDRESS",
        "x",
        "SECAGG_LISSEN__ADDRESS in the environment names no table; the tables are listen, http, identities, "
        "enrolments, storage, limits, retention, work, rounds, metrics, health, logs, audit, traces, sessions",
    ),
    (
        "SECAGG_LIMITS__SESSIONS",
        "many",
        "SECAGG_LIMITS__SESSIONS in the environment: limits.sessions = 'many': it is not a valid integer, unable to "
        "parse string as an integer; give a whole number from 1 to 2^62",
    ),
    (
        "SECAGG_STORAGE",
        '{"lease_seconds": 0.5}',
        "SECAGG_STORAGE in the environment: storage.lease_seconds = 0.5: it is below 1; give a number from 1 to 3600",
    ),
    (
        "SECAGG_SESSIONS",
        '[{"clients": 3}]',
        "SECAGG_SESSIONS in the environment: sessions.0.name is missing; give 1 to 128 ASCII letters, digits, dots, "
        "dashes and underscores, the first a letter or digit",
    ),
    ("SECAGG_SESSIONS", "[", "SECAGG_SESSIONS in the environment is no JSON; give a table or list as JSON"),
    (
        "SECAGG_IDENTITIES__OPERATORS",
        "a.pub",
        "SECAGG_IDENTITIES__OPERATORS in the environment is no JSON; give a table or list as JSON",
    ),
]


@pytest.mark.parametrize(("name", "value", "sentence"), ENVIRONMENT)
def test_what_is_wrong_in_the_environment_is_said_of_it_and_not_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv("SECAGG_STORAGE__MEMORY", "false")  # another one, which is right
    monkeypatch.setenv(name, value)
    with pytest.raises(secagg.ParameterError) as caught:
        load(tmp_path, BASE)
    assert str(caught.value) == sentence


def test_a_wrong_value_of_the_file_is_said_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECAGG_STORAGE", '{"memory": false}')
    with pytest.raises(secagg.ParameterError, match=r"^\S+server\.toml: storage\.lease_seconds = 0\.5: it is below 1;"):
        load(tmp_path, BASE + "lease_seconds = 0.5\n")


def test_values_that_do_not_fit_each_other_are_said_with_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECAGG_STORAGE__POSTGRES", "postgresql://secagg:secret@database/secagg")
    with pytest.raises(secagg.ParameterError) as caught:
        load(tmp_path, BASE)
    assert str(caught.value) == (
        f"{tmp_path / 'server.toml'}: storage.directory and storage.postgres are given, and sessions are kept in one "
        "place; take out all but one of them (storage.postgres is from SECAGG_STORAGE__POSTGRES in the environment)"
    )


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match=r"\(and 2 more\)$"):
        load(tmp_path, "[limits]\nsessions = 0\nclients = 0\nmessage_bytes = 0\n")


def test_files_that_cannot_be_read(run: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        outcome = run("serve", "--config", str(path))
        assert outcome.code == 2
        assert f"cannot read {path}" in outcome.err


def test_a_session_that_cannot_be_names_itself(tmp_path: Path) -> None:
    (session,) = load(tmp_path, BASE + SESSION + "clients = 4\nthreshold = 9\n" + VECTOR).sessions
    with pytest.raises(secagg.ParameterError, match=r"session 'one': .*9"):
        session_parameters(session, {})


def test_a_cohort_is_the_roster_or_in_it(tmp_path: Path) -> None:
    keys = {client: bytes([client] * 32) for client in (3, 5, 8)}
    (session,) = load(tmp_path, BASE + SESSION + VECTOR).sessions
    assert session_parameters(session, keys).cohort == (3, 5, 8)
    (session,) = load(tmp_path, BASE + SESSION + "clients = [3, 4, 5, 6]\n" + VECTOR).sessions
    with pytest.raises(secagg.ParameterError, match="session 'one': client 4 and 1 more"):
        session_parameters(session, keys)


def test_a_configuration_in_order(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    trial = "[listen]\nplaintext = true\n[identities]\nanonymous = true\n" + DATA + SESSION
    path.write_text(trial + 'threat_model = "semi-honest"\nclients = 4\n' + VECTOR, encoding="utf-8")
    found = json.loads(run("serve", "--config", str(path), "--check", "--json").out)
    assert found == {"sessions": ["one"], "warnings": []}
    assert run("serve", "--config", str(path), "--check").out == f"{path} is in order.\n"


def test_every_metric_stands_in_the_reference() -> None:
    reference = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    totals = {"counter": "_total"}
    names = [metric.name + totals.get(metric.type, "") for metric in MetricsObserver().registry.collect()]
    assert [name for name in names if f"| `{name}` |" not in reference] == []


def test_limits_and_rounds_are_those_of_the_host() -> None:
    assert set(LimitSettings.model_fields) == {field for field in Quotas.__dataclass_fields__}  # noqa: C416
    assert {round_.value for round_ in secagg.Round} < set(RoundSettings.model_fields)
