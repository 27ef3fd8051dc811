"""server.toml: what is set, what comes from the environment, and one sentence for everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import secagg
from secagg.cli.service.offering import session_parameters
from secagg.cli.service.server_config import ServerConfig, load_config
from secagg.cli.service.server_settings import FixedPointSettings, IntegersSettings, LimitSettings, RoundSettings
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
WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "no TOML": ("[listen", ("is no TOML", "Expected")),
    "no UTF-8": ("\udcff", ("is no TOML",)),
    "unknown table": (BASE + "[lissen]\n", ("lissen = {}", "no key", "'listen'")),
    "unknown key": (BASE + '[logs]\nlevle = "info"\n', ("logs.levle = 'info'", "correct it to 'level'")),
    "unknown key, unlike any": (BASE + "[logs]\nzzz = 1\n", ("logs.zzz = 1", "remove it", "level, file")),
    "a key of a table elsewhere": (BASE + "level = 1\n", ("storage.level = 1", "no key")),
    "no port": ('[listen]\naddress = "127.0.0.1"\n', ("listen.address = '127.0.0.1'", "host:port")),
    "port too large": ('[listen]\naddress = "h:65536"\n', ("listen.address = 'h:65536'", "host:port")),
    "a number for a text": ("[listen]\naddress = 3\n", ("listen.address = 3", "string", "host:port")),
    "a text for a number": (
        BASE + '[limits]\nsessions = "x"\n',
        ("limits.sessions = 'x'", "integer", "sessions that run"),
    ),
    "a fraction for a number": (BASE + "[limits]\nsessions = 1.5\n", ("limits.sessions = 1.5", "integer")),
    "below a bound": (BASE + "[limits]\nsessions = 0\n", ("limits.sessions = 0", "below 1", "sessions that run")),
    "above a bound": (BASE + "[rounds]\nunmasking = 1e9\n", ("rounds.unmasking = 1000000000.0", "above 31622400")),
    "no time at all": (BASE + "[rounds]\nunmasking = 0\n", ("rounds.unmasking = 0", "not above 0", "seconds")),
    "endless": (BASE + "[rounds]\nunmasking = inf\n", ("rounds.unmasking = inf", "finite number")),
    "unknown choice": (BASE + '[logs]\nlevel = "loud"\n', ("logs.level = 'loud'", "'debug', 'info'")),
    "metrics for all": (BASE + '[metrics]\naddress = "0.0.0.0:1"\n', ("metrics.address = '0.0.0.0:1'", "loopback")),
    "a truth value that is none": (BASE + '[traces]\nenabled = "perhaps"\n', ("traces.enabled = 'perhaps'", "true")),
    "no certificate": ('[listen]\nkey = "k"\n' + ROSTER + DATA, ("listen.certificate is missing", "plaintext")),
    "no TLS key": ('[listen]\ncertificate = "k"\n' + ROSTER + DATA, ("listen.key is missing",)),
    "plaintext for all": (
        '[listen]\naddress = "0.0.0.0:1"\nplaintext = true\n' + ROSTER + DATA,
        ("listen.plaintext", "0.0.0.0:1", "loopback"),
    ),
    "plaintext and TLS": (TLS + "plaintext = true\n" + ROSTER + DATA, ("listen.plaintext", "listen.certificate")),
    "no name for all addresses": (TLS + 'address = "0.0.0.0:1"\n' + ROSTER + DATA, ("listen.names", "clients dial")),
    "a role that there is not": (
        OPERATOR.replace("viewer", "king"),
        ("identities.operator.0.role = 'king'", "'viewer', 'operator' or 'admin'"),
    ),
    "an operator without a role": (
        OPERATOR.replace('role = "viewer"\n', ""),
        ("identities.operator.0.role is missing",),
    ),
    "a tenant that is none": (
        OPERATOR + 'tenant = "../x"\n',
        ("identities.operator.0.tenant = '../x'", "no tenant"),
    ),
    "no roster": (TLS + DATA, ("identities.roster is missing", "secagg enroll")),
    "no authority": (TLS + '[identities]\nroster = "r"\n' + DATA, ("identities.authority is missing",)),
    "anonymous over TLS": (TLS + "[identities]\nanonymous = true\n" + DATA, ("identities.anonymous", "plaintext")),
    "anonymous with a roster": (
        "[listen]\nplaintext = true\n" + ROSTER + "anonymous = true\n" + DATA,
        ("identities.anonymous", "identities.roster"),
    ),
    "nowhere to keep": (TLS + ROSTER, ("storage.directory",)),
    "two places to keep": (BASE + "memory = true\n", ("storage.directory", "exactly one")),
    "no vectors": (BASE + SESSION, ("sessions.0.vectors is missing", "name to kind")),
    "empty vectors": (BASE + SESSION + "vectors = {}\n", ("sessions.0.vectors = {}", "fewer than 1")),
    "no session name": (BASE + "[[sessions]]\n" + VECTOR, ("sessions.0.name is missing", "letters")),
    "a path for a name": (BASE + '[[sessions]]\nname = "../x"\n' + VECTOR, ("sessions.0.name = '../x'", "letters")),
    "a name twice": (BASE + 2 * (SESSION + VECTOR), ("sessions.1.name = 'one'", "twice")),
    "no clients": (BASE + SESSION + "clients = []\n" + VECTOR, ("sessions.0.clients = []", "'roster'")),
    "clients by name": (BASE + SESSION + 'clients = ["a"]\n' + VECTOR, ("sessions.0.clients = ['a']",)),
    "a truth value for clients": (BASE + SESSION + "clients = true\n" + VECTOR, ("sessions.0.clients = True",)),
    "unknown threat model": (BASE + SESSION + 'threat_model = "x"\n' + VECTOR, ("threat_model = 'x'", "'active'")),
    "unknown suite": (BASE + SESSION + "suite = 3\n" + VECTOR, ("sessions.0.suite = 3", "AEGIS")),
    "all drop out": (BASE + SESSION + "max_dropout = 1\n" + VECTOR, ("sessions.0.max_dropout = 1", "not below 1")),
    "a vector of no kind": (BASE + SESSION + "[sessions.vectors.w]\nshape = [1]\n", ("vectors.w = ", "'fixed_point'")),
    "a vector of unknown kind": (
        BASE + SESSION + '[sessions.vectors.w]\nkind = "x"\n',
        ("sessions.0.vectors.w = ", "'fixed_point', 'integers'"),
    ),
    "too many bits": (BASE + SESSION + VECTOR + "bits = 33\n", ("sessions.0.vectors.w.bits = 33", "above 32")),
    "no clip": (BASE + SESSION + VECTOR.replace("clip = 1.0\n", ""), ("sessions.0.vectors.w.clip is missing",)),
    "an unknown key of a vector": (BASE + SESSION + VECTOR + "clop = 1\n", ("vectors.w.clop = 1", "'clip'")),
    "active without identities": (
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n" + DATA + SESSION + "clients = 3\n" + VECTOR,
        ("sessions.0.threat_model", "'semi-honest'"),
    ),
    "a roster's cohort without a roster": (
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n"
        + (DATA + SESSION + 'threat_model = "semi-honest"\n' + VECTOR),
        ("sessions.0.clients = 'roster'", "number of clients"),
    ),
}


@pytest.mark.parametrize(("text", "named"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_one_sentence_with_the_key(
    run: Any, tmp_path: Path, text: str, named: tuple[str, ...]
) -> None:
    path = tmp_path / "server.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    outcome = run("serve", "--config", str(path), "--check", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"secagg: {path}")
    assert outcome.err.count("\n") == 1
    assert [part for part in named if part not in outcome.err] == []
    assert len(outcome.err) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("SECAGG_LISTEN__ADRESS", "x", ("listen.adress = 'x'", "'address'")),
        ("SECAGG_LISSEN__ADDRESS", "x", ("SECAGG_LISSEN__ADDRESS", "no table", "listen, identities")),
        ("SECAGG_LIMITS__SESSIONS", "many", ("limits.sessions = 'many'", "integer")),
        ("SECAGG_SESSIONS", "[", ("sessions", "JSON")),
    ],
)
def test_the_environment_is_checked_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: tuple[str, ...]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(secagg.ParameterError) as caught:
        load(tmp_path, BASE)
    assert [part for part in named if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


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


def tables(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += tables(kind)
    return found


ALL_TABLES: list[type[BaseModel]] = [*tables(ServerConfig)[1:], FixedPointSettings, IntegersSettings]


def default_of(field: FieldInfo) -> str:
    """A key's default as the reference has it."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default in ({}, ""):
        return "none"
    if isinstance(default, list | tuple):
        return f"`{list(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else getattr(default, 'value', default)}`"


def test_the_reference_has_every_key_with_its_default_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    reference = page.partition("\n## Configuration reference\n")[2].partition("\n## ")[0]
    rows = [line for line in reference.splitlines() if line.startswith("| `")]
    keys = [
        f"| `{name}` | {default_of(field)} | {field.description} |"
        for table in ALL_TABLES
        for name, field in table.model_fields.items()
        if name != "kind"
    ]
    assert set(rows) == set(keys)


def test_every_metric_stands_in_the_reference() -> None:
    reference = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    totals = {"counter": "_total"}
    names = [metric.name + totals.get(metric.type, "") for metric in MetricsObserver().registry.collect()]
    assert [name for name in names if f"| `{name}` |" not in reference] == []


def test_limits_and_rounds_are_those_of_the_host() -> None:
    assert set(LimitSettings.model_fields) == {field for field in Quotas.__dataclass_fields__}  # noqa: C416
    assert {round_.value for round_ in secagg.Round} < set(RoundSettings.model_fields)
