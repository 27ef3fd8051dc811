"""A site's own file, and a job's configuration, which has no say in it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.shareable import Shareable

import secagg
from secagg.integrations.nvflare import SecAggExecutor, Site, load_site
from secagg.integrations.nvflare.site import load_roster
from secagg.parameters.suite_ids import HYBRID_SUITES
from secagg.store.participations import ParticipationFile
from tests.integrations.nvflare.support import Network, context_of, enroll, names_of, stage


def test_without_a_file_a_site_is_semi_honest_and_named_by_its_digest(tmp_path: Path) -> None:
    assert load_site(tmp_path, "site-1") == Site(secagg.client_id("site-1"))
    # SHA-256("site-1") begins so.
    assert secagg.client_id("site-1") == 0xF505DCCD1D9094DB
    assert load_roster(tmp_path, "server") is None


def test_every_setting(tmp_path: Path) -> None:
    roster = enroll(
        tmp_path,
        names_of(3),
        "client_id = 9\nminimum_cohort = 5\nminimum_threshold = 4\nminimum_contributors = 3\n"
        "maximum_cohort = 100\nmaximum_words = 1000\nminimum_serial = 1\nmax_dropout = 0.3\ntopologies = ['complete']\n"
        "security_bits = 50\nhybrid = true\n"
        "sums_per_context = 1\nminimum_cohort_change = 9\nparticipations = 'sums.sqlite'\n"
        "[integers]\ndigits = [0, 2000]\n",
    )
    site = load_site(tmp_path, "site-2")
    assert site.identity is not None
    assert site.identity.public == roster[secagg.client_id("site-2")]
    assert site.roster == roster
    assert site.client_id == 9
    assert site.integers == {"digits": (0, 2000)}
    assert isinstance(site.participations, ParticipationFile)
    assert (tmp_path / "sums.sqlite").exists()
    assert site.policy == secagg.ClientPolicy(
        minimum_cohort=5,
        minimum_threshold=4,
        minimum_contributors=3,
        maximum_cohort=100,
        maximum_words=1000,
        threat_model=secagg.ThreatModel.ACTIVE,
        max_corrupt=0.0,
        max_dropout=0.3,
        topologies=frozenset({secagg.TopologyKind.COMPLETE}),
        suites=HYBRID_SUITES,
        security_bits=50,
        sums_per_context=1,
        minimum_cohort_change=9,
    )
    assert load_roster(tmp_path, "server") == roster


def test_an_old_roster_is_refused(tmp_path: Path) -> None:
    """In an old one stands a site that was removed since."""
    enroll(tmp_path, names_of(3), "minimum_serial = 2\n")
    with pytest.raises(secagg.ParameterError, match="the roster has serial 1, older than 2; get the newest one"):
        load_site(tmp_path, "site-2")


def test_the_file_of_the_sites_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "secagg.toml").write_text("client_id = 1\n")
    (tmp_path / "secagg-site-2.toml").write_text("client_id = 2\n")
    assert [load_site(tmp_path, name).client_id for name in ("site-1", "site-2")] == [1, 2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("client_id", "is no TOML"),
        ("minimum-cohort = 3", "has minimum-cohort, which is no setting"),
        ("client_id = true", "client_id is True; give a whole number"),
        ("client_id = -1", "client_id is -1"),
        ("minimum_cohort = 3.5", "minimum_cohort is 3.5"),
        ("minimum_cohort = 1", "cohort=1"),
        ("topologies = ['star']", "topologies is ['star']; give 'complete', 'sparse', or both"),
        ("topologies = []", "topologies is []; give"),
        ("hybrid = 1", "hybrid is 1; give true or false"),
        ("alarms = 'on'", "alarms is 'on'; give true or false"),
        (
            "sums_per_context = 1",
            "sums_per_context is 1, and nothing remembers sums beyond a session; give participations",
        ),
        ("participations = '.'", "participations: "),
        ("integers = 3", "integers is 3; give a table of names"),
        ("[integers]\ndigits = 2000", "integers has digits = 2000; give its lowest and highest number"),
        ("[integers]\ndigits = [0, 2.5]", "integers has digits = [0, 2.5]"),
        ("max_corrupt = 'none'", "max_corrupt is 'none'"),
        ("threat_model = 'trusting'", "threat_model is 'trusting'"),
        ("roster = 'r.json'", "has roster alone"),
        ("identity = 'i.key'", "one of identity and roster"),
        ("roster = 'r.json'\nauthority = 'a.pub'", "r.json"),
        ("roster = 3\nauthority = 'a.pub'", "roster is 3; give a path"),
    ],
)
def test_a_file_that_is_wrong(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "secagg.toml").write_text(text)
    with pytest.raises(secagg.ParameterError, match=re.escape(sentence)):
        load_site(tmp_path, "site-1")


def test_a_site_whose_file_is_wrong_takes_no_part_and_says_nothing_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secagg-site-1.toml").write_text("minimum_cohort = 1\n")
    network = Network(tmp_path, names_of(4))
    assert network.sum().contributors == ("site-2", "site-3", "site-4")
    assert network.results_of("site-1") == [
        {"kind": "refusal", "reason": "this site cannot take part; its own log says why"}
    ]
    assert "cohort=1" in caplog.text


def test_an_input_is_summed_as_often_as_its_site_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also by a job process that was started anew: the record is a file."""
    for name in names_of(4):
        limit = "participations = 'sums.sqlite'\nsums_per_context = 1\n" if name == "site-1" else ""
        (tmp_path / f"secagg-{name}.toml").write_text(limit)
    assert Network(tmp_path, names_of(4)).sum().contributors == tuple(names_of(4))
    again = Network(tmp_path, names_of(4))
    assert again.sum().contributors == ("site-2", "site-3", "site-4")
    assert "in 1 sums of this context already, and sums_per_context=1" in again.results_of("site-1")[-1]["reason"]
    assert again.learners["site-1"].seen == []


def test_a_record_of_sums_that_cannot_be_read_keeps_its_name_to_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secagg-site-1.toml").write_text("participations = 'sums.sqlite'\nsums_per_context = 1\n")
    network = Network(tmp_path, names_of(4))
    assert load_site(tmp_path, "site-1").participations is not None
    (tmp_path / "sums.sqlite").write_bytes(b"no database of any kind, and longer than a header" * 100)
    assert network.sum().contributors == ("site-2", "site-3", "site-4")
    assert network.results_of("site-1")[-1]["reason"] == "this site cannot take part; its own log says why"
    assert "sums.sqlite cannot be used" in caplog.text


def test_a_job_sets_the_learner_and_nothing_else() -> None:
    assert list(inspect.signature(SecAggExecutor).parameters) == ["learner"]
    with pytest.raises(secagg.ParameterError, match="the learner is a str; give an Executor"):
        SecAggExecutor("learner")


def test_the_learner_gets_the_runs_events_and_the_end_erases_the_session(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))

    def end(site: str, task: Shareable) -> Shareable:
        if site == "site-1" and stage(task) == "masked_input":
            for event in (EventType.START_RUN, EventType.END_RUN):
                network.executors[site].handle_event(event, context_of(site, tmp_path))
        return task

    network.on_task = end
    with pytest.raises(secagg.SessionAbortedError, match="2 of 3 clients"):
        network.sum()
    assert network.learners["site-1"].events == [EventType.START_RUN, EventType.END_RUN]
    assert network.learners["site-1"].seen == []
    assert "in no such session" in network.results_of("site-1")[-1]["reason"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"resources.json.default": "{}"}, r'stream this site.s logs to the server.*"allow_log_streaming": false'),
        ({"resources.json": '{"allow_log_streaming": true}'}, "stream this site's logs to the server"),
        ({"resources.json": "{}", "resources.json.default": '{"allow_log_streaming": false}'}, "resources.json lets"),
        ({"resources.json": "[]"}, "stream this site's logs to the server"),
        ({"resources.json": "allow"}, "is no JSON"),
    ],
)
def test_a_site_whose_logs_go_to_the_server_takes_no_part(files: dict[str, str], sentence: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(secagg.ParameterError, match=sentence):
        load_site(tmp_path, "site-1")


def test_logs_that_stay_at_the_site(tmp_path: Path) -> None:
    (tmp_path / "resources.json").write_text('{"allow_log_streaming": false}')
    (tmp_path / "resources.json.default").write_text('{"allow_log_streaming": true}')
    assert load_site(tmp_path, "site-1").client_id == secagg.client_id("site-1")
