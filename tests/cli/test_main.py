"""The error boundary: every mistake is one sentence and an exit code, and a pipe holds nothing but the result."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from typing import Any

import pytest

import secagg
from secagg.cli import main as module

SMALL = ("--clients", "6", "--length", "5", "--no-memory")

BAD_WORDS = {
    "unknown command": (("nonsense",), "nonsense"),
    "unknown option": (("simulate", "--nonsense"), "--nonsense"),
    "surplus word": (("simulate", "surplus"), "surplus"),
    "missing value": (("simulate", "--clients"), "--clients"),
    "no number": (("simulate", "--clients", "many"), "--clients"),
    "no whole number": (("simulate", "--length", "1.5"), "--length"),
    "one client": (("simulate", "--clients", "1"), "1"),
    "too many clients": (("simulate", "--clients", "1000001"), "1000001"),
    "empty vector": (("simulate", "--length", "0"), "(0,)"),
    "negative dropout": (("simulate", "--dropout", "-0.1"), "--dropout -0.1"),
    "all drop out": (("simulate", "--dropout", "1"), "--dropout 1.0"),
    "dropout is no number": (("simulate", "--dropout", "nan"), "--dropout nan"),
    "unknown threat model": (("simulate", "--threat-model", "friendly"), "friendly"),
    "unknown topology": (("simulate", "--topology", "star"), "star"),
    "active and sparse": (("simulate", "--threat-model", "active", "--topology", "sparse"), "sparse"),
    "degree above the cohort": (("simulate", "--degree", "100"), "100"),
    "threshold above the degree": (("simulate", "--threshold", "100"), "100"),
    "unknown suite": (("simulate", "--suite", "3"), "0x0003"),
    "no bits": (("simulate", "--bits", "0"), "bits=0"),
    "too many bits": (("simulate", "--bits", "33"), "bits=33"),
    "clip of zero": (("simulate", "--clip", "0"), "--clip 0.0"),
    "clip is no number": (("simulate", "--clip", "nan"), "--clip nan"),
    "all corrupt": (("simulate", "--max-corrupt", "1"), "max_corrupt"),
    "no weight": (("simulate", "--max-weight", "0"), "max_weight 0"),
    "negative seed": (("simulate", "--seed", "-1"), "--seed -1"),
    "seed of 65 bits": (("simulate", "--seed", str(1 << 64)), str(1 << 64)),
    "one client in params": (("params", "--clients", "1"), "1"),
    "corrupt above 1": (("params", "--max-corrupt", "1.5"), "1.5"),
    "dropout below 0": (("params", "--max-dropout", "-1"), "-1"),
    "no security bits": (("params", "--security-bits", "0"), "0"),
    "impossible complete graph": (("params", "--clients", "1000000000", "--threat-model", "active"), "1000000000"),
    "no round": (("demo", "--rounds", "0"), "--rounds 0"),
    "demo with too few clients": (("demo", "--clients", "19"), "--clients 19"),
    "demo with too many clients": (("demo", "--clients", "1000"), "--clients 1000"),
    "demo with a negative seed": (("demo", "--seed", "-1"), "--seed -1"),
    "no such directory": (("demo", "--output", "no/such/directory/demo.png"), "no/such/directory"),
    "output is a directory": (("demo", "--output", "."), "--output ."),
}


@pytest.mark.parametrize(("words", "named"), BAD_WORDS.values(), ids=BAD_WORDS.keys())
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_bad_input_is_one_sentence_and_exit_code_2(run: Any, words: tuple[str, ...], named: str, as_json: bool) -> None:
    outcome = run(*words, *(["--json"] if as_json and words[0] in ("simulate", "params", "demo") else []))
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("secagg: ")
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith("\n")
    assert named in outcome.err


def test_an_aborted_session_is_one_sentence_and_exit_code_1(run: Any) -> None:
    # A threshold of the whole degree fails as soon as one neighbour leaves.
    outcome = run("simulate", "--clients", "10", "--length", "5", "--degree", "4", "--threshold", "4", "--json")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("secagg: there is no sum: ")
    assert outcome.err.endswith(" [A01 TOO_FEW_ADVERTISED]\n")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (secagg.ParameterError("bad\n  value"), 2, "secagg: bad value\n"),
        (secagg.LocalProtocolError("wrong call"), 1, "secagg: wrong call\n"),
        (secagg.SessionAbortedError("over"), 1, "secagg: over\n"),
        (secagg.InternalError("defect"), 1, "secagg: defect\n"),
        (MemoryError(), 1, "secagg: this machine lacks memory; "),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_a_command_raises_becomes_an_exit_code(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("secagg.cli.local.params.choose_graph", fail)
    outcome = run("params", "--json")
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith(sentence)


def test_a_bug_keeps_its_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("secagg.cli.local.params.choose_graph", fail)
    with pytest.raises(ZeroDivisionError):
        run("params")


def test_help_lists_the_commands_with_and_without_asking(run: Any) -> None:
    for words in ((), ("--help",), ("-h",)):
        outcome = run(*words)
        assert outcome.code == 0
        assert [name for name in ("simulate", "params", "demo") if name not in outcome.out] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nonsense",), "No such command 'nonsense'; see `secagg --help`"),
        (("simulat",), "No such command 'simulat'; did you mean `secagg simulate`? See `secagg --help`"),
        (("re",), "No such command 're'; did you mean `secagg reload` or `secagg result`? See `secagg --help`"),
        (("show",), "did you mean `secagg key show` or `secagg roster show`? See `secagg --help`"),
        (("session", "lst"), "'lst'; did you mean `secagg session list`? See `secagg session --help`"),
        (("params", "--tread-model"), "--tread-model; did you mean --threat-model? See `secagg params --help`"),
        (("params", "--nonsense"), "No such option: --nonsense; see `secagg params --help`"),
        (("params", "--clients", "2.5"), "(it is '2.5'); see `secagg params --help`"),
        (("params", "--clients=2.5"), "(it is '2.5'); see `secagg params --help`"),
        (("keygen",), "Missing option '--out'; see `secagg keygen --help`"),
        (("key", "show"), "Missing argument 'FILE'; see `secagg key show --help`"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_its_value_and_where_to_look(
    run: Any, words: tuple[str, ...], sentence: str
) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


@pytest.mark.parametrize("command", ["key", "roster", "conformance", "bench", "poisoning"])
def test_a_family_of_commands_alone_shows_its_help(run: Any, command: str) -> None:
    alone, asked = run(command), run(command, "--help")
    assert (alone.code, alone.err) == (0, "")
    assert alone.out.split() == asked.out.split()
    assert "Commands:" in alone.out


def test_no_line_of_the_list_of_commands_is_cut(run: Any) -> None:
    assert "..." not in run("--help").out.partition("Commands:")[2]


def test_version(run: Any) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"secagg {secagg.__version__}\n", "")


def test_the_words_of_the_process_are_the_default(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["secagg", "--version"])
    assert module.main() == 0


def test_a_pipe_holds_one_json_object_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "secagg.cli.main", "simulate", *SMALL, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={"FORCE_COLOR": "1", "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["exact"] is True


def _said(err: str) -> str:
    return err.removeprefix("secagg: ").rstrip("\n")


def test_the_exit_code_reaches_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "secagg.cli.main", "params", "--clients", "0", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)) == (2, {"error": _said(done.stderr), "exit_code": 2})
    assert "Traceback" not in done.stderr


# What a command may load beyond `import secagg` and the command line itself: one that measures or plots, trains,
# speaks gRPC, or plays a conformance run costs more than most commands need in all.
HEAVY = (
    "grpc",
    "sklearn",
    "matplotlib",
    "pydantic_settings",
    "sqlite3",
    "secagg.bench",
    "secagg.conformance",
    "secagg.poisoning",
    "secagg.testing",
)


def test_the_version_is_said_without_loading_what_computes() -> None:
    program = (
        "import sys\nfrom secagg.cli.main import main\nmain(['--version'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    version, loaded = done.stdout.splitlines()
    assert version == f"secagg {secagg.__version__}"
    assert {"numpy", "cryptography", "nacl", "google", "rich"} & set(ast.literal_eval(loaded)) == set()


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("params", "--json"), ("secagg.testing",)),
        (("params", "--cost", "--json"), ("secagg.bench", "secagg.testing")),
        (("keygen", "--help"), ()),
        (("enroll", "--help"), ()),
        (("join", "--help"), ()),
        (("status", "--help"), ()),
        (("session", "--help"), ()),
        (("reload", "--help"), ()),
        (("serve", "--help"), ()),
    ],
    ids=" ".join,
)
def test_a_command_imports_what_it_needs(words: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom secagg.cli.main import main\n"
        f"code = main({list(words)!r})\n"
        "print('loaded', *sys.modules, file=sys.stderr)\nsys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.rpartition("loaded ")[2].split())
    assert "secagg.cli.main" in loaded
    assert {name for name in HEAVY if name in loaded} <= set(allowed)


@pytest.mark.parametrize("command", ["serve", "audit", "reload", "status", "result", "session", "database"])
def test_a_command_of_the_service_computes_nothing_before_it_talks(command: str) -> None:
    program = f"import sys\nfrom secagg.cli.main import main\nmain([{command!r}, '--help'])\nprint(*sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "secagg.cli.main" in loaded
    assert {"numpy", "secagg.public", "rich.table"} & loaded == set()
