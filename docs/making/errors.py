"""The errors reference: every id, exception, refusal and exit code, with who caused it and what to do.

What a rule says comes from the specification's validation table, what an exception is from its docstring, a status from
the table of refusals; `remedies.toml` has the rest. Links are as from docs/reference/errors.md.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final

from secagg import AbortReason, DropReason, Violation
from secagg.cli import main as command
from secagg.hosting import HostReason
from secagg.transport.refusals import CARRIED, CallRefusedError

ROOT: Final = Path(__file__).parents[2]
REMEDIES: Final = Path(__file__).with_name("remedies.toml")
SPECIFICATION: Final = "protocol_specs/secagg-v1.md"
_UP: Final = "../../"
_ROW: Final = re.compile(r"^\| (?P<id>[CSA]\d\d) \|(?P<cells>.*)\|$", re.MULTILINE)
_INTRODUCTION: Final = """# Errors

Search this page for the id or the name that a log, a status or a message has. Sentences end with ids and names,
`[C10 OFFER_COHORT_MEMBER_NOT_IN_ROSTER]`, or have the name of a refusal behind its code, `PERMISSION_DENIED
NOT_IN_ROSTER`; a server's log has both as `reason` and `rule`; exceptions carry them as `violation`, `reason`,
`drop_reason` and `refusal`. Each id is an anchor: `#C10`.

| ids | who finds it | what ended |
| --- | --- | --- |
| [C..](#violations-of-a-server) | a client, about its server | the session, for this client |
| [S..](#reasons-to-drop-a-client) | the server, about a client | this client's part; the session goes on |
| [H..](#a-hosts-own-reasons) | the server's host | the same |
| [A..](#reasons-of-an-abort) | either | the session, without a sum |
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Ids with one cause and one remedy; see `remedies.toml`."""

    part: str
    title: str
    ids: tuple[str, ...]
    who: str
    do: str
    each: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the specification's validation table: in which round what must hold, and what reports a breach."""

    name: str
    round: str
    rule: str
    error: str


def errors_page() -> str:
    """The page docs/reference/errors.md."""
    parts = [
        _INTRODUCTION,
        _part(
            "violations",
            "Violations of a server",
            f"A client raises [`PeerMisbehaved`](#{_PEER_MISBEHAVED}) with the rule that the server broke. It has "
            "answered nothing to that message, has erased its secrets of the session, and goes on in none of it. Each "
            "rule below says what must hold, and is named for its breach.",
        ),
        _part(
            "drops",
            "Reasons to drop a client",
            "The server goes on without the client: `ClientDropped` among the events of a session, `client dropped` in "
            "the log, `dropped` in `secagg status`. Some name a client as the one to blame for the end of a session.",
        ),
        _part(
            "hosts",
            "A host's own reasons",
            "`secagg serve`, and whoever embeds `SessionHost`, drops clients for these, too.",
        ),
        _part(
            "aborts",
            "Reasons of an abort",
            "A session ended without a sum: `SessionAborted` among the events, `SessionAbortedError.reason`, "
            "`abort_reason` in `secagg status --json`.",
        ),
        _part(
            "refusals",
            "Refusals of the service",
            "Why `secagg serve` did not do what a call asked for: `ErrorDetail.reason` over gRPC and HTTP, "
            "`ServiceError.refusal` in Python. Where it says *again*, clients of this library try the same call again "
            "by themselves.",
        ),
        _part("exceptions", "Exceptions", "Whatever the library raises on purpose is a `SecAggError`."),
        _part("exits", "Exit codes", "How a `secagg` command ends."),
    ]
    return "\n".join(parts)


def with_row_anchors(specification: str) -> str:
    """The text of the specification with an anchor, the id, in each row of the validation table: for the site."""
    return _ROW.sub(lambda row: f'| <a id="{row["id"]}"></a>{row["id"]} |{row["cells"]}|', specification)


@cache
def remedies() -> tuple[Group, ...]:
    """What remedies.toml says."""
    read = tomllib.loads(REMEDIES.read_text(encoding="utf-8"))
    return tuple(
        Group(each["part"], each["title"], tuple(each["ids"]), each["who"], each["do"], each.get("each", {}))
        for each in read["group"]
    )


@cache
def rules() -> Mapping[str, Rule]:
    """The rows of the specification's validation table, by id."""
    text = (ROOT / SPECIFICATION).read_text(encoding="utf-8")
    found = {}
    for row in _ROW.finditer(text):
        name, _, round_, rule, error, _ = (cell.strip() for cell in row["cells"].split("|"))
        found[row["id"]] = Rule(name, round_, _linked(rule), error)
    return found


@cache
def exceptions() -> Mapping[str, type[Exception]]:
    """Public classes of exceptions of the library, by module and name, that may leave it."""
    named = {path: cls for path, cls in _defined() if path not in INTERNAL}
    return dict(sorted(named.items()))


# Each is caught where the library turns it into something else: a violation, a drop, a status, a complaint.
INTERNAL: Final = frozenset(
    {
        "secagg.conformance.serving.EndInsideFrameError",
        "secagg.crypto.aead.AuthenticationError",
        "secagg.crypto.agreement.LowOrderPointError",
        "secagg.crypto.decoding.ReconstructionError",
        "secagg.crypto.shamir.ShareError",
        "secagg.hosting.journal.InDoubtError",
        "secagg.hosting.journal.NotLoggedError",
        "secagg.transport.refusals.CallRefusedError",
    }
)
# How breaches are reported, which the introductions of their parts say.
_USUAL: Final = frozenset(
    {"`PeerMisbehaved`", "`ClientDropped` event", "`SessionAborted` event, `SessionAbortedError` for the result"}
)
_PEER_MISBEHAVED: Final = "secagg.errors.PeerMisbehaved"


def expected() -> Mapping[str, tuple[str, ...]]:
    """The ids of each part, as the code has them."""
    codes = (0, command.EXIT_NO_RESULT, command.EXIT_BAD_INPUT, command.EXIT_INTERRUPTED)
    return {
        "violations": _values(Violation),
        "drops": _values(DropReason),
        "hosts": _values(HostReason),
        "aborts": _values(AbortReason),
        "refusals": tuple(refusal.value for refusal in CARRIED),
        "exceptions": tuple(exceptions()),
        "exits": tuple(map(str, codes)),
    }


def _values(kind: type[Enum]) -> tuple[str, ...]:
    return tuple(member.value for member in kind)


def _defined() -> Iterator[tuple[str, type[Exception]]]:
    """Every public exception class of the library that is a SecAggError, by the text of its modules: importing all of
    them would need every extra."""
    bases: dict[str, set[str]] = {}
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "secagg").rglob("*.py")):
        if path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(ast.unparse(base).split(".")[-1] for base in node.bases)
                found.setdefault(node.name, []).append(module)
    ours = {"SecAggError"}
    while more := {name for name, under in bases.items() if under & ours} - ours:
        ours |= more
    for name in sorted(ours):
        for module in found[name]:
            if not name.startswith("_"):
                yield f"{module}.{name}", getattr(importlib.import_module(module), name)


def _part(part: str, title: str, introduction: str) -> str:
    sections = [f"## {title}\n", f"{introduction}\n"]
    for group in remedies():
        if group.part == part:
            items = [f"- {_said(part, each)}{_note(group, each)}" for each in group.ids]
            sections += [
                f"### {group.title}\n",
                f"**Probably caused by.** {group.who}\n",
                f"**Now.** {group.do}\n",
                "\n".join(items) + "\n",
            ]
    return "\n".join(sections)


def _note(group: Group, each: str) -> str:
    return f"<br>{group.each[each]}" if each in group.each else ""


def _said(part: str, each: str) -> str:
    """An id, and what is known about it without the remedies."""
    anchor = f'<a id="{each}"></a>'
    if part == "exits":
        return f'<a id="exit-{each}"></a>**{each}**'
    if part == "hosts":
        return f"{anchor}**{each}** `{HostReason(each).name}`"
    if part == "refusals":
        refusal = next(known for known in CARRIED if known.value == each)
        again = ", *again*" if CallRefusedError(refusal, "").retry else ""
        return f"{anchor}`{each}`: gRPC {CARRIED[refusal].code}, HTTP {CARRIED[refusal].http}{again}"
    if part == "exceptions":
        found = exceptions()[each]
        module, _, name = each.rpartition(".")
        above = ", ".join(f"`{base.__name__}`" for base in found.__bases__)
        meaning = " ".join((found.__doc__ or "").split("\n\n")[0].split())
        return f"{anchor}`{name}` ({above}; `{module}`): {meaning}"
    rule = rules()[each]
    reported = "" if rule.error in _USUAL else f" Reported as {rule.error}."
    return f"{anchor}**{each}** `{rule.name}` ([{rule.round}]({_UP}{SPECIFICATION}#{each})): {rule.rule}{reported}"


def _linked(rule: str) -> str:
    """A rule with links to the sections that it cites."""
    slugs = _headings()
    return re.sub(r"§(\d+(?:\.\d+)?)", lambda cited: f"[{cited[0]}]({_UP}{SPECIFICATION}#{slugs[cited[1]]})", rule)


@cache
def _headings() -> Mapping[str, str]:
    """Number of each section of the specification to the anchor of its heading, as GitHub and MkDocs make it."""
    text = (ROOT / SPECIFICATION).read_text(encoding="utf-8")
    found = re.findall(r"^#+ (§(\d+(?:\.\d+)?) .*)$", text, re.MULTILINE)
    return {number: re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title, number in found}
