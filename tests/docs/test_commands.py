"""The reference of commands has every command, with what its help says."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from docs.making.commands import commands, commands_page
from docs.making.markdown import escaped

PAGE: Final = commands_page()
ALL: Final = [(command, context) for _, command, context in commands()]


def test_all_commands_are_on_the_page_once() -> None:
    headings = re.findall(r"^### `(secagg [\w -]+)` \{: #([\w-]+) \}$", PAGE, re.MULTILINE)
    assert sorted(path for path, _ in headings) == sorted(context.command_path for _, context in ALL)
    assert len({anchor for _, anchor in headings}) == len(ALL) > 25
    assert {"secagg serve", "secagg session create", "secagg privacy plan"} <= {path for path, _ in headings}


@pytest.mark.parametrize(("command", "context"), ALL, ids=[context.command_path for _, context in ALL])
def test_options_stand_below_their_command(command: Any, context: Any) -> None:
    text = PAGE.partition(f"### `{context.command_path}` ")[2].partition("\n### ")[0].partition("\n## ")[0]
    hidden = [param for param in command.params if getattr(param, "hidden", False)]
    for param in command.params:
        if param not in hidden and param.opts[0] != "--help":
            assert f"`{param.get_help_record(context)[0]}`\n:   " in text
            assert escaped(" ".join((param.help or "").split()))[:20] in text


def test_text_of_programs_means_nothing_in_markdown() -> None:
    assert escaped("2^-bits of <int>, *all*; `secagg_x <y>` [default: a_b]") == (
        r"2^-bits of \<int\>, \*all\*; `secagg_x <y>` \[default: a\_b\]"
    )
