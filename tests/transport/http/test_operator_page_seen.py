"""What a browser makes of the page of operators: it is live, says what is wrong, and takes nobody's text for markup."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from secagg.errors import AbortReason
from secagg.hosting import HostObserver
from secagg.transport.errors import Refusal
from secagg.transport.operator_views import OperatorViews
from secagg.transport.refusals import CallRefusedError
from tests import looking
from tests.looking import look, until
from tests.screenshots import IMAGES, KEPT, MOST_BYTES
from tests.transport.grpc.network import run
from tests.transport.http.made_up import HOSTILE, SESSIONS, made_up
from tests.transport.http.operator_scenes import link_to, opened, pictured
from tests.transport.http.web import Web

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(looking.missing()), reason=looking.missing())]

ROWS = "[...document.querySelectorAll('tbody tr')]"
FACTS = "document.getElementById('facts').innerText"
ONE_SHOWN = until("document.querySelectorAll('#facts dt').length > 1")


def pressing(keys: str) -> str:
    return f"press: {keys}"


def clicking(selector: str) -> str:
    return f"document.querySelector('{selector}').click()"


def test_nothing_is_wrong_with_the_list_and_it_is_the_one_in_the_docs(tmp_path: Path) -> None:
    looked = run(pictured(tmp_path / "operator"))
    assert looked.complaints == []
    for place in KEPT:
        assert 0 < (IMAGES / f"operator-{place}.png").stat().st_size < MOST_BYTES
        assert (tmp_path / f"operator-{place}.png").stat().st_size < MOST_BYTES


def test_the_token_leaves_the_address_and_keys_are_enough() -> None:
    async def play() -> list[Any]:
        async with opened() as link:
            looked = await look(
                link,
                wait="tbody tr",
                scripts=[
                    "location.href",
                    *map(pressing, ("Tab", "Tab", "Tab", "Tab")),
                    pressing("Enter"),
                    ONE_SHOWN,
                    FACTS,
                    clicking("#back"),
                    until("!document.getElementById('list').hidden"),
                    "document.activeElement.innerText",
                ],
            )
            assert looked.complaints == []
            assert looked.values[0] == link.partition("#")[0]
            return looked.values[1:]

    values = run(play())
    assert values[:5] == ["Leave", "shown", SESSIONS[0].name, SESSIONS[1].name, SESSIONS[1].name]
    facts = values[6]
    for each in (
        "masked input",
        "2 min",
        "40 clients",
        "31 of 39",
        "8 clients",
        "did not answer in time (S01)",
        "59 MiB",
    ):
        assert each in facts
    assert values[-1] == SESSIONS[1].name


def test_whoever_is_on_a_session_stays_there_when_others_go() -> None:
    name = SESSIONS[-2].name

    async def play() -> None:
        async with opened() as link:
            looked = await look(
                link,
                wait="tbody tr",
                scripts=[
                    f"{ROWS}.at(-2).querySelector('button').focus()",
                    clicking("input[value=ended]"),
                    until(f"{ROWS}.length === 4"),
                    "document.activeElement.innerText",
                ],
            )
            assert looked.complaints == []
            assert looked.values[-1] == name

    run(play())


def test_what_others_say_is_text() -> None:
    bad = made_up(HOSTILE, "aborted", 1, abort_reason=AbortReason.ABORTED_BY_CALLER, detail=HOSTILE, successor=HOSTILE)

    async def play() -> None:
        async with opened((bad,)) as link:
            looked = await look(
                link,
                wait="tbody tr",
                scripts=[
                    f"{ROWS}[0].cells[0].textContent",
                    clicking("td button"),
                    ONE_SHOWN,
                    "document.getElementById('facts').textContent",
                    "document.getElementById('name').textContent",
                    "[document.title, document.querySelectorAll('img, main script').length]",
                ],
            )
            assert looked.complaints == []
            assert looked.values[0] == HOSTILE
            assert looked.values[3].count(HOSTILE) == 2
            assert looked.values[4] == HOSTILE
            assert looked.values[5] == ["Sessions · secagg", 0]

    run(play())


def test_whoever_is_in_the_sum_and_who_is_to_blame_is_said() -> None:
    async def play() -> None:
        async with opened() as link:
            looked = await look(
                link,
                wait="tbody tr",
                scripts=[
                    f"{ROWS}.find((row) => row.dataset.session === 'model-7-round-12').querySelector('button').click()",
                    ONE_SHOWN,
                    FACTS,
                    clicking("#facts button"),
                    until("document.getElementById('facts').innerText.includes('In the sum')"),
                    FACTS,
                ],
                widths="320,390,820,1280",
            )
            assert looked.complaints == []
            assert "client 9: dealt inconsistent shares (S23), with evidence" in looked.values[2]
            assert "client 17: complaint about a readable pair (S33), a hint only" in looked.values[2]
            assert "clients complained (A15): Clients complained of 2 dealers." in looked.values[2]
            assert "37 clients" in looked.values[5]
            assert "1–8, 10–16, 18–22, 24–40" in looked.values[5]

    run(play())


def test_many_sessions_have_pages_and_none_has_a_sentence() -> None:
    many = tuple(made_up(f"s-{index:02}", "completed", index) for index in range(60))
    shown = f"{ROWS}.map((row) => row.dataset.session)"

    async def play() -> None:
        async with opened(many) as link:
            looked = await look(
                link,
                wait="tbody tr",
                scripts=[
                    shown,
                    clicking("#older"),
                    until("document.getElementById('number').textContent === 'page 2'"),
                    "document.getElementById('older').focus()",
                    clicking("#older"),
                    until("document.getElementById('number').textContent === 'page 3'"),
                    shown,
                    "[document.getElementById('older').disabled, document.activeElement.id]",
                    clicking("#newer"),
                    until("document.getElementById('number').textContent === 'page 2'"),
                    shown,
                    clicking("input[value=running]"),
                    until("!document.getElementById('none').hidden"),
                    "document.getElementById('none').textContent",
                ],
            )
            assert looked.complaints == []
            names = [status.name for status in many]
            assert (looked.values[0], looked.values[6], looked.values[7]) == (names[:25], names[50:], [True, "newer"])
            assert (looked.values[10], looked.values[-1]) == (names[25:50], "No session runs now.")

    run(play())


class Troubled(OperatorViews):
    """Has trouble, then none, then does not know the token, from when somebody asks for sessions that run."""

    left: Sequence[Refusal | None] = (Refusal.TRY_AGAIN, None, Refusal.TOKEN_UNKNOWN)
    begun = False

    async def answer(self, call: str, calling: Any, request: Any) -> Any:
        self.begun = self.begun or bool(request.states)
        if self.begun and self.left:
            refusal, *self.left = self.left
            if refusal is not None:
                raise CallRefusedError(refusal, "not now")
        return await super().answer(call, calling, request)


def test_trouble_is_said_and_another_link_goes_on() -> None:
    connection = "document.getElementById('connection').textContent"

    async def play() -> None:
        async with opened(views=Troubled) as link:
            address, _, token = link.partition("#")
            looked = await look(
                link,
                wait="tbody tr",
                scripts=[
                    f"""window.heard = [];
                    new MutationObserver(() => heard.at(-1) !== {connection} && heard.push({connection})).observe(
                        document.getElementById('connection'), {{ childList: true }});
                    document.querySelector('input[value=running]').click();""",
                    until("!document.getElementById('notice').hidden"),
                    "heard",
                    "document.getElementById('notice').innerText",
                    "sessionStorage.length",
                    f"location.hash = '{token}'",
                    until("!document.getElementById('list').hidden"),
                    "[location.href, document.getElementById('notice').hidden]",
                ],
            )
            assert looked.values[2] == ["connection lost; the next try is in 2 s", "live", "not connected"]
            command = f"secagg session page --server {address.removesuffix('/operator')} --identity operator.key"
            assert command in looked.values[3]
            assert (looked.values[4], looked.values[-1]) == (0, [address, True])
            assert {each.partition(":")[0] for each in looked.complaints} == {"Failed to load resource"}
            assert len(looked.complaints) == 2

    run(play())


class Asked(HostObserver):
    """Knows when an operator has looked."""

    def __init__(self) -> None:
        self.once = asyncio.Event()

    def operator_called(self, call: str, actor: str, session: str, client: int | None) -> None:
        self.once.set()


def test_a_session_is_followed_to_its_end_without_loading_anew() -> None:
    async def play() -> None:
        asked = Asked()
        async with Web(operator_page=True, plain=True, observer=asked) as web:

            async def take_part() -> None:
                await asked.once.wait()
                await web.everybody()

            looked, _ = await asyncio.gather(
                look(
                    await link_to(web),
                    wait="tbody tr",
                    scripts=[
                        "window.mark = performance.timeOrigin",
                        until("document.getElementById('news').textContent.includes('completed')"),
                        f"{ROWS}[0].innerText",
                        "window.mark === performance.timeOrigin",
                    ],
                ),
                take_part(),
            )
            assert looked.complaints == []
            assert "completed" in looked.values[2]
            assert "ready" in looked.values[2]
            assert looked.values[3] is True

    run(play())
