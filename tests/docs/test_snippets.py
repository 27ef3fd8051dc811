"""Every program in the pages is run by a test, or read by this one; every configuration and command is parsed."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from typing import Any, Final

import griffe
import pytest
import typer

import secagg
from docs.making.public import load
from docs.making.repository import ROOT, Repository
from docs.making.snippets import Block, blocks, commands, pages, targets
from secagg.cli.main import application
from secagg.cli.service.server_config import ServerConfig
from tests.docs.reading import Reader

PAGES: Final = pages(Repository())
BLOCKS: Final = [block for page, text in PAGES.items() for block in blocks(page, text)]

# The tests that run all programs of a page as they stand.
RUN: Final = {
    "README.md": "tests/test_readme.py",
    "docs/embedding.md": "tests/test_embedding.py",
    "docs/explanation/protocol.md": "tests/docs/test_protocol_page.py",
    "docs/how_to/parameters.md": "tests/parameters/test_parameters_page.py",
    "docs/how_to/rosters.md": "tests/identity/test_rosters_page.py",
    "docs/http.md": "tests/cli/service/test_serve.py",
    "docs/nvflare.md": "tests/integrations/nvflare/test_controller.py",
    "docs/reference/network.md": "tests/transport/test_network_page.py",
    "docs/privacy.md": "tests/privacy/test_page.py",
    "docs/robustness.md": "tests/poisoning/test_page.py",
}
# The programs of these pages need Flower, or a server: they are read, and these names in them are the reader's own.
# Those of docs/flower.md run in Flower's environment, by tests/integrations/flower/test_page.py.
READ: Final = {
    "docs/flower.md": {"first_model", "grid", "right_answers", "trained"},
    "docs/security.md": {"model_digest", "round_number"},
}
# What a table of TOML is for, where it is not server.toml; those are read by others.
NOT_OF_THE_SERVER: Final = {
    "docs/nvflare.md": "a site's secagg.toml",
    "examples/flower_digits/README.md": "Flower's configuration",
    "examples/survey/README.md": "the survey's question; tests/cli/demo/test_survey_question.py",
}
# Words in the place of commands: what is meant is all, or one of a kind.
# What a block may be; a reader of pages knows Python and TOML by these names alone, and others mean the same to a site.
LANGUAGES: Final = frozenset({"", "html", "js", "mermaid", "python", "sh", "text", "toml", "yaml"})
PLACEHOLDERS: Final = frozenset({"COMMAND", "…", "..."})


@cache
def library() -> griffe.Module:
    return load()


def programs(page: str) -> list[Block]:
    return [block for block in BLOCKS if block.page == page and block.language == "python"]


def faults(page: str) -> list[str]:
    reader = Reader(library(), frozenset(READ.get(page, ())))
    return [f"{page}:{block.line}: {fault}" for block in programs(page) for fault in reader.read(block.text)]


def test_pages_and_blocks_were_found() -> None:
    assert {"README.md", "docs/operations.md", "protocol_specs/secagg-v1.md", "examples/survey/README.md"} <= set(PAGES)
    assert len(BLOCKS) > 90
    assert sum(len(list(commands(page, text))) for page, text in PAGES.items()) > 150
    assert sum(block.language == "python" for block in BLOCKS) >= 20


def named_otherwise(block: Block) -> str:
    """What a block without a language of its own is, which then nobody tries."""
    try:
        if tomllib.loads(block.text):
            return "toml"
    except tomllib.TOMLDecodeError:
        pass
    try:
        tree = ast.parse(block.text)
    except SyntaxError:
        return ""
    program = ast.Import | ast.ImportFrom | ast.Assign | ast.Call | ast.FunctionDef
    return "python" if any(isinstance(node, program) for node in ast.walk(tree)) else ""


def odd(page: str, text: str) -> list[str]:
    """Blocks that the other tests would not find, or would take for something else."""
    found = list(blocks(page, text))
    fences = re.findall(r"^[ >]*(?:`{3}|~{3}).*", text, re.MULTILINE)
    said = [] if len(fences) == 2 * len(found) else [f"{page}: {len(fences)} fences, and {len(found)} blocks"]
    said += [f"{page}:{block.line}: {block.language}" for block in found if block.language not in LANGUAGES]
    unnamed = [block for block in found if block.language in ("", "text")]
    return said + [f"{page}:{block.line}: is {kind}" for block in unnamed if (kind := named_otherwise(block))]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_named_for_what_they_are(page: str) -> None:
    assert odd(page, PAGES[page]) == []


def test_odd_blocks_are_found() -> None:
    assert odd("p", "```toml\na = 1\n```\n```text\na, b\n```\n") == []
    assert odd("p", "~~~python\nraise\n~~~\n") == ["p: 2 fences, and 0 blocks"]
    assert odd("p", "```py\nraise\n```\n") == ["p:2: py"]
    assert odd("p", "```\n[listen]\nplaintext = true\n```\n") == ["p:2: is toml"]
    assert odd("p", "```\nimport secagg\n```\n") == ["p:2: is python"]


def test_every_page_with_programs_says_how_they_are_tested() -> None:
    with_programs = {block.page for block in BLOCKS if block.language == "python"}
    assert with_programs == RUN.keys() | READ.keys()


@pytest.mark.parametrize(("page", "test"), RUN.items())
def test_the_programs_of_a_page_are_taken_out_of_it_by_its_test(page: str, test: str) -> None:
    source = (ROOT / test).read_text(encoding="utf-8")
    assert page.rpartition("/")[2] in source
    assert "```" in source


@pytest.mark.parametrize("page", READ)
def test_programs_that_do_not_run_here_use_what_is_there(page: str) -> None:
    assert faults(page) == []


def test_the_policy_of_the_page_on_security_is_one() -> None:
    (program,) = programs("docs/security.md")
    names: dict[str, Any] = {"secagg": secagg, "model_digest": bytes(32), "round_number": 7}
    exec(compile(program.text, program.page, "exec"), names)  # noqa: S102 - our own page, which is what is tested
    assert names["policy"].context == bytes(32) + (7).to_bytes(8, "big")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=lambda b: f"{b.page}:{b.line}")
def test_tables_are_toml_and_those_of_the_server_are_its_own(block: Block) -> None:
    tables = tomllib.loads(block.text)
    if block.page not in NOT_OF_THE_SERVER:
        config = ServerConfig(**tables)
        assert set(tables) <= set(ServerConfig.model_fields)
        assert config.model_fields_set >= set(tables)


@cache
def root() -> Any:
    return typer.main.get_command(application())


def wrong_with(line: str) -> list[str]:
    """What is wrong with the words of a command line: a command or an option that is not there."""
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0], comments=True)[1:]
    words = words[: words.index("--")] if "--" in words else words
    command, path = root(), ["secagg"]
    options = {name for param in command.params for name in param.opts} | {"--help", "-h"}
    complaints: list[str] = []
    for word in words:
        inner = getattr(command, "commands", {})
        if inner and not word.startswith("-"):
            if word in PLACEHOLDERS:
                return complaints
            if word not in inner:
                return [*complaints, f"`{' '.join(path)}` has no command {word}"]
            command = inner[word]
            path.append(word)
            options |= {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        elif word.startswith("--") and (name := word.partition("=")[0].rstrip("]")) not in options:
            complaints.append(f"`{' '.join(path)}` has no option {name}")
        elif re.fullmatch(r"-[a-zA-Z]", word) and word not in options:
            complaints.append(f"`{' '.join(path)}` has no option {word}")
    return complaints


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_are_there(page: str) -> None:
    found = commands(page, PAGES[page])
    assert [f"{page}:{line}: {fault}" for line, text in found for fault in wrong_with(text)] == []


@cache
def made() -> frozenset[str]:
    """Targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(name for line in re.findall(r"^([a-z][\w -]*):", text, re.MULTILINE) for name in line.split())


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_are_there(page: str) -> None:
    assert [f"{page}:{line}: make {name}" for line, name in targets(page, PAGES[page]) if name not in made()] == []


def test_targets_are_found() -> None:
    text = "```sh\ncd x && make bench FULL=1\nmake a b  # c\n```\n`make d` makes `make\ne`\n"
    assert list(targets("p", text)) == [(2, "bench"), (3, "a"), (3, "b"), (5, "d"), (5, "e")]
    assert {"docs", "test-third", "conformance-library"} <= made()


def test_commands_are_found_wherever_a_shell_would_run_them() -> None:
    text = (
        "```sh\nfor who in 1 2; do secagg keygen --out $who; done\nA=1 B=$C secagg serve --check & echo\n"
        "wait && /opt/secagg/bin/secagg status | secagg result\njoin() { secagg join \\\n    --server x; }\n```\n"
        "`opentelemetry-instrument secagg serve\n--config x`, a word secagg serve, `more of secagg serve`\n"
    )
    assert [(line, " ".join(command.split())) for line, command in commands("p", text)] == [
        (2, "secagg keygen --out $who"),
        (3, "secagg serve --check"),
        (4, "secagg status"),
        (4, "secagg result"),
        (5, "secagg join --server x"),
        (8, "secagg serve --config x"),
    ]


def test_what_is_wrong_is_found() -> None:
    assert wrong_with("secagg serve -q -h") == ["`secagg serve` has no option -q"]
    assert wrong_with("secagg serv --config server.toml") == ["`secagg` has no command serv"]
    assert wrong_with("secagg serve --confi server.toml  # all") == ["`secagg serve` has no option --confi"]
    assert wrong_with("secagg session create --name=a --nome b | cat") == [
        "`secagg session create` has no option --nome"
    ]
    assert list(commands("p", "```sh\nmake\nsecagg serve \\\n  --check\n```\nor `secagg join …`\n")) == [
        (3, "secagg serve     --check"),
        (6, "secagg join …"),
    ]
    reader = Reader(library(), frozenset({"mine"}))
    program = (
        "from secagg.hosting import Missing\nfrom secagg.transport.grpc import Operator\n"
        "async with Operator('a', identity=mine, colour=1) as operator:\n"
        "    await operator.creat('x')\n    await operator.watch('x', every=2)\n"
        "secagg.robust.medium(yours)\nsecagg.ThreatModel.PASSIVE\n"
    )
    assert sorted(reader.read(program)) == [
        "secagg.hosting has no Missing",
        "secagg.parameters.graph_conditions.ThreatModel has no PASSIVE",
        "secagg.robust has no medium",
        "secagg.transport.grpc.operator_client.Operator has no creat",
        "secagg.transport.grpc.operator_client.Operator takes no colour",
        "secagg.transport.grpc.operator_client.Operator.watch takes no every",
        "yours is defined nowhere",
    ]
